/* Exact copies by hash, near ones by MinHash with bands. */
#include "text/copies.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "base/memory.h"
#include "base/rng.h"
#include "base/simd.h"
#include "io/utf8.h"

#define HASHES 128 /* of a signature */
#define BANDS  32
#define ROWS   (HASHES / BANDS)
#define WORDS  5   /* of a shingle */
#define MOST   256 /* candidates looked at for one band */

#define LONG_WORD 256 /* bytes; in a longer run without blanks each character is a word */

struct known {
    size_t id, id_size; /* in the ids' bytes */
    bool forgotten;
    uint16_t signature[HASHES];
};

/* Hash to document: open addressing, a key may be there several times. */
struct table {
    uint64_t *keys;
    uint32_t *documents; /* UINT32_MAX: empty */
    size_t capacity, count;
};

struct mf_copies {
    double near;
    struct table exact, bands;
    struct known *known;
    size_t count, capacity;
    char *ids;
    size_t ids_size, ids_capacity;
    uint32_t multiply[HASHES], add[HASHES];
    uint32_t signature[HASHES]; /* of the document being looked at */
};

int mf_copies_new(struct mf_copies **out, double near, struct mf_err *err) {
    struct mf_copies *c = calloc(1, sizeof *c);
    if (!c) return mf_err_set(err, EX_OSERR, "out of memory");
    c->near = near;
    for (uint64_t i = 0; i < HASHES; i++) {
        c->multiply[i] = (uint32_t)mf_rng_at(0x6d696e68617368, i) | 1;
        c->add[i] = (uint32_t)mf_rng_at(0x68617368, i);
    }
    *out = c;
    return 0;
}

void mf_copies_free(struct mf_copies *c) {
    if (!c) return;
    free(c->exact.keys);
    free(c->exact.documents);
    free(c->bands.keys);
    free(c->bands.documents);
    free(c->known);
    free(c->ids);
    free(c);
}

/* --- texts --- */

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Hashes the text line by line; empty lines count only when another line follows. */
uint64_t mf_text_hash(const char *text, size_t size) {
    XXH64_state_t *state = XXH64_createState();
    size_t ends = 0;
    if (!state) mf_no_memory();
    XXH64_reset(state, 0);
    while (size) {
        const char *end = memchr(text, '\n', size);
        size_t line = end ? (size_t)(end - text) : size, kept = line;
        while (kept && is_space(text[kept - 1])) kept--;
        if (kept) {
            for (; ends; ends--) XXH64_update(state, "\n", 1);
            XXH64_update(state, text, kept);
        }
        ends++;
        text += line + (end != NULL);
        size -= line + (end != NULL);
    }
    uint64_t hash = XXH64_digest(state);
    XXH64_freeState(state);
    return hash;
}

/* Scripts that put no blanks between words; all above U+0E00. */
static const uint32_t unspaced[][2] = {
    {0x0e00, 0x109f},   /* Thai, Lao, Tibetan, Myanmar */
    {0x1780, 0x17ff},   /* Khmer */
    {0x1950, 0x1aaf},   /* Tai Le, New Tai Lue, Buginese, Tai Tham */
    {0x1b00, 0x1b7f},   /* Balinese */
    {0x2e80, 0x312f},   /* Han radicals, kana, bopomofo */
    {0x31a0, 0xa4cf},   /* Han, Yi */
    {0xa980, 0xaadf},   /* Javanese, Myanmar, Cham, Tai Viet */
    {0xf900, 0xfaff},   /* Han */
    {0xfe30, 0xfe4f},   /* forms for vertical text */
    {0xff00, 0xffef},   /* full and half width */
    {0x16fe0, 0x18d8f}, /* Tangut, Khitan */
    {0x1aff0, 0x1b2ff}, /* kana, Nushu */
    {0x20000, 0x3ffff}, /* Han */
};

static bool is_unspaced(uint32_t c) {
    for (size_t i = 0; i < sizeof unspaced / sizeof *unspaced; i++)
        if (c <= unspaced[i][1]) return c >= unspaced[i][0];
    return false;
}

static bool is_blank(char c) {
    return is_space(c) || c == '\n';
}

/* The bytes of the character that the text begins with; bytes that are none count each. */
static size_t character(const char *text, size_t size) {
    bool valid;
    size_t n = mf_utf8_step((const unsigned char *)text, size, &valid);
    return n && valid ? n : 1;
}

static uint32_t code_point(const char *text, size_t bytes) {
    const unsigned char *b = (const unsigned char *)text;
    uint32_t c = bytes == 3 ? b[0] & 0x0f : b[0] & 0x07;
    for (size_t i = 1; i < bytes; i++) c = c << 6 | (b[i] & 0x3f);
    return c;
}

/* The bytes of a character of an unspaced script at the start of the text, else 0. */
static size_t unspaced_character(const char *text, size_t size) {
    if ((unsigned char)*text < 0xe0) return 0; /* below U+0800 */
    size_t n = character(text, size);
    return n >= 3 && is_unspaced(code_point(text, n)) ? n : 0;
}

/* The words of a text, as shingles count them. */
struct words {
    const char *text;
    size_t size, at, length; /* the word is text[at, at + length) */
    size_t long_end;         /* up to here each character is a word */
};

/* The end of the run from `at` on without blanks and characters that are words. */
static size_t run_end(const struct words *w, size_t at) {
    while (at < w->size && !is_blank(w->text[at]) && !unspaced_character(w->text + at, w->size - at)) at++;
    return at;
}

static bool next_word(struct words *w) {
    size_t at = w->at + w->length;
    while (at < w->size && is_blank(w->text[at])) at++;
    w->at = at;
    if (at == w->size) return false;
    w->length = unspaced_character(w->text + at, w->size - at);
    if (w->length) return true;
    size_t end = at < w->long_end ? w->long_end : run_end(w, at);
    if (end - at > LONG_WORD) w->long_end = end;
    w->length = at < w->long_end ? character(w->text + at, end - at) : end - at;
    return true;
}

MF_CLONES static void lower(uint32_t *signature, const uint32_t *multiply, const uint32_t *add,
                            uint32_t hash) {
    for (size_t i = 0; i < HASHES; i++) {
        uint32_t x = hash * multiply[i] + add[i];
        x ^= x >> 15;
        x *= 0x2c1b3c6du;
        signature[i] = x < signature[i] ? x : signature[i];
    }
}

/* The least value of each hash over all shingles; a text of fewer words is one shingle. */
static void sign(struct mf_copies *c, const char *text, size_t size) {
    struct words w = {.text = text, .size = size};
    uint64_t words[WORDS] = {0};
    size_t n = 0;
    memset(c->signature, 0xff, sizeof c->signature);
    while (next_word(&w)) {
        words[n++ % WORDS] = XXH3_64bits(text + w.at, w.length);
        if (n < WORDS) continue;
        uint64_t hash = 0;
        for (size_t k = 0; k < WORDS; k++) hash = mf_rng_at(hash, words[(n + k) % WORDS]);
        lower(c->signature, c->multiply, c->add, (uint32_t)(hash >> 32));
    }
    if (n < WORDS) lower(c->signature, c->multiply, c->add, (uint32_t)(XXH64(words, sizeof words, n) >> 32));
}

/* --- the table --- */

static void place(const struct table *t, uint64_t key, uint32_t document) {
    size_t i = (size_t)key & (t->capacity - 1);
    while (t->documents[i] != UINT32_MAX) i = (i + 1) & (t->capacity - 1);
    t->keys[i] = key;
    t->documents[i] = document;
}

static int put(struct table *t, uint64_t key, uint32_t document, struct mf_err *err) {
    if (2 * t->count >= t->capacity) {
        struct table grown = {.capacity = t->capacity ? 2 * t->capacity : 4096, .count = t->count};
        grown.keys = malloc(grown.capacity * sizeof *grown.keys);
        grown.documents = malloc(grown.capacity * sizeof *grown.documents);
        if (!grown.keys || !grown.documents) {
            free(grown.keys);
            free(grown.documents);
            return mf_err_set(err, EX_OSERR, "out of memory for the hashes of documents");
        }
        memset(grown.documents, 0xff, grown.capacity * sizeof *grown.documents);
        for (size_t i = 0; i < t->capacity; i++)
            if (t->documents[i] != UINT32_MAX) place(&grown, t->keys[i], t->documents[i]);
        free(t->keys);
        free(t->documents);
        *t = grown;
    }
    place(t, key, document);
    t->count++;
    return 0;
}

/* The next document with this key at or after slot *i; UINT32_MAX when there is none. */
static uint32_t next(const struct table *t, uint64_t key, size_t *i) {
    for (; t->capacity && t->documents[*i] != UINT32_MAX; *i = (*i + 1) & (t->capacity - 1)) {
        if (t->keys[*i] != key) continue;
        uint32_t document = t->documents[*i];
        *i = (*i + 1) & (t->capacity - 1);
        return document;
    }
    return UINT32_MAX;
}

/* --- looking --- */

static uint64_t band_key(const struct mf_copies *c, size_t band) {
    return XXH3_64bits_withSeed(c->signature + band * ROWS, ROWS * sizeof *c->signature, band);
}

static double jaccard(const struct mf_copies *c, const struct known *k) {
    size_t same = 0;
    for (size_t i = 0; i < HASHES; i++) same += k->signature[i] == (uint16_t)c->signature[i];
    return (double)same / HASHES;
}

/* The known document that is most like this one, when it is like enough. */
static uint32_t find_near(const struct mf_copies *c) {
    uint32_t best = UINT32_MAX;
    double best_jaccard = c->near;
    for (size_t b = 0; b < BANDS; b++) {
        uint64_t key = band_key(c, b);
        size_t i = (size_t)key & (c->bands.capacity - 1), looked = 0;
        uint32_t document, last = UINT32_MAX;
        while (looked++ < MOST && (document = next(&c->bands, key, &i)) != UINT32_MAX) {
            if (document == last || document == best || c->known[document].forgotten) continue;
            last = document;
            double like = jaccard(c, &c->known[document]);
            if (like < best_jaccard || (like == best_jaccard && best < document)) continue;
            best = document;
            best_jaccard = like;
        }
    }
    return best;
}

/* The known document with this hash, or UINT32_MAX. */
static uint32_t find_exact(const struct mf_copies *c, uint64_t hash) {
    size_t i = (size_t)hash & (c->exact.capacity - 1);
    uint32_t document;
    while ((document = next(&c->exact, hash, &i)) != UINT32_MAX)
        if (!c->known[document].forgotten) return document;
    return UINT32_MAX;
}

static int remember(struct mf_copies *c, uint64_t hash, const char *id, size_t id_size, struct mf_err *err) {
    if (c->count == c->capacity) {
        size_t capacity = c->capacity ? 2 * c->capacity : 1024;
        struct known *grown = realloc(c->known, capacity * sizeof *grown);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for the hashes of documents");
        c->known = grown;
        c->capacity = capacity;
    }
    if (c->ids_capacity - c->ids_size < id_size) {
        size_t capacity = 2 * c->ids_capacity + id_size + 4096;
        char *grown = realloc(c->ids, capacity);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for the ids of documents");
        c->ids = grown;
        c->ids_capacity = capacity;
    }
    uint32_t document = (uint32_t)c->count;
    struct known *k = &c->known[c->count++];
    *k = (struct known){.id = c->ids_size, .id_size = id_size};
    if (id_size) memcpy(c->ids + c->ids_size, id, id_size);
    c->ids_size += id_size;
    if (put(&c->exact, hash, document, err) < 0) return -1;
    for (size_t i = 0; c->near > 0 && i < HASHES; i++) k->signature[i] = (uint16_t)c->signature[i];
    for (size_t b = 0; c->near > 0 && b < BANDS; b++)
        if (put(&c->bands, band_key(c, b), document, err) < 0) return -1;
    return 0;
}

int mf_copies_check(struct mf_copies *c, uint64_t hash, const char *id, size_t id_size, const char *text,
                    size_t size, const char **kept, size_t *kept_size, struct mf_err *err) {
    uint32_t document = find_exact(c, hash);
    enum mf_copy sort = MF_COPY_EXACT;
    if (document == UINT32_MAX && c->near > 0) {
        sort = MF_COPY_NEAR;
        sign(c, text, size);
        if (c->bands.capacity) document = find_near(c);
    }
    if (document == UINT32_MAX) return remember(c, hash, id, id_size, err) < 0 ? -1 : MF_COPY_NONE;
    *kept = c->ids + c->known[document].id;
    *kept_size = c->known[document].id_size;
    return sort;
}

uint32_t mf_copies_last(const struct mf_copies *c) {
    return (uint32_t)c->count - 1;
}

void mf_copies_forget(struct mf_copies *c, uint32_t document) {
    c->known[document].forgotten = true;
}
