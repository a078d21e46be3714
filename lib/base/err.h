/* One failure: the exit status a program should end with and one line for people.
 *
 * Functions that can fail return 0 or -1 and fill a `struct mf_err`. The text is lower case, has no final
 * stop, names the file or value concerned, and never holds a control character. Only programs print it. */
#ifndef MF_BASE_ERR_H
#define MF_BASE_ERR_H

#include <stdarg.h>
#include <sysexits.h>

struct mf_err {
    int status;     /* an EX_ value of <sysexits.h>; 0 while nothing has failed */
    char text[480]; /* one line, without the program's name */
};

/* Fills `err` with a status and a formatted line and returns -1, so that a check can be one line:
 *     if (n > max) return mf_err_set(err, EX_DATAERR, "%s: too many documents", path);
 * Control characters are replaced by '?'. Of a text too long the longest strings are shortened in their
 * middle, "dir/.../file": the reason stays. */
int mf_err_set(struct mf_err *err, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same, with ": " and the system's reason for `errno` appended. */
int mf_err_sys(struct mf_err *err, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* mf_err_set for a function that has such arguments itself. */
int mf_err_vset(struct mf_err *err, int status, const char *format, va_list args);

/* 0 where nothing failed, or with this status; any other failure becomes *err. For what may be absent or
 * malformed, but is not to be forgotten because a disk does not give it. */
int mf_err_forgive(const struct mf_err *found, int status, struct mf_err *err);

/* A compiler or analyser sees one file at a time; this tells it what the two return. */
static inline int mf_err_failed(void) {
    return -1;
}
#define mf_err_set(...) (mf_err_set(__VA_ARGS__), mf_err_failed())
#define mf_err_sys(...) (mf_err_sys(__VA_ARGS__), mf_err_failed())

#endif
