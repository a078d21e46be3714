/* The normalizers. */
#include "text/normal.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include "base/memory.h"
#include "text/growth.h"
#include "text/kinds.h"
#include "text/pretokenize.h"

void mf_normal_free(struct mf_normal *normal) {
    for (size_t i = 0; i < normal->n; i++) {
        mf_pattern_free(normal->steps[i].pattern);
        free(normal->steps[i].content);
    }
    free(normal->steps);
    *normal = (struct mf_normal){0};
}

void mf_normal_begin(struct mf_normal_work *w, const struct mf_normal *normal) {
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers it is */
    *w = (struct mf_normal_work){.normal = normal, .searches = calloc(normal->n + 1, sizeof *w->searches)};
    if (!w->searches) mf_no_memory();
    for (size_t i = 0; i < normal->n; i++) w->searches[i] = mf_search_new(normal->steps[i].pattern);
}

void mf_normal_end(struct mf_normal_work *w) {
    for (size_t i = 0; w->searches && i < w->normal->n; i++) mf_search_free(w->searches[i]);
    free(w->searches);
    mf_forms_free(&w->forms);
    free(w->a.bytes);
    free(w->b.bytes);
    *w = (struct mf_normal_work){0};
}

/* Each puts its result behind `out`: 1, or 0 where the text stays as it is. */

static int put_form(struct mf_normal_work *w, enum mf_form form, const char *text, size_t size,
                    struct mf_text *out, struct mf_err *err) {
    if (mf_form_keeps(&w->forms, form, text, size)) return 0;
    return mf_form_put(&w->forms, form, text, size, out, err) < 0 ? -1 : 1;
}

/* Character by character, so without the sigma of the ends of words. */
static int put_lower(const char *text, size_t size, struct mf_text *out, struct mf_err *err) {
    for (size_t at = 0, length; at < size; at += length) {
        int32_t c = mf_character(text + at, size - at, &length);
        utf8proc_uint8_t lower[4];
        int status;
        if (c == 0x130) /* the only one that becomes two */
            status = mf_text_add(out, "i\xcc\x87", 3, err);
        else if (c < 0)
            status = mf_text_add(out, text + at, length, err);
        else
            status = mf_text_add(out, (char *)lower, (size_t)utf8proc_encode_char(utf8proc_tolower(c), lower),
                                 err);
        if (status < 0) return -1;
    }
    return 1;
}

static int check_growth(const struct mf_text *out, size_t limit, struct mf_err *err) {
    if (out->size <= limit) return 0;
    return mf_err_set(err, EX_DATAERR, "its normalizer makes more than %zu bytes of %zu", limit,
                      (limit - MF_GROWTH_FREE) / MF_GROWTH);
}

static int put_replaced(const struct mf_normal_step *step, struct mf_search *search, const char *text,
                        size_t size, size_t limit, struct mf_text *out, struct mf_err *err) {
    size_t at = 0, begin, end;
    int found;
    if (mf_search_begin(search, text, size, err) < 0) return -1;
    while ((found = mf_search_next(search, &begin, &end, err)) > 0) {
        if (mf_text_add(out, text + at, begin - at, err) < 0) return -1;
        if (mf_text_add(out, step->content, step->content_size, err) < 0) return -1;
        if (check_growth(out, limit, err) < 0) return -1;
        at = end;
    }
    if (found < 0) return -1;
    return at == 0 ? 0 : mf_text_add(out, text + at, size - at, err) < 0 ? -1 : 1;
}

static int put_prepended(const struct mf_normal_step *step, const char *text, size_t size,
                         struct mf_text *out, struct mf_err *err) {
    if (size == 0 || step->content_size == 0) return 0;
    if (mf_text_add(out, step->content, step->content_size, err) < 0) return -1;
    return mf_text_add(out, text, size, err) < 0 ? -1 : 1;
}

static int put_step(struct mf_normal_work *w, size_t i, const char *text, size_t size, size_t limit,
                    struct mf_text *out, struct mf_err *err) {
    const struct mf_normal_step *step = &w->normal->steps[i];
    switch (step->kind) {
    case MF_NORMAL_FORM:
        return put_form(w, step->form, text, size, out, err);
    case MF_NORMAL_LOWER:
        return put_lower(text, size, out, err);
    case MF_NORMAL_REPLACE:
        return put_replaced(step, w->searches[i], text, size, limit, out, err);
    case MF_NORMAL_PREPEND:
        return put_prepended(step, text, size, out, err);
    default:
        return 0;
    }
}

static void strip(const struct mf_normal_step *step, const char **text, size_t *size) {
    size_t left = step->left ? mf_space_at_begin(*text, *size) : 0;
    *text += left;
    *size -= left;
    if (step->right) *size -= mf_space_at_end(*text, *size);
}

int mf_normal_apply(struct mf_normal_work *w, const char **text, size_t *size, struct mf_err *err) {
    const size_t limit = mf_growth_limit(*size);
    for (size_t i = 0; i < w->normal->n; i++) mf_search_text(w->searches[i], *size);
    for (size_t i = 0; i < w->normal->n; i++) {
        if (w->normal->steps[i].kind == MF_NORMAL_STRIP) {
            strip(&w->normal->steps[i], text, size);
            continue;
        }
        w->b.size = 0;
        int put = put_step(w, i, *text, *size, limit, &w->b, err);
        if (put < 0 || check_growth(&w->b, limit, err) < 0) return -1;
        if (put == 0) continue;
        struct mf_text swapped = w->a; /* what was the text is written over by the next step */
        w->a = w->b;
        w->b = swapped;
        *text = w->a.bytes ? w->a.bytes : "";
        *size = w->a.size;
    }
    return 0;
}
