/* Gathers the per-document numbers of a tokens stream. */
#include "partition/corpus.h"

#include <stdlib.h>
#include <string.h>
#include "partition/difficulty.h"

/* The number of a label, in order of appearance. Corpora have few labels, and neighbours mostly share theirs.
 */
static int label_of(struct mf_corpus *c, const struct mf_token_doc *doc, uint16_t last, uint16_t *label,
                    struct mf_err *err) {
    *label = MF_NO_LABEL;
    if (!doc->domain) return 0;
    for (size_t k = 0; k <= c->n_names; k++) {
        size_t l = k == 0 ? last : k - 1;
        if (l >= c->n_names || c->name_sizes[l] != doc->domain_size) continue;
        if (memcmp(c->names[l], doc->domain, doc->domain_size) != 0) continue;
        *label = (uint16_t)l;
        return 0;
    }
    if (c->n_names == MF_NO_LABEL) return mf_err_set(err, EX_DATAERR, "more than %d domains", MF_NO_LABEL);
    char **names = realloc(c->names, (c->n_names + 1) * sizeof *names);
    if (names) c->names = names;
    size_t *sizes = realloc(c->name_sizes, (c->n_names + 1) * sizeof *sizes);
    if (sizes) c->name_sizes = sizes;
    char *name = malloc(doc->domain_size + 1);
    if (!names || !sizes || !name) {
        free(name);
        return mf_err_set(err, EX_OSERR, "out of memory for domain names");
    }
    memcpy(name, doc->domain, doc->domain_size);
    name[doc->domain_size] = 0;
    c->names[c->n_names] = name;
    c->name_sizes[c->n_names] = doc->domain_size;
    *label = (uint16_t)c->n_names++;
    return 0;
}

struct named {
    char *name;
    size_t size, index;
};

static int by_name(const void *a, const void *b) {
    const struct named *x = a, *y = b;
    int order = memcmp(x->name, y->name, x->size < y->size ? x->size : y->size);
    return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

/* Puts the labels in the order of their names, so that they do not depend on the order of the documents. */
static int sort_labels(struct mf_corpus *c, struct mf_err *err) {
    if (c->n_names == 0) return 0;
    struct named *named = malloc(c->n_names * sizeof *named);
    c->place = malloc(c->n_names * sizeof *c->place);
    if (named && c->place) {
        for (size_t l = 0; l < c->n_names; l++) named[l] = (struct named){c->names[l], c->name_sizes[l], l};
        qsort(named, c->n_names, sizeof *named, by_name);
        for (size_t l = 0; l < c->n_names; l++) {
            c->names[l] = named[l].name;
            c->name_sizes[l] = named[l].size;
            c->place[named[l].index] = (uint16_t)l;
        }
    }
    bool failed = !named || !c->place;
    free(named);
    return failed ? mf_err_set(err, EX_OSERR, "out of memory for domain names") : 0;
}

static int add_document(struct mf_corpus *c, const struct mf_token_doc *doc, struct mf_reading *reading,
                        uint32_t *last_seen, uint16_t *label, struct mf_err *err) {
    double difficulty = 0;
    struct mf_fact fact;
    memset(&fact, 0, sizeof fact);
    if (c->count == UINT32_MAX - 1)
        return mf_err_set(err, EX_DATAERR, "more than %lu documents", UINT32_MAX - 1UL);
    if (label_of(c, doc, *label, label, err) < 0) return -1;
    if (reading && mf_reading_difficulty(reading, doc, &difficulty, err) < 0) return -1;
    fact.fingerprint = doc->fingerprint;
    fact.tokens = (uint32_t)doc->n;
    fact.difficulty = (float)difficulty;
    fact.label = *label;
    if (mf_spill_append(&c->facts, &fact, sizeof fact, err) < 0) return -1;
    c->total += doc->n;
    c->count++;
    for (size_t i = 0; i < doc->n; i++) {
        uint32_t id = doc->tokens[i];
        if (last_seen[id] == c->count) continue;
        last_seen[id] = (uint32_t)c->count;
        c->df[id]++;
    }
    return 0;
}

int mf_corpus_scan(struct mf_corpus *c, const char *path, const struct mf_tokenizer *tokenizer,
                   struct mf_err *err) {
    struct mf_tokens_reader docs;
    struct mf_token_doc doc;
    struct mf_reading *reading = NULL;
    *c = (struct mf_corpus){0};
    if (mf_tokens_open(&docs, path, err) < 0) return -1;
    c->header = docs.header;
    c->df = calloc(c->header.vocab, sizeof *c->df);
    uint32_t *last_seen =
        calloc(c->header.vocab, sizeof *last_seen); /* the document, from 1, that had an id last */
    uint16_t label = 0;                             /* of the document before */
    int more = 1;
    if (!c->df || !last_seen) more = mf_err_set(err, EX_OSERR, "out of memory for %zu ids", c->header.vocab);
    if (more > 0 && tokenizer && mf_reading_new(&reading, tokenizer, err) < 0) more = -1;
    while (more > 0 && (more = mf_tokens_next(&docs, &doc, err)) > 0)
        if (add_document(c, &doc, reading, last_seen, &label, err) < 0) more = -1;
    int64_t special[] = {c->header.specials.bos, c->header.specials.eos, c->header.specials.pad};
    for (size_t i = 0; more == 0 && i < sizeof special / sizeof *special; i++)
        if (special[i] >= 0) c->df[special[i]] = 0;
    free(last_seen);
    mf_reading_free(reading);
    mf_tokens_close(&docs);
    return more < 0 ? -1 : sort_labels(c, err);
}

void mf_corpus_free(struct mf_corpus *c) {
    for (size_t l = 0; l < c->n_names; l++) free(c->names[l]);
    free(c->names);
    free(c->name_sizes);
    free(c->place);
    free(c->df);
    mf_spill_free(&c->facts);
    *c = (struct mf_corpus){0};
}

int mf_facts_next(struct mf_facts *facts, struct mf_fact *fact, struct mf_err *err) {
    const struct mf_corpus *c = facts->corpus;
    facts->reader.spill = &c->facts;
    if (facts->reader.at == c->facts.size) return 0;
    if (mf_spill_take(&facts->reader, fact, sizeof *fact, err) < 0) return -1;
    if (fact->label != MF_NO_LABEL) fact->label = c->place[fact->label];
    return 1;
}

void mf_facts_end(struct mf_facts *facts) {
    mf_spill_reader_free(&facts->reader);
}
