/* Words that filled the table wait on disk: their bytes one behind the other, their counts sorted by a hash,
 * which brings those of a word together, then by where its bytes are, so that these are read in order. Two
 * words with one hash of 128 bits would count as one. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "text/words_internal.h"

/* What is sorted by hash: the hash, where the word is, its count. What is then sorted by place: the latter
 * two. */
#define HASH   16
#define PLACE  16
#define RECORD (HASH + PLACE)

static void put_place(unsigned char to[PLACE], uint64_t at, uint64_t count) {
    mf_sort_put(to, at);
    mf_sort_put(to + 8, count);
}

static int spill_word(struct words_spill *s, const char *text, const struct word *x, struct mf_err *err) {
    unsigned char record[RECORD];
    XXH128_canonical_t hash;
    uint64_t size = x->size;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(text, x->size));
    memcpy(record, hash.digest, HASH);
    put_place(record + HASH, s->text.size, x->count);
    if (mf_spill_append(&s->text, &size, sizeof size, err) < 0) return -1;
    if (mf_spill_append(&s->text, text, x->size, err) < 0) return -1;
    return mf_sort_add(s->sort, record, err);
}

int words_spill(struct mf_words *w, struct mf_err *err) {
    struct words_spill *s = &w->spill;
    if (!s->sort && mf_sort_new(&s->sort, RECORD, s->memory, err) < 0) return -1;
    for (size_t i = 0; i < w->capacity; i++) {
        const struct word *x = &w->table[i];
        if (x->count && spill_word(s, w->text + x->at, x, err) < 0) return -1;
    }
    words_empty(w);
    return 0;
}

void words_spill_free(struct words_spill *s) {
    mf_spill_free(&s->text);
    mf_sort_free(s->sort);
    s->sort = NULL;
}

/* Adds up the counts of each word; a word is where it was written first. */
static int add_up(struct mf_sort *by_hash, struct mf_sort *by_place, struct mf_err *err) {
    unsigned char last[RECORD], place[PLACE];
    const unsigned char *record;
    uint64_t count = 0;
    int more = mf_sort_begin(by_hash, err) < 0 ? -1 : mf_sort_next(by_hash, &record, err);
    while (more > 0) {
        if (count == 0) memcpy(last, record, RECORD);
        count += mf_sort_get(record + HASH + 8);
        more = mf_sort_next(by_hash, &record, err);
        if (more > 0 && memcmp(last, record, HASH) == 0) continue;
        put_place(place, mf_sort_get(last + HASH), count);
        if (more < 0 || mf_sort_add(by_place, place, err) < 0) return -1;
        count = 0;
    }
    return more;
}

struct reading {
    struct mf_spill_reader text;
    char *word;
    size_t capacity;
};

static int read_word(struct reading *r, uint64_t at, size_t *size, struct mf_err *err) {
    uint64_t length;
    r->text.at = at;
    if (mf_spill_take(&r->text, &length, sizeof length, err) < 0) return -1;
    if (length > r->capacity) {
        char *grown = realloc(r->word, (size_t)length);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for a word");
        r->word = grown;
        r->capacity = (size_t)length;
    }
    *size = (size_t)length;
    return mf_spill_take(&r->text, r->word, *size, err);
}

static int emit_words(struct words_spill *s, struct mf_sort *by_place, mf_words_take *take, void *context,
                      struct mf_err *err) {
    struct reading r = {.text.spill = &s->text};
    const unsigned char *record;
    size_t size;
    int more = mf_sort_begin(by_place, err);
    while (more >= 0 && (more = mf_sort_next(by_place, &record, err)) > 0) {
        uint64_t count = mf_sort_get(record + 8);
        more = read_word(&r, mf_sort_get(record), &size, err);
        if (more == 0) more = take(context, r.word, size, count, err);
    }
    mf_spill_reader_free(&r.text);
    free(r.word);
    return more;
}

int words_spilled_each(struct mf_words *w, mf_words_take *take, void *context, struct mf_err *err) {
    struct words_spill *s = &w->spill;
    struct mf_sort *by_place;
    if (words_spill(w, err) < 0) return -1;
    words_release(w);
    if (mf_sort_new(&by_place, PLACE, s->memory, err) < 0) return -1;
    int status = add_up(s->sort, by_place, err);
    mf_sort_free(s->sort);
    s->sort = NULL;
    if (status == 0) status = emit_words(s, by_place, take, context, err);
    mf_sort_free(by_place);
    words_spill_free(s);
    return status;
}
