/* Documents that change their subject, made of two of a sample's second half. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "eval/dataset_internal.h"

#define LAST (UINT64_MAX / 2) /* in the order of the stream */

static bool of_other_subject(const struct held *a, const struct held *b) {
    return b->other && (a->doc.partition != b->doc.partition || a->doc.partition < 0);
}

/* The next of n documents after i that has another subject; i when there is none. */
static size_t find_partner(const struct held *held, size_t n, size_t i) {
    size_t k = (i + 1) % n;
    while (k != i && !of_other_subject(&held[i], &held[k])) k = (k + 1) % n;
    return k;
}

/* At most `max` of a document's tokens behind the first `skip`, or behind fewer where it is shorter, without
 * BOS and EOS. Returns how many. */
static size_t cut_piece(const struct mf_specials *specials, const struct mf_token_doc *doc, size_t skip,
                        size_t max, const uint32_t **from) {
    size_t begin = doc->n > 0 && (int64_t)doc->tokens[0] == specials->bos, end = doc->n;
    if (end > begin && (int64_t)doc->tokens[end - 1] == specials->eos) end--;
    size_t rest = end - begin > max ? end - begin - max : 0;
    begin += skip < rest ? skip : rest;
    *from = doc->tokens + begin;
    return end - begin < max ? end - begin : max;
}

/* Appends a document: the beginning of one, then as much from the midst of another. Returns its tokens. */
static size_t mix(struct mf_dataset *s, size_t i, size_t partner, size_t S, uint32_t *tokens) {
    struct mf_token_doc doc = s->held[i].doc;
    const uint32_t *first, *second;
    size_t n = 0, of_first = cut_piece(&s->specials, &doc, 0, S / 2, &first);
    size_t of_second = cut_piece(&s->specials, &s->held[partner].doc, S / 2, S / 2, &second);
    if (s->specials.bos >= 0) tokens[n++] = (uint32_t)s->specials.bos;
    memcpy(tokens + n, first, of_first * sizeof *tokens);
    memcpy(tokens + n + of_first, second, of_second * sizeof *tokens);
    doc.tokens = tokens;
    doc.n = n + of_first + of_second;
    s->domain = s->held[i].domain;
    dataset_hold(s, &doc, doc.n, LAST + i)->other = true;
    return doc.n;
}

size_t mf_dataset_mix(struct mf_dataset *s, size_t S, double share) {
    size_t before = s->n_held;
    double tokens = 0, mixed = 0;
    uint32_t *room = calloc(S + 1, sizeof *room);
    if (!room) mf_no_memory();
    if (!s->sampled) abort();
    if (before > 0) qsort(s->held, before, sizeof *s->held, dataset_by_hash);
    for (size_t i = 0; i < before; i++)
        if (s->held[i].other) tokens += (double)s->held[i].doc.n;
    for (size_t i = 0; i < before && mixed < share * tokens; i++) {
        if (!s->held[i].other) continue;
        size_t partner = find_partner(s->held, before, i);
        if (partner == i) break; /* all are of one subject */
        mixed += (double)mix(s, i, partner, S, room);
    }
    free(room);
    if (before > 0) qsort(s->held, s->n_held, sizeof *s->held, dataset_by_order);
    s->next = 0;
    return s->n_held - before;
}
