/* Each step walks through its matches; what it cuts off goes to the next step at once. */
#include "text/split_steps.h"

#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "text/growth.h"

void mf_split_steps_free(struct mf_split_steps *s) {
    for (size_t i = 0; i < s->n; i++) mf_pattern_free(s->steps[i].pattern);
    free(s->steps);
    *s = (struct mf_split_steps){0};
}

void mf_split_begin(struct mf_split_work *w, const struct mf_split_steps *steps) {
    *w = (struct mf_split_work){.steps = steps,
                                /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers it is */
                                .searches = calloc(steps->n + 1, sizeof *w->searches),
                                .marked = calloc(steps->n + 1, sizeof *w->marked)};
    if (!w->searches || !w->marked) mf_no_memory();
    for (size_t i = 0; i < steps->n; i++) w->searches[i] = mf_search_new(steps->steps[i].pattern);
}

void mf_split_end(struct mf_split_work *w) {
    for (size_t i = 0; w->searches && i < w->steps->n; i++) {
        mf_search_free(w->searches[i]);
        free(w->marked[i].bytes);
    }
    free(w->searches);
    free(w->marked);
    *w = (struct mf_split_work){0};
}

/* --- one step --- */

struct span {
    size_t begin, end;
    bool match;
};

struct walk {
    struct mf_split_work *work;
    size_t step;
    const char *text;
    bool first;
    mf_split_take *take;
    void *context;
    bool held; /* a span is kept back: the next one may be joined to it */
    struct span span;
    bool match; /* was the last span a match? */
};

static int split(struct mf_split_work *w, size_t step, const char *text, size_t size, bool first,
                 mf_split_take *take, void *context, struct mf_err *err);

static int emit(const struct walk *k, const struct span *s, struct mf_err *err) {
    return split(k->work, k->step + 1, k->text + s->begin, s->end - s->begin, k->first && s->begin == 0,
                 k->take, k->context, err);
}

static int flush(struct walk *k, struct mf_err *err) {
    bool held = k->held;
    k->held = false;
    return held ? emit(k, &k->span, err) : 0;
}

/* Is the span joined to the one before it? Matches in a row never are, but where they are to be contiguous.
 */
static bool joins(const struct walk *k, enum mf_split_behavior behavior, bool match) {
    if (behavior == MF_SPLIT_CONTIGUOUS) return match == k->match;
    if (behavior == MF_SPLIT_WITH_PREVIOUS) return match && !k->match;
    return behavior == MF_SPLIT_WITH_NEXT && !match && k->match;
}

static int add(struct walk *k, size_t begin, size_t end, bool match, struct mf_err *err) {
    const struct mf_split_step *step = &k->work->steps->steps[k->step];
    const struct span span = {begin, end, match != step->invert};
    if (begin == end) return 0;
    if (step->behavior == MF_SPLIT_REMOVED && span.match) return 0;
    if (step->behavior <= MF_SPLIT_ISOLATED) return emit(k, &span, err);
    if (k->held && joins(k, step->behavior, span.match)) {
        k->span.end = end;
    } else {
        if (flush(k, err) < 0) return -1;
        k->span = span;
        k->held = true;
    }
    k->match = span.match;
    return 0;
}

static int walk(struct walk *k, size_t size, struct mf_err *err) {
    struct mf_search *search = k->work->searches[k->step];
    size_t at = 0, begin, end;
    int found;
    if (mf_search_begin(search, k->text, size, err) < 0) return -1;
    while ((found = mf_search_next(search, &begin, &end, err)) > 0) {
        if (add(k, at, begin, false, err) < 0 || add(k, begin, end, true, err) < 0) return -1;
        at = end;
    }
    if (found < 0 || add(k, at, size, false, err) < 0) return -1;
    return flush(k, err);
}

/* Metaspace: blanks become marks, and a mark may be put before the text. */
static int mark(const struct mf_split_step *step, struct mf_text *marked, const char *text, size_t size,
                bool first, struct mf_err *err) {
    marked->size = 0;
    for (size_t at = 0; at < size;) {
        const char *blank = memchr(text + at, ' ', size - at);
        size_t end = blank ? (size_t)(blank - text) : size;
        if (mf_text_add(marked, text + at, end - at, err) < 0) return -1;
        if (blank && mf_text_add(marked, step->mark, step->mark_size, err) < 0) return -1;
        at = end + 1;
    }
    bool begun = marked->size >= step->mark_size && memcmp(marked->bytes, step->mark, step->mark_size) == 0;
    bool wanted = step->prepend == MF_PREPEND_ALWAYS || (step->prepend == MF_PREPEND_FIRST && first);
    if (begun || !wanted) return 0;
    if (mf_text_add(marked, step->mark, step->mark_size, err) < 0) return -1;
    memmove(marked->bytes + step->mark_size, marked->bytes, marked->size - step->mark_size);
    memcpy(marked->bytes, step->mark, step->mark_size);
    return 0;
}

/* Marks put before what other marks cut would double a text with each step. */
static int spend(struct mf_split_work *w, size_t size, struct mf_err *err) {
    if (size > w->left)
        return mf_err_set(err, EX_DATAERR, "its pre_tokenizer makes too many marks of one text");
    w->left -= size;
    return 0;
}

static int split(struct mf_split_work *w, size_t step, const char *text, size_t size, bool first,
                 mf_split_take *take, void *context, struct mf_err *err) {
    if (size == 0) return 0;
    if (step == w->steps->n) return take(context, text, size, err);
    const struct mf_split_step *s = &w->steps->steps[step];
    if (s->mark_size) {
        struct mf_text *marked = &w->marked[step];
        if (mark(s, marked, text, size, first, err) < 0 || spend(w, marked->size, err) < 0) return -1;
        text = marked->bytes;
        size = marked->size;
    }
    if (!s->pattern) return split(w, step + 1, text, size, first, take, context, err);
    struct walk k = {.work = w, .step = step, .text = text, .first = first, .take = take, .context = context};
    return walk(&k, size, err);
}

int mf_split(struct mf_split_work *w, const char *text, size_t size, bool first, mf_split_take *take,
             void *context, struct mf_err *err) {
    w->left = mf_growth_limit(size);
    for (size_t i = 0; i < w->steps->n; i++) mf_search_text(w->searches[i], size);
    return split(w, 0, text, size, first, take, context, err);
}
