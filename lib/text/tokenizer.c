/* Encoding and decoding with a loaded tokenizer. */
#include "text/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>
#include "text/pretokenize.h"

const char *const mf_special_names[MF_SPECIALS] = {"<pad>", "<unk>", "<bos>", "<eos>"};

void mf_tokenizer_free(struct mf_tokenizer *t) {
    if (!t) return;
    free(t->tokens);
    free(t->bytes);
    free(t->added);
    free(t->before.ids);
    free(t->after.ids);
    mf_pair_map_free(&t->merges);
    free(t);
}

size_t mf_tokenizer_size(const struct mf_tokenizer *t) {
    return t->size;
}

const char *mf_tokenizer_sha256(const struct mf_tokenizer *t) {
    return t->sha256;
}

int64_t mf_tokenizer_special(const struct mf_tokenizer *t, enum mf_special_id special) {
    return t->known[special];
}

bool mf_tokenizer_is_special(const struct mf_tokenizer *t, uint32_t id) {
    return id < t->size && t->tokens[id].special;
}

void mf_tokenizer_bytes(const struct mf_tokenizer *t, uint32_t id, const char **bytes, size_t *size) {
    *bytes = t->bytes;
    *size = 0;
    if (id >= t->size || t->tokens[id].special) return;
    *bytes = t->bytes + t->tokens[id].at;
    *size = t->tokens[id].size;
}

static int ids_capacity(struct mf_ids *ids, size_t more, struct mf_err *err) {
    if (ids->drain && ids->count >= MF_IDS_DRAIN && ids->drain(ids->context, ids, err) < 0) return -1;
    if (ids->capacity - ids->count >= more) return 0;
    size_t capacity = 2 * ids->capacity + more + 256;
    uint32_t *grown = realloc(ids->ids, capacity * sizeof *grown);
    if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for %zu tokens", capacity);
    ids->ids = grown;
    ids->capacity = capacity;
    return 0;
}

int mf_ids_add(struct mf_ids *ids, uint32_t id, struct mf_err *err) {
    if (ids_capacity(ids, 1, err) < 0) return -1;
    ids->ids[ids->count++] = id;
    return 0;
}

/* Words come again and again: short ones and what became of them are kept in a table that forgets by
 * overwriting. */
#define CACHE_ROOM  ((size_t)16384)
#define CACHE_BYTES 22
#define CACHE_IDS   8

struct cached {
    unsigned char size, n; /* size 0: empty */
    char bytes[CACHE_BYTES];
    uint32_t ids[CACHE_IDS];
};

struct mf_encoder {
    const struct mf_tokenizer *tokenizer;
    struct mf_bpe_work work;
    uint32_t *word;
    size_t capacity;
    char *spaced; /* the begin of a text with a space before it */
    size_t spaced_capacity;
    struct cached *cache;
};

int mf_encoder_new(struct mf_encoder **out, const struct mf_tokenizer *t, struct mf_err *err) {
    struct mf_encoder *e = calloc(1, sizeof *e);
    struct cached *cache = calloc(CACHE_ROOM, sizeof *cache);
    if (!e || !cache) {
        free(e);
        free(cache);
        return mf_err_set(err, EX_OSERR, "out of memory for the word cache");
    }
    e->tokenizer = t;
    e->cache = cache;
    *out = e;
    return 0;
}

void mf_encoder_free(struct mf_encoder *e) {
    if (!e) return;
    mf_bpe_work_free(&e->work);
    free(e->word);
    free(e->spaced);
    free(e->cache);
    free(e);
}

static struct cached *cache_slot(struct mf_encoder *e, const char *word, size_t size) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < size; i++) hash = (hash ^ (unsigned char)word[i]) * UINT64_C(0x100000001b3);
    return &e->cache[(hash ^ hash >> 32) & (CACHE_ROOM - 1)];
}

static int append(struct mf_ids *ids, const uint32_t *from, size_t n, struct mf_err *err) {
    if (n == 0) return 0;
    if (ids_capacity(ids, n, err) < 0) return -1;
    memcpy(ids->ids + ids->count, from, n * sizeof *from);
    ids->count += n;
    return 0;
}

/* The tokens of a word's bytes. */
static int spell(const struct mf_tokenizer *t, const char *word, size_t size, uint32_t *ids, size_t *n,
                 struct mf_err *err) {
    *n = 0;
    for (size_t i = 0; i < size; i++) {
        int64_t id = t->byte_ids[(unsigned char)word[i]];
        if (id < 0 && t->unk < 0)
            return mf_err_set(err, EX_DATAERR, "the vocabulary has no token for byte 0x%02x",
                              (unsigned char)word[i]);
        if (id < 0 && t->fuse_unk && *n && ids[*n - 1] == (uint32_t)t->unk) continue;
        ids[(*n)++] = (uint32_t)(id < 0 ? t->unk : id);
    }
    return 0;
}

static int encode_word(struct mf_encoder *e, const char *word, size_t size, struct mf_ids *ids,
                       struct mf_err *err) {
    const struct mf_tokenizer *t = e->tokenizer;
    struct cached *slot = size <= CACHE_BYTES ? cache_slot(e, word, size) : NULL;
    if (slot && slot->size == size && memcmp(slot->bytes, word, size) == 0)
        return append(ids, slot->ids, slot->n, err);
    if (e->capacity < size) {
        uint32_t *grown = realloc(e->word, size * sizeof *grown);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for a word of %zu bytes", size);
        e->word = grown;
        e->capacity = size;
    }
    size_t n;
    if (spell(t, word, size, e->word, &n, err) < 0) return -1;
    if (mf_bpe_apply(&t->merges, &e->work, e->word, &n, err) < 0) return -1;
    if (slot && n <= CACHE_IDS) {
        slot->size = (unsigned char)size;
        slot->n = (unsigned char)n;
        memcpy(slot->bytes, word, size);
        memcpy(slot->ids, e->word, n * sizeof *e->word);
    }
    return append(ids, e->word, n, err);
}

/* Sets e->spaced to a space and the first size - 1 bytes of the text. */
static int put_space(struct mf_encoder *e, const char *text, size_t size, struct mf_err *err) {
    if (e->spaced_capacity < size) {
        char *grown = realloc(e->spaced, size);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for a word of %zu bytes", size);
        e->spaced = grown;
        e->spaced_capacity = size;
    }
    *e->spaced = ' ';
    memcpy(e->spaced + 1, text, size - 1);
    return 0;
}

/* Where a word ends is decided by the character behind it, and in white space by the one behind that: two
 * characters of at most four bytes. */
#define DECIDING_BYTES 8

/* The first word of a text, with a space before it. Only as much of the text is copied as the word needs;
 * *size is the word's without the space. */
static int encode_spaced(struct mf_encoder *e, const char *text, size_t *size, struct mf_ids *ids,
                         struct mf_err *err) {
    size_t all = *size + 1, part = e->tokenizer->whole ? all : 64, length;
    for (;; part *= 2) {
        if (part > all) part = all;
        if (put_space(e, text, part, err) < 0) return -1;
        length = e->tokenizer->whole ? all : mf_word_length(e->spaced, part);
        if (part == all || length + DECIDING_BYTES <= part) break;
    }
    *size = length - 1;
    return encode_word(e, e->spaced, length, ids, err);
}

/* A text between added tokens. */
static int encode_words(struct mf_encoder *e, const char *text, size_t size, struct mf_ids *ids,
                        struct mf_err *err) {
    if (e->tokenizer->prefix_space && size && *text != ' ') {
        size_t first = size;
        if (encode_spaced(e, text, &first, ids, err) < 0) return -1;
        text += first;
        size -= first;
    }
    while (size) {
        size_t length = e->tokenizer->whole ? size : mf_word_length(text, size);
        if (encode_word(e, text, length, ids, err) < 0) return -1;
        text += length;
        size -= length;
    }
    return 0;
}

/* Added tokens come first: the early ones of the whole text, then the late ones of what is between them. */
static int encode_added(struct mf_encoder *e, bool late, bool special, const char *text, size_t size,
                        struct mf_ids *ids, struct mf_err *err) {
    for (size_t at = 0; at < size;) {
        struct match m = added_find(e->tokenizer, late, special, text, size, at);
        int status = late ? encode_words(e, text + at, m.begin - at, ids, err)
                          : encode_added(e, true, special, text + at, m.begin - at, ids, err);
        if (status < 0 || (m.added && mf_ids_add(ids, m.added->id, err) < 0)) return -1;
        at = m.end;
    }
    return 0;
}

int mf_encode(struct mf_encoder *e, const char *text, size_t size, enum mf_special special,
              struct mf_ids *ids, struct mf_err *err) {
    for (int late = 0; special == MF_SPECIAL_ERROR && late < 2; late++)
        for (size_t at = 0; at < size;) {
            struct match m = added_find(e->tokenizer, late, true, text, size, at);
            if (m.added && m.added->special)
                return mf_err_set(err, EX_DATAERR, "the text spells the special token %s at byte %zu",
                                  m.added->text, m.begin);
            at = m.end;
        }
    return encode_added(e, false, special == MF_SPECIAL_PARSE, text, size, ids, err);
}

int mf_encode_document(struct mf_encoder *e, const char *text, size_t size, enum mf_special special,
                       struct mf_ids *ids, struct mf_err *err) {
    const struct mf_tokenizer *t = e->tokenizer;
    if (append(ids, t->before.ids, t->before.count, err) < 0) return -1;
    if (mf_encode(e, text, size, special, ids, err) < 0) return -1;
    return append(ids, t->after.ids, t->after.count, err);
}

int mf_decode(const struct mf_tokenizer *t, const uint32_t *ids, size_t n, struct mf_text *text,
              struct mf_err *err) {
    for (size_t i = 0; i < n; i++) {
        if (ids[i] >= t->size) continue;
        struct token_bytes p = t->tokens[ids[i]];
        if (text->capacity - text->size < p.size + TOKEN_SLACK) {
            size_t capacity = 2 * text->capacity + p.size + 4096;
            char *grown = realloc(text->bytes, capacity);
            if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for a text of %zu bytes", capacity);
            text->bytes = grown;
            text->capacity = capacity;
        }
        /* copying a fixed number of bytes is much faster, and most tokens are short */
        if (p.size <= TOKEN_SLACK)
            memcpy(text->bytes + text->size, t->bytes + p.at, TOKEN_SLACK);
        else
            memcpy(text->bytes + text->size, t->bytes + p.at, p.size);
        text->size += p.size;
    }
    return 0;
}
