/* Progress lines: a bar that is drawn over on a terminal, plain lines elsewhere. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"

#define BAR_EVERY  0.1  /* seconds between two drawings of the bar */
#define LINE_EVERY 10.0 /* seconds between two plain lines */
#define BAR_WIDTH  20   /* characters */

enum { DRAW_NOTHING, DRAW_LINES, DRAW_BAR };

void mf_progress_begin(struct mf_progress *p, const char *program, const char *unit, uint64_t total,
                       enum mf_progress_mode mode, int quiet) {
    *p = (struct mf_progress){.program = program, .unit = unit, .total = total};
    p->started = p->shown = mf_now();
    if (quiet || mode == MF_PROGRESS_NEVER)
        p->draw = DRAW_NOTHING;
    else if (mode == MF_PROGRESS_ALWAYS || isatty(STDERR_FILENO))
        p->draw = DRAW_BAR;
    else
        p->draw = DRAW_LINES;
}

/* "0:42", "1:03:20". */
static void write_time(char text[32], double seconds) {
    unsigned long s = seconds < 0 || seconds > 1e9 ? 0 : (unsigned long)(seconds + 0.5);
    if (s < 3600)
        snprintf(text, 32, "%lu:%02lu", s / 60, s % 60);
    else
        snprintf(text, 32, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
}

/* Everything behind the program's name: "  42%  84/200 steps  loss 5.2  left 0:31  41 MB". */
static void describe(char *line, size_t size, const struct mf_progress *p, uint64_t done, const char *text,
                     double now) {
    char left[48] = "", count[96];
    if (p->total) {
        snprintf(count, sizeof count, "%3.0f%%  %llu/%llu %s", 100.0 * (double)done / (double)p->total,
                 (unsigned long long)done, (unsigned long long)p->total, p->unit);
        if (done > p->first && done < p->total) {
            char time[32];
            double each = (now - p->started) / (double)(done - p->first);
            write_time(time, each * (double)(p->total - done));
            snprintf(left, sizeof left, "  left %s", time);
        }
    } else {
        snprintf(count, sizeof count, "%llu %s", (unsigned long long)done, p->unit);
    }
    snprintf(line, size, "%s%s%s%s  %.0f MB", count, text && *text ? "  " : "", text ? text : "", left,
             (double)mf_peak_memory() / 1e6);
}

static size_t terminal_width(void) {
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 10) return w.ws_col;
    return 100;
}

static void draw_bar(const struct mf_progress *p, uint64_t done, const char *line) {
    char bar[BAR_WIDTH + 1] = "", whole[640];
    if (p->total) {
        uint64_t filled =
            done >= p->total ? BAR_WIDTH : (uint64_t)((double)done / (double)p->total * BAR_WIDTH);
        memset(bar, '.', BAR_WIDTH);
        memset(bar, '#', (size_t)filled);
    }
    int n = p->total ? snprintf(whole, sizeof whole, "%s [%s] %s", p->program, bar, line)
                     : snprintf(whole, sizeof whole, "%s %s", p->program, line);
    size_t width = terminal_width() - 1;
    if (n > 0 && (size_t)n > width && width < sizeof whole) whole[width] = 0;
    fprintf(stderr, "\r%s\033[K", whole);
    fflush(stderr);
}

void mf_progress_show(struct mf_progress *p, uint64_t done, const char *text) {
    if (p->draw == DRAW_NOTHING) return;
    double now = mf_now();
    if (p->lines == 0 && p->shown == p->started) {
        p->first = done;
        p->shown = now - (p->draw == DRAW_BAR ? BAR_EVERY : 0);
        if (p->shown == p->started) p->shown += 1e-9; /* so that this branch is taken once */
    }
    if (now - p->shown < (p->draw == DRAW_BAR ? BAR_EVERY : LINE_EVERY)) return;
    char line[512];
    describe(line, sizeof line, p, done, text, now);
    if (p->draw == DRAW_BAR)
        draw_bar(p, done, line);
    else
        fprintf(stderr, "%s: %s\n", p->program, line);
    p->shown = now;
    p->lines++;
}

void mf_progress_end(struct mf_progress *p, uint64_t done) {
    if (p->lines == 0) return;
    if (p->draw == DRAW_BAR) {
        fputs("\r\033[K", stderr);
    } else {
        char time[32];
        write_time(time, mf_now() - p->started);
        fprintf(stderr, "%s: %llu %s in %s  %.0f MB\n", p->program, (unsigned long long)done, p->unit, time,
                (double)mf_peak_memory() / 1e6);
    }
    fflush(stderr);
    p->lines = 0;
}
