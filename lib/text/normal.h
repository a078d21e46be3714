/* What a tokenizer does to text before it cuts it into words: its normalizers, one after the other. Bytes
 * that are not of valid UTF-8 stay as they are. */
#ifndef MF_TEXT_NORMAL_H
#define MF_TEXT_NORMAL_H

#include "text/forms.h"
#include "text/pattern.h"
#include "text/tokenizer.h"

enum mf_normal_kind {
    MF_NORMAL_FORM,
    MF_NORMAL_LOWER,
    MF_NORMAL_REPLACE,
    MF_NORMAL_PREPEND,
    MF_NORMAL_STRIP
};

struct mf_normal_step {
    enum mf_normal_kind kind;
    enum mf_form form;
    struct mf_pattern *pattern; /* of what is replaced */
    char *content;              /* what replaces it, or is put before a text */
    size_t content_size;
    bool left, right; /* white space is taken away there */
};

/* Zeroed at first. */
struct mf_normal {
    struct mf_normal_step *steps;
    size_t n;
};
void mf_normal_free(struct mf_normal *normal);

/* Working memory, one a thread; zeroed at first. */
struct mf_normal_work {
    const struct mf_normal *normal;
    struct mf_forms forms;
    struct mf_search **searches; /* [n] of the steps' patterns */
    struct mf_text a, b;
};
void mf_normal_begin(struct mf_normal_work *work, const struct mf_normal *normal);
void mf_normal_end(struct mf_normal_work *work);

/* Makes *text and *size the normalized text: borrowed from `work` until the next call, or, where nothing
 * changes, as they were. EX_OSERR; EX_DATAERR as mf_search_next, and where a step makes too much of it
 * (growth.h); messages do not name the tokenizer. */
int mf_normal_apply(struct mf_normal_work *work, const char **text, size_t *size, struct mf_err *err);

#endif
