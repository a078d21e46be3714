/* Encoding: added tokens are cut out, what is between them is normalized and cut into words, and words become
 * tokens. */
#include "text/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>
#include "text/pretokenize.h"

/* Words come again and again: short ones and what became of them are kept in a table that forgets by
 * overwriting. */
#define CACHE_CAPACITY ((size_t)16384)
#define CACHE_BYTES    22
#define CACHE_IDS      8

struct cached {
    unsigned char size, n; /* size 0: empty */
    char bytes[CACHE_BYTES];
    uint32_t ids[CACHE_IDS];
};

struct mf_encoder {
    const struct mf_tokenizer *tokenizer;
    struct mf_normal_work normal;
    struct mf_split_work split;
    struct mf_bpe_work work;
    uint32_t *word;
    size_t capacity;
    char *spaced; /* the begin of a text with a space before it */
    size_t spaced_capacity;
    struct cached *cache;
    enum mf_special special; /* of the text being encoded */
    struct mf_ids *ids;      /* where its tokens go */
    bool word_failed;        /* a word of it could not be encoded */
};

int mf_encoder_new(struct mf_encoder **out, const struct mf_tokenizer *t, struct mf_err *err) {
    struct mf_encoder *e = calloc(1, sizeof *e);
    struct cached *cache = calloc(CACHE_CAPACITY, sizeof *cache);
    if (!e || !cache) {
        free(e);
        free(cache);
        return mf_err_set(err, EX_OSERR, "out of memory for the word cache");
    }
    e->tokenizer = t;
    e->cache = cache;
    mf_normal_begin(&e->normal, &t->normal);
    mf_split_begin(&e->split, &t->steps);
    *out = e;
    return 0;
}

void mf_encoder_free(struct mf_encoder *e) {
    if (!e) return;
    mf_normal_end(&e->normal);
    mf_split_end(&e->split);
    mf_bpe_work_free(&e->work);
    free(e->word);
    free(e->spaced);
    free(e->cache);
    free(e);
}

/* --- words --- */

static struct cached *cache_slot(struct mf_encoder *e, const char *word, size_t size) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < size; i++) hash = (hash ^ (unsigned char)word[i]) * UINT64_C(0x100000001b3);
    return &e->cache[(hash ^ hash >> 32) & (CACHE_CAPACITY - 1)];
}

/* e->word [*n] becomes the tokens of a word. */
static int merge_word(struct mf_encoder *e, const char *word, size_t size, size_t *n, struct mf_err *err) {
    const struct mf_tokenizer *t = e->tokenizer;
    if (e->capacity < size) {
        uint32_t *grown = realloc(e->word, size * sizeof *grown);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for a word of %zu bytes", size);
        e->word = grown;
        e->capacity = size;
    }
    *n = 1;
    if (mf_whole_get(&t->words, word, size, e->word)) return 0;
    if (word_spell(t, word, size, e->word, n, err) < 0) return -1;
    return mf_bpe_apply(&t->merges, &e->work, e->word, n, err);
}

static int encode_word(struct mf_encoder *e, const char *word, size_t size, struct mf_err *err) {
    struct cached *slot = size <= CACHE_BYTES ? cache_slot(e, word, size) : NULL;
    if (slot && slot->size == size && memcmp(slot->bytes, word, size) == 0)
        return ids_append(e->ids, slot->ids, slot->n, err);
    size_t n;
    if (merge_word(e, word, size, &n, err) < 0) return -1;
    if (slot && n <= CACHE_IDS) {
        slot->size = (unsigned char)size;
        slot->n = (unsigned char)n;
        memcpy(slot->bytes, word, size);
        memcpy(slot->ids, e->word, n * sizeof *e->word);
    }
    return ids_append(e->ids, e->word, n, err);
}

/* --- ByteLevel --- */

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
static int encode_spaced(struct mf_encoder *e, const char *text, size_t *size, struct mf_err *err) {
    size_t all = *size + 1, part = e->tokenizer->whole ? all : 64, length;
    for (;; part *= 2) {
        if (part > all) part = all;
        if (put_space(e, text, part, err) < 0) return -1;
        length = e->tokenizer->whole ? all : mf_word_length(e->spaced, part);
        if (part == all || length + DECIDING_BYTES <= part) break;
    }
    *size = length - 1;
    return encode_word(e, e->spaced, length, err);
}

/* Text that is cut into words here. */
static int encode_bytes(struct mf_encoder *e, const char *text, size_t size, struct mf_err *err) {
    if (e->tokenizer->prefix_space && size && *text != ' ') {
        size_t first = size;
        if (encode_spaced(e, text, &first, err) < 0) return -1;
        text += first;
        size -= first;
    }
    while (size) {
        size_t length = e->tokenizer->whole ? size : mf_word_length(text, size);
        if (encode_word(e, text, length, err) < 0) return -1;
        text += length;
        size -= length;
    }
    return 0;
}

/* --- characters --- */

/* Is there a merge across the place between text[at - 1] and the mark at text[at]? */
static bool is_glued(const struct mf_tokenizer *t, const char *text, size_t at) {
    size_t back = 1, length;
    while (back < 4 && back < at && ((unsigned char)text[at - back] & 0xc0) == 0x80) back++;
    int32_t c = mf_character(text + at - back, back, &length);
    if (c == BLANK_MARK_CHARACTER) return true; /* a run of marks is one word with what follows */
    for (size_t i = 0; i < t->n_glued; i++)
        if (t->glued[i] == c) return true;
    return false;
}

/* Merges see all of a text here; what none of them joins is merged apart, so that words are found again. */
static int encode_characters(struct mf_encoder *e, const char *text, size_t size, struct mf_err *err) {
    const struct mf_tokenizer *t = e->tokenizer;
    const bool cut = !t->uncut && t->character_ids[BLANK_MARK_CHARACTER];
    for (size_t at = cut ? 1 : size; at < size;) {
        const char *mark = memmem(text + at, size - at, BLANK_MARK, BLANK_MARK_SIZE);
        if (!mark) break;
        at = (size_t)(mark - text);
        if (is_glued(t, text, at)) {
            at += BLANK_MARK_SIZE;
            continue;
        }
        if (encode_word(e, text, at, err) < 0) return -1;
        text += at;
        size -= at;
        at = 1;
    }
    return encode_word(e, text, size, err);
}

/* --- texts --- */

static int take_split(void *context, const char *text, size_t size, struct mf_err *err) {
    struct mf_encoder *e = context;
    int status =
        e->tokenizer->characters ? encode_characters(e, text, size, err) : encode_bytes(e, text, size, err);
    e->word_failed = status < 0;
    return status;
}

/* A failure of the tokenizer's own steps names its file. */
static int blame(const struct mf_encoder *e, struct mf_err *err) {
    const struct mf_err why = *err;
    return mf_err_set(err, why.status, "%s: %s", e->tokenizer->path, why.text);
}

/* Text without added tokens, `first` of the whole. */
static int encode_plain(struct mf_encoder *e, const char *text, size_t size, bool first, struct mf_err *err) {
    e->word_failed = false;
    if (mf_split(&e->split, text, size, first, take_split, e, err) == 0) return 0;
    return e->word_failed ? -1 : blame(e, err);
}

/* Added tokens come first: the early ones of the whole text, then, once what is between them is normalized,
 * the late ones. `offset` is the text's in the whole. */
static int encode_added(struct mf_encoder *e, bool late, const char *text, size_t size, size_t offset,
                        struct mf_err *err) {
    const bool special = e->special != MF_SPECIAL_TEXT;
    if (late && mf_normal_apply(&e->normal, &text, &size, err) < 0) return blame(e, err);
    for (size_t at = 0; at < size;) {
        struct match m = added_find(e->tokenizer, late, special, text, size, at);
        size_t length = m.begin - at;
        int status = length == 0 ? 0
                     : late      ? encode_plain(e, text + at, length, offset + at == 0, err)
                                 : encode_added(e, true, text + at, length, at, err);
        if (status < 0) return -1;
        if (m.added && m.added->special && e->special == MF_SPECIAL_ERROR)
            return mf_err_set(err, EX_DATAERR, "the text spells the special token %s at byte %zu",
                              m.added->text, offset + m.begin);
        if (m.added && mf_ids_add(e->ids, m.added->id, err) < 0) return -1;
        at = m.end;
    }
    return 0;
}

int mf_encode(struct mf_encoder *e, const char *text, size_t size, enum mf_special special,
              struct mf_ids *ids, struct mf_err *err) {
    e->special = special;
    e->ids = ids;
    return encode_added(e, false, text, size, 0, err);
}

int mf_encode_document(struct mf_encoder *e, const char *text, size_t size, enum mf_special special,
                       struct mf_ids *ids, struct mf_err *err) {
    const struct mf_tokenizer *t = e->tokenizer;
    if (ids_append(ids, t->before.ids, t->before.count, err) < 0) return -1;
    if (mf_encode(e, text, size, special, ids, err) < 0) return -1;
    return ids_append(ids, t->after.ids, t->after.count, err);
}
