/* One document beside the kept ones before it that share a key with it. */
#include <stdlib.h>
#include "text/copies_internal.h"

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool is_forgotten(const struct mf_copies *c, uint32_t doc) {
    return c->n_forgotten && bsearch(&doc, c->forgotten, c->n_forgotten, sizeof doc, by_number);
}

/* A kept document with the hash. Keys lack the lowest bits of it, so hashes are compared. */
static int find_exact(const struct mf_copies *c, const struct copies_lists *l, uint64_t hash,
                      struct copies_verdict *verdict, struct mf_err *err) {
    struct copies_facts other;
    for (uint32_t n = l->heads[0]; n; n = l->nodes[n].link) {
        uint32_t doc = l->nodes[n].doc;
        if (copies_facts_read(c, doc, false, &other, err) < 0) return -1;
        if (other.hash == hash && !is_forgotten(c, doc))
            *verdict = (struct copies_verdict){MF_COPY_EXACT, doc};
    }
    return 0;
}

/* All kept documents that share a band with this one, in their order, some of them several times. */
static size_t list_candidates(const struct copies_lists *l) {
    size_t count = 0;
    for (size_t slot = 1; slot < l->slots; slot++)
        for (uint32_t n = l->heads[slot]; n; n = l->nodes[n].link)
            if (count == 0 || l->candidates[count - 1] != l->nodes[n].doc)
                l->candidates[count++] = l->nodes[n].doc;
    if (count > 1) qsort(l->candidates, count, sizeof *l->candidates, by_number);
    return count;
}

static double jaccard(const struct copies_facts *a, const struct copies_facts *b) {
    size_t same = 0;
    for (size_t i = 0; i < MF_MINHASHES; i++) same += a->signature[i] == b->signature[i];
    return (double)same / MF_MINHASHES;
}

/* The most similar of the candidates, when it is similar enough; of several the first. */
static int find_near(const struct mf_copies *c, const struct copies_lists *l,
                     const struct copies_facts *facts, struct copies_verdict *verdict, struct mf_err *err) {
    struct copies_facts other;
    double best = 0;
    size_t n = list_candidates(l);
    for (size_t i = 0; i < n; i++) {
        uint32_t doc = l->candidates[i];
        if ((i > 0 && doc == l->candidates[i - 1]) || is_forgotten(c, doc)) continue;
        if (copies_facts_read(c, doc, true, &other, err) < 0) return -1;
        double similarity = jaccard(facts, &other);
        if (similarity < c->near || similarity <= best) continue;
        *verdict = (struct copies_verdict){MF_COPY_NEAR, doc};
        best = similarity;
    }
    return 0;
}

int copies_compare(const struct mf_copies *c, uint32_t doc, const struct copies_lists *l,
                   struct copies_verdict *verdict, struct mf_err *err) {
    struct copies_facts facts;
    size_t slot = 0;
    *verdict = (struct copies_verdict){MF_COPY_NONE, 0};
    while (slot < l->slots && !l->heads[slot]) slot++;
    if (slot == l->slots) return 0;
    if (copies_facts_read(c, doc, true, &facts, err) < 0) return -1;
    if (find_exact(c, l, facts.hash, verdict, err) < 0) return -1;
    return verdict->copy == MF_COPY_EXACT ? 0 : find_near(c, l, &facts, verdict, err);
}
