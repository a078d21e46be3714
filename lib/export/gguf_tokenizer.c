/* The tokenizer as llama.cpp takes it: tokens and merges in the byte alphabet, as tokenizer.json has them, or
 * tokens of characters with scores (gguf_characters.c).
 *
 * What would give other tokens there than here is refused: llama.cpp knows patterns by names (gguf_words.c),
 * finds added tokens without looking at what stands beside them, and drops bytes without a token. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "base/strings.h"
#include "export/gguf_file_internal.h"
#include "io/json_file.h"
#include "text/alphabet.h"
#include "text/tokenizer.h"

#define FILE_LIMIT ((size_t)256 << 20)

/* llama.cpp's numbers. */
enum token_type { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

struct token {
    const char *text; /* NULL: there is none of this id */
    size_t size;
    enum token_type type;
};

struct tokens {
    const struct mf_gguf_file *f;
    const json_t *root;
    struct token *items; /* [V] */
    size_t V;
    bool bytes; /* its words are bytes, not characters */
};

static int refuse(const struct tokens *t, const char *what, struct mf_err *err) {
    return mf_err_set(err, EX_DATAERR, "%s: llama.cpp cannot tokenize so: %s", t->f->tokenizer, what);
}

/* --- what it can do --- */

static int check_bytes(const struct tokens *t, struct mf_err *err) {
    const json_t *model = json_object_get(t->root, "model"), *vocab = json_object_get(model, "vocab");
    bool all = t->bytes || json_is_true(json_object_get(model, "byte_fallback"));
    struct mf_alphabet alphabet;
    mf_alphabet_fill(&alphabet);
    for (int b = 0; b < 256 && all; b++) {
        char byte = (char)b, text[8];
        if (t->bytes)
            text[mf_alphabet_spell(&alphabet, &byte, 1, text)] = 0;
        else
            snprintf(text, sizeof text, "<0x%02X>", b);
        all = json_object_get(vocab, text) != NULL;
    }
    return all ? 0 : refuse(t, "some bytes have no token", err);
}

/* --- tokens --- */

static int put_token(struct tokens *t, const char *text, size_t size, int64_t id, enum token_type type,
                     struct mf_err *err) {
    if (id < 0 || (uint64_t)id >= t->V)
        return mf_err_set(err, EX_DATAERR, "%s: token %lld is not below %zu, the vocabulary of %s",
                          t->f->tokenizer, (long long)id, t->V, mf_plain_name(t->f->plain));
    t->items[id] = (struct token){text, size, type};
    return 0;
}

static int put_added(struct tokens *t, const json_t *item, struct mf_err *err) {
    static const char *const flags[] = {"single_word", "lstrip", "rstrip"};
    const json_t *content = json_object_get(item, "content");
    bool special = json_is_true(json_object_get(item, "special"));
    for (size_t i = 0; i < 3; i++)
        if (!special && json_is_true(json_object_get(item, flags[i])))
            return refuse(t, "an added token with single_word, lstrip or rstrip", err);
    if (!t->bytes && !special && json_is_true(json_object_get(item, "normalized")))
        return refuse(t, "an added token that is normalized", err);
    return put_token(t, json_string_value(content), json_string_length(content),
                     json_integer_value(json_object_get(item, "id")), special ? CONTROL : USER_DEFINED, err);
}

static bool is_byte(const char *text) {
    return strlen(text) == 6 && memcmp(text, "<0x", 3) == 0 && text[5] == '>' &&
           strspn(text + 3, "0123456789ABCDEF") == 2;
}

static int collect(struct tokens *t, struct mf_err *err) {
    const json_t *vocab = json_object_get(json_object_get(t->root, "model"), "vocab"),
                 *added = json_object_get(t->root, "added_tokens"), *value, *item;
    const char *text;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)vocab, text, value) {
        enum token_type type = !t->bytes && is_byte(text) ? BYTE : NORMAL;
        if (put_token(t, text, strlen(text), json_integer_value(value), type, err) < 0) return -1;
    }
    json_array_foreach(added, i, item) {
        if (put_added(t, item, err) < 0) return -1;
    }
    return 0;
}

/* Ids without a token get a text of their own, as llama.cpp wants one for each row of the embedding. */
static void put_tokens(const struct tokens *t, struct mf_gguf_keys *keys) {
    mf_gguf_put_list(keys, "tokenizer.ggml.tokens", MF_GGUF_STRING, t->V);
    for (size_t i = 0; i < t->V; i++) {
        char *unused = t->items[i].text ? NULL : mf_format("[UNUSED%zu]", i);
        mf_gguf_add_string(keys, unused ? unused : t->items[i].text,
                           unused ? strlen(unused) : t->items[i].size);
        free(unused);
    }
    mf_gguf_put_list(keys, "tokenizer.ggml.token_type", MF_GGUF_I32, t->V);
    for (size_t i = 0; i < t->V; i++)
        mf_gguf_add_i32(keys, t->items[i].text ? (int)t->items[i].type : UNUSED);
}

/* "a b", whichever of the two forms the file has. */
static void put_merges(const struct tokens *t, struct mf_gguf_keys *keys) {
    const json_t *merges = json_object_get(json_object_get(t->root, "model"), "merges"), *merge;
    size_t i;
    mf_gguf_put_list(keys, "tokenizer.ggml.merges", MF_GGUF_STRING, json_array_size(merges));
    json_array_foreach(merges, i, merge) {
        char *joined = json_is_array(merge) ? mf_format("%s %s", json_string_value(json_array_get(merge, 0)),
                                                        json_string_value(json_array_get(merge, 1)))
                                            : NULL;
        const char *text = joined ? joined : json_string_value(merge);
        mf_gguf_add_string(keys, text, strlen(text));
        free(joined);
    }
}

static int put_scores(const struct tokens *t, struct mf_gguf_keys *keys, struct mf_err *err) {
    const char *why, **texts = calloc(t->V, sizeof *texts);
    float *scores = calloc(t->V, sizeof *scores);
    if (!texts || !scores) mf_no_memory();
    for (size_t i = 0; i < t->V; i++) texts[i] = t->items[i].text;
    int status = gguf_scores(t->root, texts, t->V, scores, &why);
    if (status < 0) refuse(t, why, err);
    mf_gguf_put_list(keys, "tokenizer.ggml.scores", MF_GGUF_FLOAT, t->V);
    for (size_t i = 0; i < t->V; i++) mf_gguf_add_float(keys, scores[i]);
    free(scores);
    free(texts);
    return status;
}

/* --- special tokens --- */

static void put_id(struct mf_gguf_keys *keys, const char *key, int64_t id) {
    if (id >= 0) mf_gguf_put_u32(keys, key, (uint32_t)id);
}

static int put_specials(const struct tokens *t, struct mf_gguf_keys *keys, struct mf_err *err) {
    const struct mf_specials *s = mf_plain_specials(t->f->plain);
    if (s->eos < 0) return refuse(t, "it has no token for the end of a document", err);
    put_id(keys, "tokenizer.ggml.bos_token_id", s->bos);
    put_id(keys, "tokenizer.ggml.eos_token_id", s->eos);
    put_id(keys, "tokenizer.ggml.padding_token_id", s->pad);
    mf_gguf_put_bool(keys, "tokenizer.ggml.add_bos_token", s->bos >= 0);
    mf_gguf_put_bool(keys, "tokenizer.ggml.add_eos_token", false);
    return 0;
}

static int put_bytes(struct tokens *t, struct mf_gguf_keys *keys, struct mf_err *err) {
    const char *words, *why;
    if (gguf_words(t->root, &words, &why) < 0) return refuse(t, why, err);
    if (check_bytes(t, err) < 0 || collect(t, err) < 0) return -1;
    mf_gguf_put_string(keys, "tokenizer.ggml.model", "gpt2");
    mf_gguf_put_string(keys, "tokenizer.ggml.pre", words);
    put_tokens(t, keys);
    put_merges(t, keys);
    return 0;
}

static int put_characters(struct tokens *t, struct mf_gguf_keys *keys, struct mf_err *err) {
    const char *why,
        *unk = json_string_value(json_object_get(json_object_get(t->root, "model"), "unk_token"));
    bool prefix;
    if (gguf_blanks(t->root, &prefix, &why) < 0) return refuse(t, why, err);
    if (check_bytes(t, err) < 0 || collect(t, err) < 0) return -1;
    for (size_t i = 0; unk && i < t->V; i++)
        if (t->items[i].text && strcmp(t->items[i].text, unk) == 0) t->items[i].type = UNKNOWN;
    mf_gguf_put_string(keys, "tokenizer.ggml.model", "llama");
    put_tokens(t, keys);
    if (put_scores(t, keys, err) < 0) return -1;
    for (size_t i = 0; i < t->V; i++)
        if (t->items[i].type == UNKNOWN) put_id(keys, "tokenizer.ggml.unknown_token_id", (int64_t)i);
    mf_gguf_put_bool(keys, "tokenizer.ggml.add_space_prefix", prefix);
    return 0;
}

static int put_all(struct tokens *t, struct mf_gguf_keys *keys, struct mf_err *err) {
    t->bytes = gguf_is_bytes(t->root);
    if ((t->bytes ? put_bytes : put_characters)(t, keys, err) < 0) return -1;
    return put_specials(t, keys, err);
}

/* --- the file --- */

/* Whether it is the model's, and sound: what is read below can then be believed. */
static int check_file(const struct mf_gguf_file *f, struct mf_err *err) {
    const char *wanted = mf_plain_tokenizer(f->plain);
    struct mf_tokenizer *tokenizer;
    int result = 0;
    if (mf_tokenizer_load(&tokenizer, f->tokenizer, err) < 0) return -1;
    const char *hash = mf_tokenizer_sha256(tokenizer);
    if (strcmp(hash, wanted) != 0)
        result = mf_err_set(err, EX_DATAERR, "%s: tokenizer is %.12s, not %.12s as in %s", f->tokenizer, hash,
                            *wanted ? wanted : "(unknown)", mf_plain_name(f->plain));
    mf_tokenizer_free(tokenizer);
    return result;
}

int gguf_tokenizer(const struct mf_gguf_file *f, struct mf_gguf_keys *keys, struct mf_err *err) {
    struct tokens t = {.f = f, .V = mf_plain_shape(f->plain)->V};
    if (check_file(f, err) < 0) return -1;
    json_t *root = mf_json_read(f->tokenizer, FILE_LIMIT, JSON_REJECT_DUPLICATES, err);
    if (!root) return -1;
    t.root = root;
    t.items = calloc(t.V, sizeof *t.items);
    if (!t.items) mf_no_memory();
    int result = put_all(&t, keys, err);
    free(t.items);
    json_decref(root);
    return result;
}
