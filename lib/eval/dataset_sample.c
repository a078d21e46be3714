/* A bounded sample of documents: the lowest hashes, its halves, its slices. */
#include "eval/dataset_internal.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "base/memory.h"

int dataset_by_hash(const void *a, const void *b) {
    const struct held *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

int dataset_by_order(const void *a, const void *b) {
    const struct held *x = a, *y = b;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Tokens that are held when no document has more than `most`. */
static size_t held_within(const struct mf_dataset *s, size_t max) {
    size_t total = 0;
    for (size_t i = 0; i < s->n_held; i++) total += s->held[i].doc.n < max ? s->held[i].doc.n : max;
    return total;
}

/* Tokens that one document may give: as many as let all documents fit, but no fewer than the spread says. */
static size_t max_of_one(const struct mf_dataset *s, size_t max_tokens) {
    size_t low = s->spread ? 2 + max_tokens / s->spread : max_tokens, high = max_tokens;
    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;
        if (held_within(s, middle) <= max_tokens)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Keeps the lowest hashes that fit and cuts documents that are too long. One that is dropped or cut here
 * could not come back: whatever is read later only takes room from it. Returns the tokens kept. */
static size_t prune(struct mf_dataset *s, size_t max_tokens) {
    size_t total = 0, kept = 0, one = max_of_one(s, max_tokens), before = held_within(s, SIZE_MAX);
    if (s->n_held) qsort(s->held, s->n_held, sizeof *s->held, dataset_by_hash);
    for (; kept < s->n_held && total < max_tokens; kept++) {
        struct held *h = &s->held[kept];
        if (h->doc.n > one) h->doc.n = one;
        if (h->doc.n > max_tokens - total) h->doc.n = max_tokens - total;
        total += h->doc.n;
    }
    for (size_t i = kept; i < s->n_held; i++) free(s->held[i].tokens);
    s->n_held = kept;
    s->cut |= total < before;
    return total;
}

struct held *dataset_hold(struct mf_dataset *s, const struct mf_token_doc *doc, size_t max_tokens,
                          uint64_t order) {
    if (s->n_held == s->held_capacity) {
        s->held_capacity = s->held_capacity ? 2 * s->held_capacity : 64;
        s->held = reallocarray(s->held, s->held_capacity, sizeof *s->held);
        if (!s->held) mf_no_memory();
    }
    size_t n = doc->n < max_tokens ? doc->n : max_tokens;
    struct held *h = &s->held[s->n_held++];
    *h = (struct held){
        .hash = XXH64(doc->id, doc->id_size, s->seed), .order = order, .domain = s->domain, .doc = *doc};
    h->tokens = malloc(n * sizeof *h->tokens + doc->id_size);
    if (!h->tokens) mf_no_memory();
    memcpy(h->tokens, doc->tokens, n * sizeof *h->tokens);
    memcpy(h->tokens + n, doc->id, doc->id_size);
    h->doc.tokens = h->tokens;
    h->doc.n = n;
    h->doc.id = (const char *)(h->tokens + n);
    h->doc.domain = s->domains[s->domain];
    h->doc.domain_size = strlen(h->doc.domain);
    h->doc.record = NULL;
    h->doc.bytes = NULL;
    h->doc.size = 0;
    return h;
}

void mf_dataset_spread(struct mf_dataset *s, size_t documents) {
    s->spread = documents;
}

void mf_dataset_seed(struct mf_dataset *s, uint64_t seed) {
    s->seed = seed;
}

int mf_dataset_sample(struct mf_dataset *s, size_t max_tokens, struct mf_err *err) {
    struct mf_token_doc doc;
    size_t total = 0;
    int got;
    uint64_t order = 0;
    if (max_tokens < 2) max_tokens = 2;
    while ((got = dataset_next_of_stream(s, &doc, err)) > 0) {
        if (!mf_specials_predict(&s->specials, doc.tokens, doc.n)) continue;
        s->cut |= doc.n > max_tokens;
        total += dataset_hold(s, &doc, max_tokens, order++)->doc.n;
        if (total / 2 >= max_tokens) total = prune(s, max_tokens);
    }
    if (got < 0) return -1;
    prune(s, max_tokens);
    if (s->n_held) qsort(s->held, s->n_held, sizeof *s->held, dataset_by_order);
    s->sampled = true;
    return 0;
}

/* --- its halves --- */

/* Parts the only document behind a window of S inputs, as near to its middle as there is one. */
static void part_document(struct mf_dataset *s, size_t S) {
    struct held *h = &s->held[0];
    size_t windows = (h->doc.n - 1 + S - 1) / S, first = windows / 2 * S;
    if (first < 2 || h->doc.n - first < 2) return;
    struct mf_token_doc rest = h->doc;
    s->domain = h->domain;
    rest.tokens += first;
    rest.n -= first;
    struct held *second = dataset_hold(s, &rest, rest.n, h->order + 1);
    second->other = true;
    s->held[0].other = false;
    s->held[0].doc.n = first;
}

/* The document that brings the halves nearest each other by leaving the larger one: of those that help the
 * first by hash; n_held when none does. */
static size_t find_mover(const struct mf_dataset *s, bool from, size_t difference) {
    size_t best = s->n_held;
    for (size_t i = 0; i < s->n_held; i++) {
        const struct held *h = &s->held[i];
        if (h->other != from || h->doc.n >= difference) continue;
        if (best == s->n_held || dataset_by_hash(h, &s->held[best]) < 0) best = i;
    }
    return best;
}

enum mf_dataset_halves mf_dataset_halve(struct mf_dataset *s, size_t S) {
    size_t tokens[2] = {0, 0};
    if (!s->sampled) abort();
    for (size_t i = 0; i < s->n_held; i++) {
        s->held[i].other = s->held[i].hash & 1;
        tokens[s->held[i].other] += s->held[i].doc.n;
    }
    for (;;) {
        bool larger = tokens[1] > tokens[0];
        if (tokens[!larger] >= (tokens[0] + tokens[1]) / 3) break;
        size_t i = find_mover(s, larger, tokens[larger] - tokens[!larger]);
        if (i == s->n_held) break;
        s->held[i].other = !larger;
        tokens[larger] -= s->held[i].doc.n;
        tokens[!larger] += s->held[i].doc.n;
    }
    if (s->n_held == 1) part_document(s, S);
    if (s->n_held > 1) return MF_DATASET_HALVES;
    return s->cut ? MF_DATASET_CUT : MF_DATASET_SMALL;
}

void mf_dataset_select(struct mf_dataset *s, enum mf_dataset_part part) {
    if (!s->sampled) abort();
    s->part = part;
    s->next = 0;
}

/* --- its slices --- */

size_t mf_dataset_slice(struct mf_dataset *s, size_t tokens, size_t documents) {
    size_t slice = 0, total = 0, bound = tokens;
    if (!s->sampled) return 1;
    if (s->n_held) qsort(s->held, s->n_held, sizeof *s->held, dataset_by_hash);
    for (size_t i = 0; i < s->n_held; i++) {
        if (total >= bound && i >= documents) {
            bound = total + total / 2;
            slice++;
        }
        s->held[i].slice = slice;
        total += s->held[i].doc.n;
    }
    if (s->n_held) qsort(s->held, s->n_held, sizeof *s->held, dataset_by_order);
    return slice + 1;
}

void mf_dataset_range(struct mf_dataset *s, size_t from, size_t to) {
    s->from = from;
    s->to = to;
    s->next = 0;
}
