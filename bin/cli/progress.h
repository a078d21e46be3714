/* Progress on standard error: on a terminal one line drawn over and over, elsewhere a plain line now and
 * then. */
#ifndef MF_CLI_PROGRESS_H
#define MF_CLI_PROGRESS_H

#include <stdint.h>

enum mf_progress_mode { MF_PROGRESS_AUTO, MF_PROGRESS_ALWAYS, MF_PROGRESS_NEVER };

struct mf_progress {
    const char *program, *unit; /* borrowed; unit e.g. "documents", "steps" */
    uint64_t total;             /* 0 when not known */
    int draw;                   /* 0 nothing, 1 plain lines, 2 a bar */
    double started, shown;      /* seconds */
    uint64_t first;             /* what was done when it was first shown: not 0 after a resume */
    int lines;                  /* showings so far */
};

/* AUTO draws a bar on a terminal and plain lines (every 10 s) elsewhere; ALWAYS draws the bar; NEVER, or
 * `quiet`, draws nothing. */
void mf_progress_begin(struct mf_progress *p, const char *program, const char *unit, uint64_t total,
                       enum mf_progress_mode mode, int quiet);

/* Shows `done` and a free text ("loss 5.21  4312 tokens/s"; may be NULL) if the last showing is old enough
 * (0.1 s on a terminal), with bar, percentage, time left and peak memory. */
void mf_progress_show(struct mf_progress *p, uint64_t done, const char *text);

/* Clears the bar, or prints a last plain line with the final count if any line was printed. */
void mf_progress_end(struct mf_progress *p, uint64_t done);

#endif
