/* Reading tokenizer.json: the vocabulary and the merges. */
#include "text/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>
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

/* The ids of the vocabulary and the added tokens: a few may be missing, as in files of others. */
static int read_size(struct reading *r, const json_t *root) {
    struct mf_tokenizer *t = r->t;
    const json_t *added = json_object_get(root, "added_tokens"), *item, *value;
    const char *token;
    size_t i;
    json_int_t most = -1;
    if (added && !json_is_array(added) && !json_is_null(added))
        return reading_bad(r, "added_tokens is not a list", NULL);
    json_object_foreach((json_t *)(uintptr_t)r->vocab, token, value) {
        if (json_integer_value(value) > most) most = json_integer_value(value);
    }
    json_array_foreach(added, i, item) {
        json_int_t id = json_integer_value(json_object_get(item, "id"));
        if (id > most) most = id;
    }
    size_t there = json_object_size(r->vocab) + json_array_size(added);
    if (most < 0 || (size_t)most >= 2 * there + 65536 || (size_t)most >= MF_VOCAB_LIMIT)
        return mf_err_set(r->err, EX_DATAERR, "%s: %zu tokens with ids up to %lld are not supported", r->path,
                          there, (long long)most);
    t->size = (size_t)most + 1;
    t->tokens = calloc(t->size, sizeof *t->tokens);
    if (!t->tokens) return mf_err_set(r->err, EX_OSERR, "%s: out of memory", r->path);
    for (size_t k = 0; k < MF_SPECIALS; k++) t->known[k] = -1;
    return 0;
}

/* A token of the vocabulary that is an added one, too. */
static bool is_added(const struct mf_tokenizer *t, uint32_t id, const char *text) {
    for (size_t i = 0; i < t->n_added; i++)
        if (t->added[i].id == id) return strcmp(t->added[i].text, text) == 0;
    return false;
}

/* Added tokens of several bytes that need no merges. */
static size_t plain_added(const struct mf_tokenizer *t) {
    size_t n = 0;
    for (size_t i = 0; i < t->n_added; i++) n += !t->added[i].special && t->added[i].size > 1;
    return n;
}

/* The bytes of the tokens, spelled in the byte alphabet; an added one whose letters are not all of it stands
 * for its text as it is. */
static int read_vocab(struct reading *r) {
    struct mf_tokenizer *t = r->t;
    const char *token;
    const json_t *value;
    size_t total = 0, at = 0;
    json_object_foreach((json_t *)(uintptr_t)r->vocab, token, value) total += strlen(token);
    for (size_t i = 0; i < t->n_added; i++) total += t->added[i].size;
    t->bytes = calloc(1, total + TOKEN_SLACK);
    if (!t->bytes) return mf_err_set(r->err, EX_OSERR, "%s: out of memory", r->path);
    for (size_t i = 0; i < t->n_added; i++) {
        struct token_bytes *p = &t->tokens[t->added[i].id];
        if (p->special) continue;
        int64_t size = mf_alphabet_read(&r->alphabet, t->added[i].text, t->added[i].size, t->bytes + at);
        if (size < 1) memcpy(t->bytes + at, t->added[i].text, t->added[i].size);
        *p = (struct token_bytes){at, size < 1 ? t->added[i].size : (size_t)size, true, false};
        at += p->size;
    }
    for (size_t b = 0; b < 256; b++) t->byte_ids[b] = -1;
    json_object_foreach((json_t *)(uintptr_t)r->vocab, token, value) {
        uint32_t id = 0;
        if (reading_id(r, token, value, &id) < 0) return -1;
        struct token_bytes *p = &t->tokens[id];
        bool added = p->there && is_added(t, id, token);
        if (p->there && !added) return reading_bad(r, "an id used twice, by token", token);
        int64_t size = mf_alphabet_read(&r->alphabet, token, strlen(token), t->bytes + at);
        if (added && size == 1) t->byte_ids[(unsigned char)t->bytes[at]] = id; /* the byte keeps its token */
        if (added) continue;
        if (size < 1) return reading_bad(r, "a token outside the byte alphabet:", token);
        *p = (struct token_bytes){at, (size_t)size, true, false};
        if (size == 1) t->byte_ids[(unsigned char)t->bytes[at]] = id;
        at += (size_t)size;
    }
    return 0;
}

static int read_unk(struct reading *r, const json_t *model) {
    const char *unk = json_string_value(json_object_get(model, "unk_token"));
    uint32_t id = 0;
    r->t->unk = -1;
    r->t->fuse_unk = json_is_true(json_object_get(model, "fuse_unk"));
    if (!unk) return 0;
    const json_t *value = json_object_get(r->vocab, unk);
    if (!value) return reading_bad(r, "unk_token is not in the vocabulary:", unk);
    if (reading_id(r, unk, value, &id) < 0) return -1;
    r->t->unk = id;
    return 0;
}

/* The two halves of a merge: "a b", or ["a", "b"]. */
static int split_merge(struct reading *r, const json_t *merge, size_t i, const char **left, size_t *left_size,
                       const char **right) {
    const json_t *a = json_array_get(merge, 0), *b = json_array_get(merge, 1);
    if (json_is_array(merge) && json_array_size(merge) == 2 && json_is_string(a) && json_is_string(b)) {
        *left = json_string_value(a);
        *left_size = json_string_length(a);
        *right = json_string_value(b);
        return 0;
    }
    const char *both = json_string_value(merge), *space = both ? strchr(both, ' ') : NULL;
    if (!space || strchr(space + 1, ' '))
        return mf_err_set(r->err, EX_DATAERR, "%s: merge %zu is neither \"a b\" nor [\"a\", \"b\"]", r->path,
                          i);
    *left = both;
    *left_size = (size_t)(space - both);
    *right = space + 1;
    return 0;
}

/* The id of the token whose name is in `name`. */
static int merge_part(struct reading *r, const char *name, size_t i, uint32_t *id) {
    const json_t *value = json_object_get(r->vocab, name);
    if (!value)
        return mf_err_set(r->err, EX_DATAERR,
                          "%s: merge %zu names a token missing from the vocabulary: '%.60s'", r->path, i,
                          name);
    *id = (uint32_t)json_integer_value(value);
    return 0;
}

/* `name` has room for any merge's bytes. */
static int read_merge(struct reading *r, const json_t *merge, size_t i, char *name) {
    const char *left = "", *right = "";
    size_t left_size = 0;
    uint32_t a = 0, b = 0, both = 0;
    if (split_merge(r, merge, i, &left, &left_size, &right) < 0) return -1;
    memcpy(name, left, left_size);
    name[left_size] = '\0';
    if (merge_part(r, name, i, &a) < 0 || merge_part(r, right, i, &b) < 0) return -1;
    memcpy(name + left_size, right, strlen(right) + 1);
    if (merge_part(r, name, i, &both) < 0) return -1;
    uint64_t key = mf_pair(a, b);
    if (mf_pair_map_get(&r->t->merges, key)) {
        name[left_size] = '\0';
        return mf_err_set(r->err, EX_DATAERR, "%s: merge %zu ('%.40s' '%.40s') is there twice", r->path, i,
                          name, right);
    }
    return mf_pair_map_put(&r->t->merges, key, (uint64_t)i << 32 | both, r->err);
}

static int read_merges(struct reading *r, const json_t *merges) {
    size_t i, longer = 0, capacity = 1;
    const json_t *merge;
    for (size_t id = 0; id < r->t->size; id++) longer += r->t->tokens[id].size > 1;
    longer -= plain_added(r->t);
    if (json_array_size(merges) == 0 && longer)
        return mf_err_set(r->err, EX_DATAERR,
                          "%s: merges is empty, but the vocabulary has %zu tokens of several bytes", r->path,
                          longer);
    json_array_foreach(merges, i, merge) {
        size_t size = json_string_length(merge) + json_string_length(json_array_get(merge, 0)) +
                      json_string_length(json_array_get(merge, 1)) + 1;
        if (size > capacity) capacity = size;
    }
    char *name = malloc(capacity);
    if (!name) return mf_err_set(r->err, EX_OSERR, "%s: out of memory", r->path);
    int status = 0;
    json_array_foreach(merges, i, merge) {
        if (status == 0) status = read_merge(r, merge, i, name);
    }
    free(name);
    return status;
}

static int read_all(struct reading *r, const json_t *root) {
    struct mf_tokenizer *t = r->t;
    const json_t *model = json_object_get(root, "model");
    r->vocab = json_object_get(model, "vocab");
    if (read_size(r, root) < 0 || parts_added(r, root) < 0 || read_vocab(r) < 0 || read_unk(r, model) < 0 ||
        read_merges(r, json_object_get(model, "merges")) < 0 || parts_around(r, root) < 0)
        return -1;
    if (t->known[MF_BOS] < 0 && t->before.count) t->known[MF_BOS] = t->before.ids[0];
    if (t->known[MF_EOS] < 0 && t->after.count) t->known[MF_EOS] = t->after.ids[t->after.count - 1];
    return 0;
}

int mf_tokenizer_load(struct mf_tokenizer **out, const char *path, struct mf_err *err) {
    unsigned char *text;
    size_t size;
    json_error_t where;
    if (mf_read_all(path, FILE_LIMIT, &text, &size, err) < 0) return -1;
    struct mf_tokenizer *t = calloc(1, sizeof *t);
    struct reading r = {.t = t, .path = path, .err = err};
    json_t *root =
        t ? mf_json_parse((const char *)text, size, JSON_REJECT_DUPLICATES, MF_JSON_LARGE, &where) : NULL;
    if (t) mf_sha256_of(text, size, t->sha256);
    free(text);
    int status = 0;
    if (!t) status = mf_err_set(err, EX_OSERR, "%s: out of memory", path);
    if (t && !root) status = mf_err_set(err, EX_DATAERR, "%s: line %d: %s", path, where.line, where.text);
    mf_alphabet_fill(&r.alphabet);
    if (status == 0) status = parts_check(&r, root);
    if (status == 0) status = read_all(&r, root);
    json_decref(root);
    if (status < 0) {
        mf_tokenizer_free(t);
        return -1;
    }
    *out = t;
    return 0;
}
