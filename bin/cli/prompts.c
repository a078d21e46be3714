/* Reading prompts one after the other. */
#include "cli/prompts.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "base/signals.h"
#include "io/file.h"

struct mf_prompts {
    const struct mf_strs *texts; /* prompts by option, or NULL */
    size_t next;                 /* of them */
    struct mf_in *in;            /* lines, or NULL */
    char *bytes;                 /* a whole file, or the line */
    size_t size, capacity;
    bool whole; /* `bytes` is a file not yet handed out */
    EditLine *editor;
    History *history;
};

/* A handler can reach nothing else. */
static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number) {
    (void)signal_number;
    interrupted = 1;
}

static struct mf_prompts *new_prompts(void) {
    struct mf_prompts *p = calloc(1, sizeof *p);
    if (!p) mf_no_memory();
    return p;
}

int mf_prompts_open(struct mf_prompts **out, const struct mf_strs *texts, const char *file,
                    struct mf_err *err) {
    struct mf_prompts *p = new_prompts();
    int status = 0;
    if (texts->count > 0) {
        p->texts = texts;
    } else if (file && strcmp(file, "-") != 0) {
        unsigned char *bytes = NULL;
        status = mf_read_all(file, MF_PROMPT_LIMIT, &bytes, &p->size, err);
        p->bytes = (char *)bytes;
        p->whole = true;
    } else {
        status = mf_in_open(&p->in, NULL, err);
    }
    if (status < 0)
        mf_prompts_close(p);
    else
        *out = p;
    return status;
}

static char *sign(EditLine *editor) {
    static char text[] = "> ";
    (void)editor;
    return text;
}

int mf_prompts_interactive(struct mf_prompts **out, const char *program, struct mf_err *err) {
    struct mf_prompts *p = new_prompts();
    struct sigaction action = {.sa_handler = interrupt}; /* no SA_RESTART: reading a line ends, too */
    HistEvent event;
    setlocale(LC_CTYPE, ""); /* characters are edited whole */
    p->editor = el_init(program, stdin, stdout, stderr);
    p->history = history_init();
    if (!p->editor || !p->history) {
        mf_prompts_close(p);
        return mf_err_set(err, EX_OSERR, "cannot edit lines on this terminal");
    }
    history(p->history, &event, H_SETSIZE, 1000);
    el_set(p->editor, EL_PROMPT, sign);
    el_set(p->editor, EL_HIST, history, p->history);
    el_set(p->editor, EL_EDITOR, "emacs");
    sigemptyset(&action.sa_mask);
    mf_signal_handle(SIGINT, &action);
    *out = p;
    return 0;
}

/* A typed line; Ctrl-C gives it up and begins another. */
static int typed_line(struct mf_prompts *p, const char **text, size_t *size, struct mf_err *err) {
    for (;;) {
        HistEvent event;
        int count = 0;
        errno = 0;
        interrupted = 0;
        const char *line = el_gets(p->editor, &count);
        bool given_up = interrupted != 0;
        interrupted = 0;
        if (!line || count <= 0) {
            if (!given_up && (count == 0 || errno == 0)) return 0;
            if (!given_up) return mf_err_set(err, EX_IOERR, "standard input: %s", strerror(errno));
            clearerr(stdin);
            fputc('\n', stdout);
            el_reset(p->editor);
            continue;
        }
        *size = (size_t)count - (line[count - 1] == '\n');
        *text = line;
        if (*size > 0) history(p->history, &event, H_ENTER, line);
        return 1;
    }
}

/* A line of the input; what is there is taken at once, so a line from a pipe is answered before the next. */
static int read_line(struct mf_prompts *p, const char **text, size_t *size, struct mf_err *err) {
    for (p->size = 0;;) {
        const unsigned char *bytes;
        int64_t n = mf_in_peek(p->in, &bytes, 1, err);
        if (n < 0) return -1;
        if (n == 0 && p->size == 0) return 0;
        const unsigned char *end = n > 0 ? memchr(bytes, '\n', (size_t)n) : NULL;
        size_t part = end ? (size_t)(end - bytes) : (size_t)n, taken = part + (end ? 1 : 0);
        if (part > MF_PROMPT_LIMIT - p->size)
            return mf_err_set(err, EX_DATAERR, "%s: a prompt is larger than %zu bytes", mf_in_name(p->in),
                              MF_PROMPT_LIMIT);
        if (p->size + taken + 1 > p->capacity) {
            p->capacity = 2 * (p->size + taken + 1);
            p->bytes = realloc(p->bytes, p->capacity);
            if (!p->bytes) mf_no_memory();
        }
        if (mf_in_read(p->in, p->bytes + p->size, taken, err) < 0) return -1;
        p->size += part;
        if (n == 0 || end) break;
    }
    if (p->size > 0 && p->bytes[p->size - 1] == '\r') p->size--; /* a line of another system */
    *text = p->bytes;
    *size = p->size;
    return 1;
}

int mf_prompts_next(struct mf_prompts *p, const char **text, size_t *size, struct mf_err *err) {
    if (p->editor) return typed_line(p, text, size, err);
    if (p->in) return read_line(p, text, size, err);
    if (p->texts) {
        if (p->next == p->texts->count) return 0;
        *text = p->texts->items[p->next++];
        *size = strlen(*text);
        return 1;
    }
    if (!p->whole) return 0;
    p->whole = false;
    *text = p->bytes;
    *size = p->size;
    return 1;
}

bool mf_prompts_halted(const struct mf_prompts *p) {
    return p->editor && interrupted;
}

void mf_prompts_close(struct mf_prompts *p) {
    if (!p) return;
    mf_in_close(p->in);
    if (p->history) history_end(p->history);
    if (p->editor) el_end(p->editor);
    free(p->bytes);
    free(p);
}
