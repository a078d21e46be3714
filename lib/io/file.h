/* Files that are whole or not there, and inputs that may be standard input.
 *
 * An output is written to a temporary beside its target, `.NAME.XXXXXX.tmp`, that is locked (flock) while its
 * writer lives. Commit flushes, fsyncs, renames, and fsyncs the folder; where that last step fails, the file
 * is removed again. Until then the target is untouched. Opening an output removes temporaries of the same
 * target whose writer is gone. A signal that ends the process removes its temporaries (base/tempfile.h).
 * Devices and named pipes are written directly; a link keeps pointing to the file, which is replaced; a
 * replaced file keeps its permissions. */
#ifndef MF_IO_FILE_H
#define MF_IO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct mf_out;

/* Opens an output. NULL or "-" is standard output. EX_CANTCREAT when the folder cannot be written. */
int mf_out_open(struct mf_out **out, const char *path, struct mf_err *err);

/* Would it open, as far as rights tell? Nothing is made. What is no regular file is not tried: a pipe's
 * reader may come later. EX_CANTCREAT. */
int mf_out_check(const char *path, struct mf_err *err);

/* Buffered write of all `size` bytes. EX_IOERR. */
int mf_out_write(struct mf_out *out, const void *bytes, size_t size, struct mf_err *err);
int mf_out_printf(struct mf_out *out, struct mf_err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Leaves room for the next `size` bytes, to be filled in any order and all of it before commit: 1 and where
 * the room begins, 0 where there is only one order (a pipe), or EX_IOERR. */
int mf_out_reserve(struct mf_out *out, uint64_t size, uint64_t *offset, struct mf_err *err);

/* Writes into the room. EX_IOERR. May be called from several threads. */
int mf_out_fill(const struct mf_out *out, uint64_t offset, const void *bytes, size_t size,
                struct mf_err *err);

/* Flushes and gives the descriptor of a temporary back until the next flush: for programs with more outputs
 * than a process may have open. Until then the file is not locked. Does nothing where bytes go directly. */
int mf_out_rest(struct mf_out *out, struct mf_err *err);

/* Hands the buffered bytes to the system, e.g. so that a reader of a pipe sees them. */
int mf_out_flush(struct mf_out *out, struct mf_err *err);

/* Flushed bytes so far plus those buffered. */
uint64_t mf_out_offset(const struct mf_out *out);

/* The target's name for messages ("standard output" for a pipe). Borrowed. */
const char *mf_out_name(const struct mf_out *out);

/* Gives the output its name now, as a log that others may read while it grows: what is written from here on
 * is there at once after a flush, commit adds only an fsync, and abandon leaves what was written. */
int mf_out_publish(struct mf_out *out, struct mf_err *err);

/* Makes the output real and frees `out`, also when it fails (then nothing is left behind). */
int mf_out_commit(struct mf_out *out, struct mf_err *err);

/* Completes a regular file under its temporary name: on disk, so that of commit only the rename is left. For
 * several outputs that are to become real together: complete all, then commit each. EX_IOERR. */
int mf_out_complete(struct mf_out *out, struct mf_err *err);

/* Commits the output unless its file holds the same bytes already and is left as it is, with its time. */
int mf_out_commit_changed(struct mf_out *out, struct mf_err *err);

/* Removes what was written and frees `out`. Accepts NULL. */
void mf_out_abandon(struct mf_out *out);

/* Commits the output unless `status`, that of writing it, is negative: then abandons it. Returns 0, or -1
 * when either failed. */
int mf_out_end(struct mf_out *out, int status, struct mf_err *err);

/* Do two paths lead to one regular file? Also where it is not there yet, by name and folder. */
bool mf_same_path(const char *a, const char *b);

/* EX_USAGE where an output would take the place of a file that is read; either may be NULL, and an output "-"
 * takes no place. `as` says in the message which output it is, as its option does: "output", "checkpoint". */
int mf_out_check_input(const char *output, const char *as, const char *input, struct mf_err *err);

/* The same of a folder that is written: no file in it is one that is read. */
int mf_folder_check_input(const char *folder, const char *input, struct mf_err *err);

/* mkdir -p for the last component; the others have to be there. EX_CANTCREAT. */
int mf_folder_make(const char *folder, struct mf_err *err);

/* Would it be made, or is it there and can be written to, as far as rights tell? EX_CANTCREAT. */
int mf_folder_check(const char *folder, struct mf_err *err);

/* Makes the names in a folder outlast a power cut: for renames of the caller's own. EX_CANTCREAT, EX_IOERR.
 */
int mf_folder_sync(const char *folder, struct mf_err *err);

/* All of it at once: an output of `size` bytes at `path` (NULL: standard output). As the functions above. */
int mf_out_whole(const char *path, const void *bytes, size_t size, struct mf_err *err);

struct mf_in;

/* Opens an input. NULL or "-" is standard input. EX_NOINPUT when it cannot be opened or is a folder. */
int mf_in_open(struct mf_in **in, const char *path, struct mf_err *err);

/* Reads up to `size` bytes (fewer only at the end); their number, or -1 with EX_IOERR. Buffered: small reads
 * are cheap. */
int64_t mf_in_read(struct mf_in *in, void *buffer, size_t size, struct mf_err *err);

/* The next bytes without taking them: at least `want` of them unless the end is nearer; `want` <= 64 KiB.
 * Borrowed until the next call. Returns their number, or -1. */
int64_t mf_in_peek(struct mf_in *in, const unsigned char **bytes, size_t want, struct mf_err *err);

/* From now on the end of a regular file is not the end: reading waits until more is written. It ends when the
 * file has lost its name. Other inputs end as ever. */
void mf_in_follow(struct mf_in *in);

/* The size of a regular file, or -1 for what has none. */
int64_t mf_in_size(const struct mf_in *in);

/* A regular file's bytes where the system has them, read-only, without a place in memory of their own; until
 * munmap, also when the input is closed. EX_IOERR. */
int mf_in_map(const struct mf_in *in, void **at, size_t *size, struct mf_err *err);

const char *mf_in_name(const struct mf_in *in); /* for messages: "standard input" for a pipe; borrowed */
uint64_t mf_in_offset(const struct mf_in *in);  /* bytes read so far */
void mf_in_close(struct mf_in *in);             /* accepts NULL */

/* Whether two files hold the same bytes; one that cannot be read is like no other. */
bool mf_file_same(const char *a, const char *b);

/* Reads a whole file or standard input of at most `limit` bytes into new memory with a zero byte behind it
 * (not counted in `size`); freed by free(). EX_DATAERR when it is larger than the limit. */
int mf_read_all(const char *path, size_t limit, unsigned char **bytes, size_t *size, struct mf_err *err);

/* A file without a name, for data that must not fill memory; in the folder of base/tempfile.h. Returns the
 * descriptor or -1. */
int mf_scratch_open(struct mf_err *err);

/* Writes at an offset of a scratch file. EX_IOERR. May be called from several threads. */
int mf_scratch_write(int fd, const void *bytes, size_t size, uint64_t offset, struct mf_err *err);

/* Opens a model, which is read by position, so that it has to be a file; NULL or "-" is standard input. *name
 * is its name for messages, owned by the caller also after a failure. Returns the descriptor, or -1 with
 * EX_NOINPUT. */
int mf_open_by_position(const char *path, char **name, uint64_t *size, struct mf_err *err);

/* pread, pwrite and write of everything, or an error naming `name`; EX_IOERR, or EX_DATAERR when the file
 * ends too soon. */
int mf_pread_all(int fd, void *buffer, size_t size, uint64_t offset, const char *name, struct mf_err *err);
int mf_pwrite_all(int fd, const void *bytes, size_t size, uint64_t offset, const char *name,
                  struct mf_err *err);
int mf_write_all(int fd, const void *bytes, size_t size, const char *name, struct mf_err *err);

#endif
