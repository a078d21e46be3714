/* A character is stable where its form is itself and it neither joins what stands before it nor changes
 * places with it. A text may be cut before each stable character, and its parts normalized alone. */
#include "text/forms.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include "base/memory.h"
#include "text/forms_order.h"
#include "text/kinds.h"

#define SHORT 64 /* bytes: in longer parts marks are put in order first */

enum { UNKNOWN, STABLE, CHANGES };

#define CODE_POINTS 0x110000

/* Below this all characters are stable in the composed forms; in the others and in compatibility's below
 * 0x80. */
#define COMPOSED_BEGIN 0x300
#define OTHERS_BEGIN   0x80

/* Letters of Hangul that join those before them; others that join are marks. */
#define JAMO_BEGIN 0x1160
#define JAMO_END   0x1200

static const int options_of[MF_FORMS] = {
    [MF_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
    [MF_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
    [MF_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
    [MF_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
};

void mf_forms_free(struct mf_forms *forms) {
    for (size_t i = 0; i < MF_FORMS; i++) free(forms->known[i]);
    *forms = (struct mf_forms){0};
}

static utf8proc_uint8_t *map_part(enum mf_form form, const char *text, size_t size, size_t *mapped) {
    utf8proc_uint8_t *to;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, &to,
                                      (utf8proc_option_t)options_of[form]);
    if (n < 0) mf_no_memory();
    *mapped = (size_t)n;
    return to;
}

/* The form of valid UTF-8, freed by free(). */
static utf8proc_uint8_t *map(enum mf_form form, const char *text, size_t size, size_t *mapped) {
    if (size <= SHORT) return map_part(form, text, size, mapped);
    char *ordered = mf_marks_order(text, size, (options_of[form] & UTF8PROC_COMPAT) != 0, &size);
    utf8proc_uint8_t *to = map_part(form, ordered, size, mapped);
    free(ordered);
    return to;
}

static int examine(enum mf_form form, int32_t c, const char *text, size_t size) {
    size_t mapped;
    if ((c >= JAMO_BEGIN && c < JAMO_END) || mf_kind(text, size, &mapped) == MF_MARK) return CHANGES;
    utf8proc_uint8_t *to = map(form, text, size, &mapped);
    int same = mapped == size && memcmp(to, text, size) == 0;
    free(to);
    return same ? STABLE : CHANGES;
}

/* Stray bytes are stable, too. */
static bool stable(struct mf_forms *f, enum mf_form form, const char *text, size_t size, size_t *length) {
    *length = 1;
    if ((unsigned char)*text < 0x80) return true;
    int32_t c = mf_character(text, size, length);
    if (c < (form == MF_NFC ? COMPOSED_BEGIN : OTHERS_BEGIN)) return true;
    if (!f->known[form] && !(f->known[form] = calloc(CODE_POINTS, 1))) mf_no_memory();
    unsigned char *known = &f->known[form][c];
    if (*known == UNKNOWN) *known = (unsigned char)examine(form, c, text, *length);
    return *known == STABLE;
}

/* The end of the stable text from `at`, short of its last character where another follows that is not. */
static size_t stable_until(struct mf_forms *f, enum mf_form form, const char *text, size_t size, size_t at) {
    size_t last = at, length;
    for (; at < size; at += length) {
        if (!stable(f, form, text + at, size - at, &length)) return last;
        last = at;
    }
    return size;
}

bool mf_form_keeps(struct mf_forms *f, enum mf_form form, const char *text, size_t size) {
    return stable_until(f, form, text, size, 0) == size;
}

/* The end of a part that begins at `at` with the last stable character, if there was one, and goes on with
 * those that are not. A stray byte is no part of it. */
static size_t part_end(struct mf_forms *f, enum mf_form form, const char *text, size_t size, size_t at) {
    size_t length;
    stable(f, form, text + at, size - at, &length);
    for (at += length; at < size; at += length)
        if (stable(f, form, text + at, size - at, &length)) break;
    return at;
}

static int put_part(enum mf_form form, const char *text, size_t size, struct mf_text *out,
                    struct mf_err *err) {
    size_t mapped, stray = 0, length;
    if (size && mf_character(text, size, &length) < 0) stray = 1;
    if (mf_text_add(out, text, stray, err) < 0) return -1;
    utf8proc_uint8_t *to = map(form, text + stray, size - stray, &mapped);
    int status = mf_text_add(out, (char *)to, mapped, err);
    free(to);
    return status;
}

int mf_form_put(struct mf_forms *f, enum mf_form form, const char *text, size_t size, struct mf_text *out,
                struct mf_err *err) {
    for (size_t at = 0; at < size;) {
        size_t end = stable_until(f, form, text, size, at);
        if (mf_text_add(out, text + at, end - at, err) < 0) return -1;
        if (end == size) return 0;
        at = part_end(f, form, text, size, end);
        if (put_part(form, text + end, at - end, out, err) < 0) return -1;
    }
    return 0;
}
