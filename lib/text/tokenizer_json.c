/* Reading tokenizer.json. */
#include "text/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "base/strings.h"
#include "io/json_file.h"
#include "io/sha256.h"

#define FILE_LIMIT ((size_t)256 << 20)

int reading_bad(struct reading *r, const char *what, const char *name) {
    return mf_err_set(r->err, EX_DATAERR, "%s: %s%s%.100s", r->path, what, name ? " " : "", name ? name : "");
}

int reading_id(struct reading *r, const char *token, const json_t *value, uint32_t *id) {
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || (size_t)n >= r->t->size)
        return mf_err_set(r->err, EX_DATAERR,
                          "%s: the id of token '%.60s' is not a number below the vocabulary's size %zu",
                          r->path, token, r->t->size);
    *id = (uint32_t)n;
    return 0;
}

int reading_flag(struct reading *r, const json_t *part, const char *key, bool *flag) {
    const json_t *value = json_object_get(part, key);
    if (reading_absent(value)) return 0;
    if (!json_is_boolean(value))
        return mf_err_set(r->err, EX_DATAERR, "%s: %s is neither true nor false", r->path, key);
    *flag = json_is_true(value);
    return 0;
}

int reading_list(struct reading *r, const json_t *part, const char *key, const json_t **list) {
    *list = json_object_get(part, key);
    if (json_is_array(*list)) return 0;
    return mf_err_set(r->err, EX_DATAERR, "%s: a Sequence whose %s are not a list", r->path, key);
}

/* The ids of the vocabulary and the added tokens: a few may be missing, as in files of others. */
static int read_size(struct reading *r, const json_t *root) {
    struct mf_tokenizer *t = r->t;
    const json_t *added = json_object_get(root, "added_tokens"), *item, *value;
    const char *token;
    size_t i;
    json_int_t max = -1;
    if (added && !json_is_array(added) && !json_is_null(added))
        return reading_bad(r, "added_tokens is not a list", NULL);
    json_object_foreach((json_t *)(uintptr_t)r->vocab, token, value) {
        if (json_integer_value(value) > max) max = json_integer_value(value);
    }
    json_array_foreach(added, i, item) {
        json_int_t id = json_integer_value(json_object_get(item, "id"));
        if (id > max) max = id;
    }
    size_t there = json_object_size(r->vocab) + json_array_size(added);
    if (max < 0 || (size_t)max >= 2 * there + 65536 || (size_t)max >= MF_VOCAB_LIMIT)
        return mf_err_set(r->err, EX_DATAERR, "%s: %zu tokens with ids up to %lld are not supported", r->path,
                          there, (long long)max);
    t->size = (size_t)max + 1;
    t->tokens = calloc(t->size, sizeof *t->tokens);
    if (!t->tokens) return mf_err_set(r->err, EX_OSERR, "%s: out of memory", r->path);
    for (size_t k = 0; k < MF_SPECIALS; k++) t->known[k] = -1;
    return 0;
}

static int read_all(struct reading *r, const json_t *root) {
    const json_t *model = json_object_get(root, "model");
    r->vocab = json_object_get(model, "vocab");
    if (read_size(r, root) < 0 || parts_added(r, root) < 0 || vocab_read(r, model) < 0 ||
        vocab_merges(r, model) < 0 || parts_around(r, root) < 0)
        return -1;
    parts_known(r, root);
    return 0;
}

/* The file but for its merges, if they are a list: these are read later, piece by piece. */
static json_t *parse(struct reading *r, char *text, size_t size) {
    const struct mf_json_span model = mf_json_find(text, size, "model");
    struct mf_json_span merges = mf_json_find(text + model.begin, model.end - model.begin, "merges");
    merges.begin += model.begin;
    merges.end += model.begin;
    if (!mf_json_list_begin(&r->merges, text, merges, r->path))
        return mf_json_text(text, size, JSON_REJECT_DUPLICATES, r->path, r->err);
    char *rest = mf_json_list_without(&r->merges, size, &size);
    json_t *root = mf_json_text(rest, size, JSON_REJECT_DUPLICATES, r->path, r->err);
    free(rest);
    return root;
}

int mf_tokenizer_load(struct mf_tokenizer **out, const char *path, struct mf_err *err) {
    unsigned char *text;
    size_t size;
    if (mf_read_all(path, FILE_LIMIT, &text, &size, err) < 0) return -1;
    struct mf_tokenizer *t = calloc(1, sizeof *t);
    if (!t) mf_no_memory();
    struct reading r = {.t = t, .path = path, .err = err};
    mf_sha256_of(text, size, t->sha256);
    json_t *root = parse(&r, (char *)text, size);
    t->path = mf_format("%s", path);
    mf_alphabet_fill(&r.alphabet);
    int status = root && parts_check(&r, root) == 0 ? read_all(&r, root) : -1;
    json_decref(root);
    free(text);
    free(r.bytes.bytes);
    if (status == 0)
        *out = t;
    else
        mf_tokenizer_free(t);
    return status;
}
