/* Rounds of learning. */
#include "text/bpe_rounds.h"

#include <stdlib.h>
#include <string.h>
#include "io/spill.h"
#include "text/bpe_rounds_internal.h"
#include "text/bpe_symbols.h"
#include "text/words.h"

/* A word on disk: this, then its ids. */
struct head {
    uint64_t count, n;
};

struct mf_bpe_rounds {
    size_t memory;
    struct mf_spill words;
    struct mf_bpe_work work;
    uint32_t *ids; /* of the word that is read */
    size_t capacity;
    struct mf_pair_map fresh;   /* the merges of the last round: pair to its number in it << 32 | id */
    struct mf_pair_map refused; /* pairs that `accept` refused */
    mf_bpe_accept *accept;
    void *context;
    struct mf_err *err; /* of the call that is under way */
};

int mf_bpe_rounds_new(struct mf_bpe_rounds **out, size_t memory, struct mf_err *err) {
    *out = calloc(1, sizeof **out);
    if (!*out) return mf_err_set(err, EX_OSERR, "out of memory");
    (*out)->memory = memory;
    return 0;
}

void mf_bpe_rounds_free(struct mf_bpe_rounds *r) {
    if (!r) return;
    mf_spill_free(&r->words);
    mf_bpe_work_free(&r->work);
    mf_pair_map_free(&r->fresh);
    mf_pair_map_free(&r->refused);
    free(r->ids);
    free(r);
}

static int append(struct mf_spill *words, const uint32_t *ids, size_t n, uint64_t count, struct mf_err *err) {
    const struct head head = {count, n};
    if (n < 2) return 0; /* there is nothing to merge in it */
    if (mf_spill_append(words, &head, sizeof head, err) < 0) return -1;
    return mf_spill_append(words, ids, n * sizeof *ids, err);
}

int mf_bpe_rounds_add(struct mf_bpe_rounds *r, const uint32_t *ids, size_t n, uint64_t count,
                      struct mf_err *err) {
    return append(&r->words, ids, n, count, err);
}

/* --- reading the words --- */

typedef int take_word(struct mf_bpe_rounds *r, void *context, uint64_t count, size_t n);

/* Calls `take` for each word, its ids in r->ids. */
static int each_word(struct mf_bpe_rounds *r, take_word *take, void *context) {
    struct mf_spill_reader reader = {.spill = &r->words};
    int status = 0;
    while (status == 0 && reader.at < r->words.size) {
        struct head head;
        if ((status = mf_spill_take(&reader, &head, sizeof head, r->err)) < 0) break;
        if (head.n > r->capacity) {
            uint32_t *grown = realloc(r->ids, head.n * sizeof *grown);
            if (!grown) status = mf_err_set(r->err, EX_OSERR, "out of memory for a word");
            if (!grown) break;
            r->ids = grown;
            r->capacity = head.n;
        }
        status = mf_spill_take(&reader, r->ids, head.n * sizeof *r->ids, r->err);
        if (status == 0) status = take(r, context, head.count, head.n);
    }
    mf_spill_reader_free(&reader);
    return status;
}

/* --- counting pairs --- */

struct recount {
    struct mf_spill words; /* as they are after the last round */
    struct census *census;
};

static int recount_word(struct mf_bpe_rounds *r, void *context, uint64_t count, size_t n) {
    struct recount *c = context;
    if (mf_bpe_apply(&r->fresh, &r->work, r->ids, &n, r->err) < 0) return -1;
    for (size_t i = 0; i + 1 < n; i++)
        if (census_add(c->census, mf_pair(r->ids[i], r->ids[i + 1]), count, r->err) < 0) return -1;
    return append(&c->words, r->ids, n, count, r->err);
}

/* The words after the last round take the place of those before it; the most frequent pairs are kept. */
static int recount(struct mf_bpe_rounds *r, struct mf_bpe_floor floor, struct kept_pairs *kept) {
    struct recount c = {0};
    if (census_new(&c.census, r->memory, r->err) < 0) return -1;
    int status = each_word(r, recount_word, &c);
    mf_spill_free(&r->words);
    r->words = c.words;
    if (status == 0) status = census_keep(c.census, floor, &r->refused, kept, r->err);
    census_free(c.census);
    return status;
}

/* --- segments --- */

struct segments {
    const struct kept_pairs *kept;
    size_t n_kept; /* of them: less when the segments were too many */
    struct mf_words *table;
};

static bool is_kept(const struct segments *s, uint32_t left, uint32_t right) {
    const uint64_t *rank = mf_pair_map_get(&s->kept->rank, mf_pair(left, right));
    return rank && *rank <= s->n_kept;
}

/* Counts what is between the cuts of a word. */
static int cut(struct segments *s, const uint32_t *ids, size_t n, uint64_t count, struct mf_err *err) {
    for (size_t begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1; end < n && is_kept(s, ids[end - 1], ids[end]);) end++;
        if (end - begin > 1 &&
            mf_words_put(s->table, ids + begin, (end - begin) * sizeof *ids, count, err) < 0)
            return -1;
    }
    return 0;
}

/* Keeps half of the pairs, and cuts the segments again. */
static int cut_more(struct segments *s, struct mf_err *err) {
    struct mf_words *old = s->table;
    const char *ids;
    size_t at = 0, size;
    uint64_t count;
    int status = mf_words_new(&s->table, 0, 0, err);
    s->n_kept /= 2;
    while (status == 0 && (count = mf_words_next(old, &at, &ids, &size)) > 0)
        status = cut(s, (const uint32_t *)(const void *)ids, size / sizeof(uint32_t), count, err);
    mf_words_free(old);
    return status;
}

/* A kept pair while it is learnt from: its state, its place in an index and a heap, and the smallest list. */
#define PAIR_MEMORY ((size_t)160)

static bool too_many(const struct segments *s, size_t memory) {
    return s->n_kept > 1 && mf_words_memory(s->table, sizeof(uint32_t)) + s->n_kept * PAIR_MEMORY > memory;
}

static int cut_word(struct mf_bpe_rounds *r, void *context, uint64_t count, size_t n) {
    struct segments *s = context;
    int status = cut(s, r->ids, n, count, r->err);
    while (status == 0 && too_many(s, r->memory)) status = cut_more(s, r->err);
    return status;
}

/* --- learning --- */

static int accept_noting(void *context, uint32_t left, uint32_t right, uint32_t id) {
    struct mf_bpe_rounds *r = context;
    int taken = r->accept(r->context, left, right, id);
    if (taken == 0 && mf_pair_map_put(&r->refused, mf_pair(left, right), 0, r->err) < 0) return -1;
    return taken;
}

static int learn_segments(struct mf_bpe_rounds *r, struct mf_words *table, struct mf_bpe_floor floor,
                          uint32_t first_id, size_t n_tokens, struct mf_bpe_merges *merges) {
    struct mf_bpe_symbols symbols;
    size_t before = merges->count;
    int status = mf_bpe_symbols_make(&symbols, table, NULL, r->err);
    mf_words_free(table);
    if (status == 0)
        status = mf_bpe_learn(symbols.ids, symbols.n, symbols.counts, first_id, n_tokens, floor,
                              accept_noting, r, merges, r->err);
    mf_bpe_symbols_free(&symbols);
    mf_pair_map_free(&r->fresh);
    for (size_t i = before; i < merges->count && status == 0; i++) {
        uint64_t number = i - before;
        status = mf_pair_map_put(&r->fresh, merges->pairs[i], number << 32 | (first_id + number), r->err);
    }
    return status;
}

/* One round: 1, or 0 when no pair was left. */
static int one_round(struct mf_bpe_rounds *r, struct mf_bpe_floor floor, uint32_t first_id, size_t n_tokens,
                     struct mf_bpe_merges *merges) {
    struct kept_pairs kept = {0};
    struct segments s = {.kept = &kept};
    int status = recount(r, floor, &kept);
    bool left = status == 0 && kept.n > 0;
    s.n_kept = kept.n;
    if (left) status = mf_words_new(&s.table, 0, 0, r->err);
    if (left && status == 0) status = each_word(r, cut_word, &s);
    struct mf_bpe_floor first_cut = left ? kept.order[s.n_kept] : floor;
    kept_pairs_free(&kept);
    if (status == 0 && left)
        return learn_segments(r, s.table, first_cut, first_id, n_tokens, merges) < 0 ? -1 : 1;
    mf_words_free(s.table);
    return status;
}

int mf_bpe_rounds_learn(struct mf_bpe_rounds *r, uint32_t first_id, size_t n_tokens, uint64_t min_count,
                        mf_bpe_accept *accept, void *context, struct mf_bpe_merges *merges, size_t *n_rounds,
                        struct mf_err *err) {
    const struct mf_bpe_floor floor = {min_count - 1, 0};
    size_t before = merges->count;
    int more = 1;
    r->accept = accept;
    r->context = context;
    r->err = err;
    for (*n_rounds = 0; more > 0 && merges->count - before<n_tokens; *n_rounds += more> 0) {
        size_t made = merges->count - before;
        more = one_round(r, floor, first_id + (uint32_t)made, n_tokens - made, merges);
    }
    return more < 0 ? -1 : 0;
}
