/* Starting gnuplot, and fitting its SVG into a page. */
#include "cli/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/memory.h"
#include "io/file.h"

/* More than a browser shows with pleasure; a chart takes 5 to 20 kB. */
#define SVG_LIMIT ((size_t)64 << 20)

/* Reads all there is. */
static int read_svg(int fd, char **svg, struct mf_err *err) {
    size_t size = 0;
    ssize_t n;
    FILE *text = open_memstream(svg, &size);
    if (!text) return mf_err_sys(err, EX_OSERR, "cannot keep a chart");
    char part[8192];
    while ((n = read(fd, part, sizeof part)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 || size > SVG_LIMIT) break;
        fwrite(part, 1, (size_t)n, text);
        fflush(text); /* brings `size` up to date */
    }
    int reason = errno;
    if (fclose(text) != 0) return mf_err_sys(err, EX_OSERR, "cannot keep a chart");
    errno = reason;
    if (n < 0) return mf_err_sys(err, EX_IOERR, "gnuplot cannot be read from");
    if (n > 0) return mf_err_set(err, EX_DATAERR, "the charts take more than %zu MB", SVG_LIMIT >> 20);
    return 0;
}

/* Starts it between a script and the writing end of a pipe. In this order: each of the two may be one of the
 * numbers that the next replaces. A script that is loaded ends at its first error; one typed would go on. */
static int start(pid_t *child, int script, int pipe_end, struct mf_err *err) {
    char *argv[] = {"gnuplot", "--default-settings", "/dev/stdin", NULL};
    posix_spawn_file_actions_t files;
    int failed = posix_spawn_file_actions_init(&files);
    if (!failed) {
        failed = posix_spawn_file_actions_adddup2(&files, script, STDIN_FILENO);
        if (!failed) failed = posix_spawn_file_actions_adddup2(&files, pipe_end, STDOUT_FILENO);
        if (!failed)
            failed = posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        if (!failed) failed = posix_spawnp(child, argv[0], &files, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&files);
    }
    if (!failed) return 0;
    return mf_err_set(err, EX_UNAVAILABLE,
                      "gnuplot cannot be started: %s; it is in the Debian package gnuplot-nox",
                      strerror(failed));
}

/* Waits for the end, which must be a good one. */
static int finish(pid_t child, struct mf_err *err) {
    int status;
    pid_t waited;
    do waited = waitpid(child, &status, 0);
    while (waited < 0 && errno == EINTR);
    if (waited < 0) return mf_err_sys(err, EX_OSERR, "cannot wait for gnuplot");
    if (WIFSIGNALED(status))
        return mf_err_set(err, EX_UNAVAILABLE, "gnuplot was ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return mf_err_set(err, EX_UNAVAILABLE, "gnuplot ended with status %d", WEXITSTATUS(status));
    return 0;
}

static int run(int script, char **svg, struct mf_err *err) {
    struct mf_err second = {0}; /* what follows from the first is not told */
    int ends[2];
    pid_t child;
    if (pipe2(ends, O_CLOEXEC) < 0) return mf_err_sys(err, EX_OSERR, "cannot make a pipe");
    int status = start(&child, script, ends[1], err);
    close(ends[1]);
    if (status == 0) {
        status = read_svg(ends[0], svg, err);
        if (status < 0) kill(child, SIGKILL); /* there may be no end of it */
        if (finish(child, status < 0 ? &second : err) < 0) status = -1;
    }
    close(ends[0]);
    return status;
}

static const char last_words[] = "drawn\n";

/* Whether the text is so many whole documents and the last words. */
static bool whole(const char *svg, size_t charts) {
    for (; charts > 0; charts--) {
        const char *from = strstr(svg, "<svg"), *to = from ? strstr(from, "</svg>") : NULL;
        if (!to) return false;
        svg = to + strlen("</svg>");
    }
    return strcmp(svg + strspn(svg, "\n"), last_words) == 0;
}

int mf_gnuplot(const char *script, size_t size, size_t charts, char **svg, struct mf_err *err) {
    /* a script whose end got lost would not say these */
    static const char end[] = "set print '-'\nprint 'drawn'\n";
    *svg = NULL;
    int fd = mf_scratch_open(err);
    if (fd < 0) return -1;
    int status = mf_scratch_write(fd, script, size, 0, err);
    if (status == 0) status = mf_scratch_write(fd, end, strlen(end), size, err);
    if (status == 0) status = run(fd, svg, err);
    close(fd);
    if (status == 0 && !whole(*svg, charts))
        status = mf_err_set(err, EX_UNAVAILABLE, "gnuplot did not draw %zu whole charts", charts);
    if (status == 0) return 0;
    free(*svg);
    *svg = NULL;
    return -1;
}

/* Where an element that begins at `at` ends, or NULL. */
static const char *skip(const char *at, const char *end_tag) {
    const char *end = strstr(at, end_tag);
    return end ? end + strlen(end_tag) : NULL;
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

const char *mf_gnuplot_inline(char **drawn, size_t *size, const char *svg, bool marks) {
    const char *at = strstr(svg, "<g id=\"gnuplot_canvas\""), *end = at ? strstr(at, "</svg>") : NULL;
    if (!end) return NULL;
    FILE *f = open_memstream(drawn, size);
    if (!f) mf_no_memory();
    while (at && at < end) {
        if (begins(at, "<title>"))
            at = skip(at, "</title>");
        else if (begins(at, "<defs>") && !marks)
            at = skip(at, "</defs>");
        else if (begins(at, " id=\"")) {
            fputs(" class=\"", f);
            at += strlen(" id=\"");
        } else
            putc(*at++, f);
    }
    if (fclose(f) != 0) mf_no_memory();
    return end + strlen("</svg>");
}
