/* Reading the normalizer and the pre_tokenizer of a tokenizer.json: steps in a row. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "text/families.h"
#include "text/tokenizer_internal.h"

/* Steps of a file, and how deep sequences may be in one another. */
#define MOST_STEPS 64
#define MOST_DEEP  8

int reading_pattern(struct reading *r, const json_t *value, struct mf_pattern **pattern) {
    struct mf_err why;
    const json_t *string = json_object_get(value, "String"), *regex = json_object_get(value, "Regex");
    if (json_is_string(value)) string = value;
    if (!json_is_string(string) && !json_is_string(regex))
        return reading_bad(r, "a pattern is neither String nor Regex", NULL);
    const json_t *text = json_is_string(string) ? string : regex;
    enum mf_pattern_kind kind = text == string ? MF_PATTERN_STRING : MF_PATTERN_REGEX;
    if (mf_pattern_new(pattern, kind, json_string_value(text), json_string_length(text), &why) == 0) return 0;
    return mf_err_set(r->err, why.status, "%s: %s", r->path, why.text);
}

/* --- normalizers --- */

/* Takes the string of a field, which may be empty. */
static int take_content(struct reading *r, struct mf_normal_step *step, const json_t *part,
                        const char *field) {
    const json_t *text = json_object_get(part, field);
    if (!json_is_string(text)) return reading_bad(r, "a normalizer without", field);
    step->content_size = json_string_length(text);
    step->content = malloc(step->content_size + 1);
    if (!step->content) mf_no_memory();
    memcpy(step->content, json_string_value(text), step->content_size + 1);
    return 0;
}

/* The step has a place in the tokenizer before it is filled, so that what it owns is freed. */
static int fill_normalizer(struct reading *r, struct mf_normal_step *step, const json_t *part) {
    static const char *const forms[] = {"NFC", "NFD", "NFKC", "NFKD"};
    const char *type = reading_type(part);
    for (size_t i = 0; i < 4; i++)
        if (strcmp(type, forms[i]) == 0) {
            step->form = (enum mf_form)i;
            return 0;
        }
    if (strcmp(type, "Lowercase") == 0) {
        step->kind = MF_NORMAL_LOWER;
    } else if (strcmp(type, "Prepend") == 0) {
        step->kind = MF_NORMAL_PREPEND;
        return take_content(r, step, part, "prepend");
    } else if (strcmp(type, "Replace") == 0) {
        step->kind = MF_NORMAL_REPLACE;
        if (take_content(r, step, part, "content") < 0) return -1;
        return reading_pattern(r, json_object_get(part, "pattern"), &step->pattern);
    } else if (strcmp(type, "Strip") == 0) {
        step->kind = MF_NORMAL_STRIP;
        step->left = step->right = true;
        if (reading_flag(r, part, "strip_left", &step->left) < 0) return -1;
        return reading_flag(r, part, "strip_right", &step->right);
    } else {
        return reading_unsupported(r, "normalizer", part);
    }
    return 0;
}

static int add_normalizer(struct reading *r, const json_t *part, size_t deep) {
    struct mf_normal *normal = &r->t->normal;
    const json_t *item, *list;
    size_t i;
    if (strcmp(reading_type(part), "Sequence") == 0 && deep < MOST_DEEP) {
        if (reading_list(r, part, "normalizers", &list) < 0) return -1;
        json_array_foreach(list, i, item) {
            if (add_normalizer(r, item, deep + 1) < 0) return -1;
        }
        return 0;
    }
    if (normal->n == MOST_STEPS) return reading_bad(r, "too many normalizers", NULL);
    return fill_normalizer(r, &normal->steps[normal->n++], part);
}

int steps_normalizer(struct reading *r, const json_t *part) {
    if (reading_absent(part)) return 0;
    r->t->normal.steps = calloc(MOST_STEPS, sizeof *r->t->normal.steps);
    if (!r->t->normal.steps) mf_no_memory();
    return add_normalizer(r, part, 0);
}

/* --- pre-tokenizers --- */

static int read_behavior(struct reading *r, const json_t *part, struct mf_split_step *step) {
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                        "Contiguous"};
    const char *name = json_string_value(json_object_get(part, "behavior"));
    if (reading_flag(r, part, "invert", &step->invert) < 0) return -1;
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            step->behavior = (enum mf_split_behavior)i;
            return 0;
        }
    return reading_bad(r, "a pre_tokenizer's behavior is not known:", name ? name : "(none)");
}

/* Old files say whether a blank is put before a text, new ones before which. */
static int read_prepend(struct reading *r, const json_t *part, struct mf_split_step *step) {
    static const char *const names[] = {"never", "first", "always"};
    const json_t *scheme = json_object_get(part, "prepend_scheme");
    bool always = true;
    if (reading_flag(r, part, "add_prefix_space", &always) < 0) return -1;
    step->prepend = always ? MF_PREPEND_ALWAYS : MF_PREPEND_NEVER;
    if (reading_absent(scheme)) return 0;
    for (size_t i = 0; json_is_string(scheme) && i < 3; i++)
        if (strcmp(json_string_value(scheme), names[i]) == 0) {
            step->prepend = (enum mf_prepend)i;
            return 0;
        }
    return reading_bad(r, "a Metaspace's prepend_scheme is not known", NULL);
}

static int fill_metaspace(struct reading *r, struct mf_split_step *step, const json_t *part) {
    const json_t *mark = json_object_get(part, "replacement");
    size_t size = json_string_length(mark), length = 0;
    if (!json_is_string(mark) || size == 0 || mf_character(json_string_value(mark), size, &length) < 0 ||
        length != size)
        return reading_bad(r, "a Metaspace's replacement is not one character", NULL);
    memcpy(step->mark, json_string_value(mark), size);
    step->mark_size = size;
    step->behavior = MF_SPLIT_WITH_NEXT;
    bool cut = true;
    if (read_prepend(r, part, step) < 0 || reading_flag(r, part, "split", &cut) < 0) return -1;
    if (!cut) return 0;
    return mf_pattern_new(&step->pattern, MF_PATTERN_STRING, step->mark, size, r->err);
}

static int fill_step(struct reading *r, struct mf_split_step *step, const json_t *part) {
    const char *type = reading_type(part);
    if (strcmp(type, "Split") == 0) {
        if (read_behavior(r, part, step) < 0) return -1;
        return reading_pattern(r, json_object_get(part, "pattern"), &step->pattern);
    }
    if (strcmp(type, "Punctuation") == 0) {
        step->behavior = MF_SPLIT_ISOLATED;
        if (json_object_get(part, "behavior") && read_behavior(r, part, step) < 0) return -1;
        return mf_pattern_new_scanner(&step->pattern, mf_scan_punctuation, r->err);
    }
    if (strcmp(type, "Digits") == 0) {
        bool each = false;
        if (reading_flag(r, part, "individual_digits", &each) < 0) return -1;
        step->behavior = each ? MF_SPLIT_ISOLATED : MF_SPLIT_CONTIGUOUS;
        return mf_pattern_new_scanner(&step->pattern, mf_scan_number, r->err);
    }
    if (strcmp(type, "Metaspace") == 0) return fill_metaspace(r, step, part);
    return reading_unsupported(r, "pre_tokenizer", part);
}

static int read_byte_level(struct reading *r, const json_t *part) {
    bool words = true;
    r->t->characters = false;
    if (reading_flag(r, part, "add_prefix_space", &r->t->prefix_space) < 0 ||
        reading_flag(r, part, "use_regex", &words) < 0)
        return -1;
    r->t->whole = !words;
    return 0;
}

/* Behind ByteLevel text is letters of its alphabet. */
static int add_step(struct reading *r, const json_t *part, size_t deep) {
    struct mf_split_steps *steps = &r->t->steps;
    const json_t *item, *list;
    size_t i;
    if (strcmp(reading_type(part), "Sequence") == 0 && deep < MOST_DEEP) {
        if (reading_list(r, part, "pretokenizers", &list) < 0) return -1;
        json_array_foreach(list, i, item) {
            if (add_step(r, item, deep + 1) < 0) return -1;
        }
        return 0;
    }
    if (!r->t->characters)
        return reading_bad(r, "a pre_tokenizer after ByteLevel: not supported:", reading_type(part));
    if (strcmp(reading_type(part), "ByteLevel") == 0) return read_byte_level(r, part);
    if (steps->n == MOST_STEPS) return reading_bad(r, "too many pre_tokenizers", NULL);
    return fill_step(r, &steps->steps[steps->n++], part);
}

int steps_pre_tokenizer(struct reading *r, const json_t *part) {
    r->t->characters = true;
    if (reading_absent(part)) return 0;
    r->t->steps.steps = calloc(MOST_STEPS, sizeof *r->t->steps.steps);
    if (!r->t->steps.steps) mf_no_memory();
    return add_step(r, part, 0);
}
