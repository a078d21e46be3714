/* Encoding and decoding with a loaded tokenizer. */
#include "text/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>
#include "text/pretokenize.h"

void mf_tokenizer_free(struct mf_tokenizer *t) {
    if (!t) return;
    free(t->pieces);
    free(t->bytes);
    free(t->specials);
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
    return id < t->size && t->pieces[id].special;
}

void mf_tokenizer_piece(const struct mf_tokenizer *t, uint32_t id, const char **bytes, size_t *size) {
    *bytes = t->bytes;
    *size = 0;
    if (id >= t->size || t->pieces[id].special) return;
    *bytes = t->bytes + t->pieces[id].at;
    *size = t->pieces[id].size;
}

int mf_ids_add(struct mf_ids *ids, uint32_t id, struct mf_err *err) {
    if (ids->count == ids->room) {
        size_t room = ids->room ? 2 * ids->room : 256;
        uint32_t *grown = realloc(ids->ids, room * sizeof *grown);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for %zu tokens", room);
        ids->ids = grown;
        ids->room = room;
    }
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
    size_t room;
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
    free(e->cache);
    free(e);
}

static struct cached *cache_slot(struct mf_encoder *e, const char *word, size_t size) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < size; i++) hash = (hash ^ (unsigned char)word[i]) * UINT64_C(0x100000001b3);
    return &e->cache[(hash ^ hash >> 32) & (CACHE_ROOM - 1)];
}

static int append(struct mf_ids *ids, const uint32_t *from, size_t n, struct mf_err *err) {
    for (size_t i = 0; i < n; i++)
        if (mf_ids_add(ids, from[i], err) < 0) return -1;
    return 0;
}

static int encode_word(struct mf_encoder *e, const char *word, size_t size, struct mf_ids *ids,
                       struct mf_err *err) {
    const struct mf_tokenizer *t = e->tokenizer;
    struct cached *slot = size <= CACHE_BYTES ? cache_slot(e, word, size) : NULL;
    if (slot && slot->size == size && memcmp(slot->bytes, word, size) == 0)
        return append(ids, slot->ids, slot->n, err);
    if (e->room < size) {
        uint32_t *grown = realloc(e->word, size * sizeof *grown);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for a word of %zu bytes", size);
        e->word = grown;
        e->room = size;
    }
    size_t n = size;
    for (size_t i = 0; i < size; i++) {
        int64_t id = t->byte_ids[(unsigned char)word[i]];
        if (id < 0) id = t->known[MF_UNK];
        if (id < 0)
            return mf_err_set(err, EX_DATAERR, "the vocabulary has no token for byte 0x%02x",
                              (unsigned char)word[i]);
        e->word[i] = (uint32_t)id;
    }
    if (mf_bpe_apply(&t->merges, &e->work, e->word, &n, err) < 0) return -1;
    if (slot && n <= CACHE_IDS) {
        slot->size = (unsigned char)size;
        slot->n = (unsigned char)n;
        memcpy(slot->bytes, word, size);
        memcpy(slot->ids, e->word, n * sizeof *e->word);
    }
    return append(ids, e->word, n, err);
}

/* The special token spelled at the beginning of text, the longest first, or NULL. */
static const struct special *special_at(const struct mf_tokenizer *t, const char *text, size_t size) {
    const struct special *best = NULL;
    for (size_t i = 0; i < t->n_specials; i++) {
        const struct special *s = &t->specials[i];
        if (s->size <= size && memcmp(text, s->text, s->size) == 0 && (!best || s->size > best->size))
            best = s;
    }
    return best;
}

static int encode_words(struct mf_encoder *e, const char *text, size_t size, struct mf_ids *ids,
                        struct mf_err *err) {
    while (size) {
        size_t length = mf_word_length(text, size);
        if (encode_word(e, text, length, ids, err) < 0) return -1;
        text += length;
        size -= length;
    }
    return 0;
}

int mf_encode(struct mf_encoder *e, const char *text, size_t size, enum mf_special special,
              struct mf_ids *ids, struct mf_err *err) {
    if (special == MF_SPECIAL_TEXT) return encode_words(e, text, size, ids, err);
    size_t begin = 0;
    for (size_t at = 0; at < size;) {
        const struct special *s = special_at(e->tokenizer, text + at, size - at);
        if (!s) {
            at++;
            continue;
        }
        if (special == MF_SPECIAL_ERROR)
            return mf_err_set(err, EX_DATAERR, "the text spells the special token %s at byte %zu", s->text,
                              at);
        if (encode_words(e, text + begin, at - begin, ids, err) < 0 || mf_ids_add(ids, s->id, err) < 0)
            return -1;
        at += s->size;
        begin = at;
    }
    return encode_words(e, text + begin, size - begin, ids, err);
}
