/* Hashes of texts: one of all of it, and MinHash signatures of its words. */
#include "text/minhash.h"

#include <stdbool.h>
#include <string.h>
#include <xxhash.h>
#include "base/memory.h"
#include "base/rng.h"
#include "base/simd.h"
#include "io/utf8.h"

#define WORDS     5   /* of a shingle */
#define LONG_WORD 256 /* bytes; in a longer run without blanks each character is a word */

void mf_minhash_make(struct mf_minhash *m) {
    for (uint64_t i = 0; i < MF_MINHASHES; i++) {
        m->multiply[i] = (uint32_t)mf_rng_at(0x6d696e68617368, i) | 1;
        m->add[i] = (uint32_t)mf_rng_at(0x68617368, i);
    }
}

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
    for (size_t i = 0; i < MF_MINHASHES; i++) {
        uint32_t x = hash * multiply[i] + add[i];
        x ^= x >> 15;
        x *= 0x2c1b3c6du;
        signature[i] = x < signature[i] ? x : signature[i];
    }
}

/* The least value of each hash over all shingles; a text of fewer words is one shingle. */
void mf_minhash(const struct mf_minhash *m, const char *text, size_t size, uint32_t *signature) {
    struct words w = {.text = text, .size = size};
    uint64_t words[WORDS] = {0};
    size_t n = 0;
    memset(signature, 0xff, MF_MINHASHES * sizeof *signature);
    while (next_word(&w)) {
        words[n++ % WORDS] = XXH3_64bits(text + w.at, w.length);
        if (n < WORDS) continue;
        uint64_t hash = 0;
        for (size_t k = 0; k < WORDS; k++) hash = mf_rng_at(hash, words[(n + k) % WORDS]);
        lower(signature, m->multiply, m->add, (uint32_t)(hash >> 32));
    }
    if (n < WORDS) lower(signature, m->multiply, m->add, (uint32_t)(XXH64(words, sizeof words, n) >> 32));
}
