/* Reading tokenizer.json: everything we do not honour exactly is refused by its name. */
#include "text/tokenizer_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "io/bundle.h"
#include "io/file.h"
#include "text/alphabet.h"

#define FILE_LIMIT  ((size_t)256 << 20)
#define VOCAB_LIMIT ((size_t)1 << 24)

static const char *const special_names[MF_SPECIALS] = {"<pad>", "<unk>", "<bos>", "<eos>"};

struct reading {
    struct mf_tokenizer *t;
    const char *path;
    const json_t *vocab;
    struct mf_alphabet alphabet;
    struct mf_err *err;
};

static int bad(struct reading *r, const char *what, const char *name) {
    return mf_err_set(r->err, EX_DATAERR, "%s: %s%s%.100s", r->path, what, name ? " " : "", name ? name : "");
}

/* A part that must be null or of a known type with the settings we honour. */
static int check_part(struct reading *r, const json_t *root, const char *key, const char *const *types) {
    const json_t *part = json_object_get(root, key);
    if (!part || json_is_null(part)) return 0;
    const char *type = json_string_value(json_object_get(part, "type"));
    for (; type && *types; types++)
        if (strcmp(type, *types) == 0) return 0;
    return mf_err_set(r->err, EX_DATAERR, "%s: %s of type %.60s is not supported", r->path, key,
                      type ? type : "(none)");
}

static int check_parts(struct reading *r, const json_t *root) {
    static const char *const none[] = {NULL}, *const byte_level[] = {"ByteLevel", NULL},
                             *const post[] = {"ByteLevel", "TemplateProcessing", NULL};
    if (!json_is_object(root)) return bad(r, "not a tokenizer.json: no object", NULL);
    if (check_part(r, root, "normalizer", none) < 0 || check_part(r, root, "pre_tokenizer", byte_level) < 0 ||
        check_part(r, root, "post_processor", post) < 0 || check_part(r, root, "decoder", byte_level) < 0)
        return -1;
    const json_t *pre = json_object_get(root, "pre_tokenizer");
    if (!json_is_object(pre)) return bad(r, "no ByteLevel pre_tokenizer", NULL);
    if (json_is_true(json_object_get(pre, "add_prefix_space")))
        return bad(r, "add_prefix_space is not supported", NULL);
    if (json_is_false(json_object_get(pre, "use_regex")))
        return bad(r, "use_regex false is not supported", NULL);
    const json_t *model = json_object_get(root, "model");
    const char *type = json_string_value(json_object_get(model, "type"));
    if (!type || strcmp(type, "BPE") != 0)
        return mf_err_set(r->err, EX_DATAERR, "%s: model of type %.60s is not supported", r->path,
                          type ? type : "(none)");
    static const char *const empty[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *affix = json_object_get(model, empty[i]);
        if (json_string_length(affix) > 0) return bad(r, "not supported:", empty[i]);
    }
    if (json_number_value(json_object_get(model, "dropout")) != 0)
        return bad(r, "dropout is not supported", NULL);
    static const char *const cuts[] = {"truncation", "padding"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *cut = json_object_get(root, cuts[i]);
        if (cut && !json_is_null(cut)) return bad(r, "not supported:", cuts[i]);
    }
    if (json_is_true(json_object_get(model, "ignore_merges")))
        return bad(r, "ignore_merges is not supported", NULL);
    if (json_is_true(json_object_get(model, "byte_fallback")))
        return bad(r, "byte_fallback is not supported", NULL);
    if (!json_is_object(json_object_get(model, "vocab"))) return bad(r, "the model has no vocab", NULL);
    if (!json_is_array(json_object_get(model, "merges"))) return bad(r, "the model has no merges", NULL);
    return 0;
}

static int token_id(struct reading *r, const char *token, const json_t *value, uint32_t *id) {
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || (size_t)n >= r->t->size)
        return mf_err_set(r->err, EX_DATAERR,
                          "%s: the id of token '%.60s' is not a number below the vocabulary's size %zu",
                          r->path, token, r->t->size);
    *id = (uint32_t)n;
    return 0;
}

/* The vocabulary and the added tokens together must fill the ids 0 .. size-1. */
static int read_specials(struct reading *r, const json_t *root) {
    struct mf_tokenizer *t = r->t;
    const json_t *added = json_object_get(root, "added_tokens"), *item;
    size_t i, extra = 0;
    if (added && !json_is_array(added) && !json_is_null(added))
        return bad(r, "added_tokens is not a list", NULL);
    json_array_foreach(added, i, item) {
        const char *text = json_string_value(json_object_get(item, "content"));
        if (text && !json_object_get(r->vocab, text)) extra++;
    }
    t->size = json_object_size(r->vocab) + extra;
    if (t->size == 0 || t->size > VOCAB_LIMIT)
        return bad(r, "a vocabulary of this size is not supported", NULL);
    t->pieces = calloc(t->size, sizeof *t->pieces);
    t->specials = calloc(json_array_size(added) + 1, sizeof *t->specials);
    if (!t->pieces || !t->specials) return mf_err_set(r->err, EX_OSERR, "%s: out of memory", r->path);
    for (size_t k = 0; k < MF_SPECIALS; k++) t->known[k] = -1;
    json_array_foreach(added, i, item) {
        const json_t *content = json_object_get(item, "content");
        const char *text = json_string_value(content);
        size_t size = json_string_length(content);
        uint32_t id = 0;
        if (!text || size == 0 || size >= SPECIAL_ROOM)
            return bad(r, "an added token has no content, or too long a one", NULL);
        if (token_id(r, text, json_object_get(item, "id"), &id) < 0) return -1;
        const json_t *in_vocab = json_object_get(r->vocab, text);
        if (in_vocab && (size_t)json_integer_value(in_vocab) != id)
            return bad(r, "two ids for added token", text);
        if (t->pieces[id].there) return bad(r, "an id used twice, by added token", text);
        t->pieces[id].there = t->pieces[id].special = true;
        struct special *s = &t->specials[t->n_specials++];
        memcpy(s->text, text, size);
        s->size = size;
        s->id = id;
        for (size_t k = 0; k < MF_SPECIALS; k++)
            if (strcmp(text, special_names[k]) == 0) t->known[k] = id;
    }
    return 0;
}

static int read_vocab(struct reading *r) {
    struct mf_tokenizer *t = r->t;
    const char *token;
    json_t *value;
    size_t total = 0;
    json_object_foreach((json_t *)(uintptr_t)r->vocab, token, value) total += strlen(token);
    t->bytes = malloc(total + 1);
    if (!t->bytes) return mf_err_set(r->err, EX_OSERR, "%s: out of memory", r->path);
    size_t at = 0;
    for (size_t b = 0; b < 256; b++) t->byte_ids[b] = -1;
    json_object_foreach((json_t *)(uintptr_t)r->vocab, token, value) {
        uint32_t id = 0;
        if (token_id(r, token, value, &id) < 0) return -1;
        if (t->pieces[id].special) continue;
        if (t->pieces[id].there) return bad(r, "an id used twice, by token", token);
        int64_t size = mf_alphabet_read(&r->alphabet, token, strlen(token), t->bytes + at);
        if (size < 1) return bad(r, "a token outside the byte alphabet:", token);
        t->pieces[id] = (struct piece){at, (size_t)size, true, false};
        if (size == 1) t->byte_ids[(unsigned char)t->bytes[at]] = id;
        at += (size_t)size;
    }
    for (size_t id = 0; id < t->size; id++)
        if (!t->pieces[id].there)
            return mf_err_set(r->err, EX_DATAERR, "%s: no token has id %zu", r->path, id);
    return 0;
}

/* The two halves of a merge: "a b", or ["a", "b"]. */
static int split_merge(struct reading *r, const json_t *merge, size_t i, char *left, char *right,
                       size_t room) {
    const char *a = json_string_value(json_array_get(merge, 0)),
               *b = json_string_value(json_array_get(merge, 1));
    size_t a_size = 0;
    if (json_is_array(merge) && json_array_size(merge) == 2 && a && b) {
        a_size = strlen(a);
    } else {
        a = json_string_value(merge);
        const char *space = a ? strchr(a, ' ') : NULL;
        if (!space || strchr(space + 1, ' '))
            return mf_err_set(r->err, EX_DATAERR, "%s: merge %zu is neither \"a b\" nor [\"a\", \"b\"]",
                              r->path, i);
        a_size = (size_t)(space - a);
        b = space + 1;
    }
    if (a_size >= room || strlen(b) >= room)
        return mf_err_set(r->err, EX_DATAERR, "%s: merge %zu is too long", r->path, i);
    memcpy(left, a, a_size);
    left[a_size] = '\0';
    strcpy(right, b);
    return 0;
}

#define TOKEN_ROOM 4096

static int read_merge(struct reading *r, const json_t *merge, size_t i, char *names) {
    char *left = names, *right = names + TOKEN_ROOM, both[2 * TOKEN_ROOM];
    if (split_merge(r, merge, i, left, right, TOKEN_ROOM) < 0) return -1;
    snprintf(both, sizeof both, "%s%s", left, right);
    const char *parts[3] = {left, right, both};
    uint32_t ids[3];
    for (size_t k = 0; k < 3; k++) {
        const json_t *id = json_object_get(r->vocab, parts[k]);
        if (!id)
            return mf_err_set(r->err, EX_DATAERR,
                              "%s: merge %zu names a token missing from the vocabulary: '%.60s'", r->path, i,
                              parts[k]);
        ids[k] = (uint32_t)json_integer_value(id);
    }
    uint64_t key = mf_pair(ids[0], ids[1]);
    if (mf_pair_map_get(&r->t->merges, key))
        return mf_err_set(r->err, EX_DATAERR, "%s: merge %zu ('%.40s' '%.40s') is there twice", r->path, i,
                          left, right);
    return mf_pair_map_put(&r->t->merges, key, (uint64_t)i << 32 | ids[2], r->err);
}

static int read_merges(struct reading *r, const json_t *merges) {
    size_t i, longer = 0;
    const json_t *merge;
    for (size_t id = 0; id < r->t->size; id++) longer += r->t->pieces[id].size > 1;
    if (json_array_size(merges) == 0 && longer)
        return mf_err_set(r->err, EX_DATAERR,
                          "%s: merges is empty, but the vocabulary has %zu tokens of several bytes", r->path,
                          longer);
    char *names = malloc(2 * TOKEN_ROOM);
    if (!names) return mf_err_set(r->err, EX_OSERR, "%s: out of memory", r->path);
    int status = 0;
    json_array_foreach(merges, i, merge) if (status == 0) status = read_merge(r, merge, i, names);
    free(names);
    return status;
}

int mf_tokenizer_load(struct mf_tokenizer **out, const char *path, struct mf_err *err) {
    unsigned char *text;
    size_t size;
    json_error_t where;
    if (mf_read_all(path, FILE_LIMIT, &text, &size, err) < 0) return -1;
    struct mf_tokenizer *t = calloc(1, sizeof *t);
    struct reading r = {.t = t, .path = path, .err = err};
    json_t *root = t ? json_loadb((const char *)text, size, JSON_REJECT_DUPLICATES, &where) : NULL;
    if (t) mf_sha256_of(text, size, t->sha256);
    free(text);
    int status = 0;
    if (!t) status = mf_err_set(err, EX_OSERR, "%s: out of memory", path);
    if (t && !root) status = mf_err_set(err, EX_DATAERR, "%s: line %d: %s", path, where.line, where.text);
    mf_alphabet_fill(&r.alphabet);
    if (status == 0) status = check_parts(&r, root);
    if (status == 0) {
        const json_t *model = json_object_get(root, "model");
        r.vocab = json_object_get(model, "vocab");
        status = read_specials(&r, root);
        if (status == 0) status = read_vocab(&r);
        if (status == 0) status = read_merges(&r, json_object_get(model, "merges"));
    }
    json_decref(root);
    if (status < 0) {
        mf_tokenizer_free(t);
        return -1;
    }
    *out = t;
    return 0;
}
