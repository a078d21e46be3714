/* How text is cut before a tokenizer's model sees it: the pre-tokenizers but ByteLevel, each cutting what the
 * one before it left. */
#ifndef MF_TEXT_SPLIT_STEPS_H
#define MF_TEXT_SPLIT_STEPS_H

#include "text/pattern.h"
#include "text/tokenizer.h"

/* What becomes of the matches of a pattern and of the text between them. */
enum mf_split_behavior {
    MF_SPLIT_REMOVED,       /* matches are left out */
    MF_SPLIT_ISOLATED,      /* each alone */
    MF_SPLIT_WITH_PREVIOUS, /* a match ends the text before it */
    MF_SPLIT_WITH_NEXT,     /* a match begins the text behind it */
    MF_SPLIT_CONTIGUOUS     /* matches in a row are one */
};

enum mf_prepend { MF_PREPEND_NEVER, MF_PREPEND_FIRST, MF_PREPEND_ALWAYS };

struct mf_split_step {
    struct mf_pattern *pattern; /* NULL: text is not cut */
    enum mf_split_behavior behavior;
    bool invert;      /* matches are what is between the pattern's */
    char mark[5];     /* Metaspace: stands for blanks; "": another step */
    size_t mark_size; /* in bytes */
    enum mf_prepend prepend;
};

/* Zeroed at first. */
struct mf_split_steps {
    struct mf_split_step *steps;
    size_t n;
};
void mf_split_steps_free(struct mf_split_steps *steps);

/* Working memory, one a thread; zeroed at first. */
struct mf_split_work {
    const struct mf_split_steps *steps;
    struct mf_search **searches; /* [n] of the steps' patterns */
    struct mf_text *marked;      /* [n] the text with marks */
    size_t left;                 /* bytes that may be written with marks of this text */
};
void mf_split_begin(struct mf_split_work *work, const struct mf_split_steps *steps);
void mf_split_end(struct mf_split_work *work);

/* Hands what the steps leave of a text, never empty, to `take`, from left to right. `first`: it begins the
 * whole text. EX_OSERR; EX_DATAERR as mf_search_next, and where marks make too much of it (growth.h), without
 * the tokenizer's name; and what `take` returns below 0. */
typedef int mf_split_take(void *context, const char *text, size_t size, struct mf_err *err);
int mf_split(struct mf_split_work *work, const char *text, size_t size, bool first, mf_split_take *take,
             void *context, struct mf_err *err);

#endif
