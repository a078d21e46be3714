/* Joins by external sorts: documents by fingerprint with the table, then back by number. */
#include "partition/known.h"

#include <string.h>
#include "io/sort.h"
#include "partition/general.h"

int mf_placed_add(struct mf_sort *sort, size_t document, size_t partition, struct mf_err *err) {
    unsigned char record[MF_PLACED_RECORD];
    mf_sort_put(record, document);
    mf_sort_put16(record + 8, partition);
    return mf_sort_add(sort, record, err);
}

int mf_placed_next(struct mf_sort *sort, size_t *document, size_t *partition, struct mf_err *err) {
    const unsigned char *record;
    int more = mf_sort_next(sort, &record, err);
    if (more <= 0) return more;
    *document = (size_t)mf_sort_get(record);
    *partition = mf_sort_get16(record + 8);
    return 1;
}

int mf_placed_write(struct mf_sort *placed, struct mf_spill *places, struct mf_err *err) {
    size_t document, partition;
    int more = mf_sort_begin(placed, err);
    while (more >= 0 && (more = mf_placed_next(placed, &document, &partition, err)) > 0)
        if (mf_places_add(places, partition, err) < 0) more = -1;
    return more;
}

/* The table of documents, read in its order. */
struct table_reader {
    struct mf_spill_reader reader;
    uint64_t left;
    struct mf_known entry; /* where left > 0 */
};

static int next_entry(struct table_reader *t, struct mf_err *err) {
    t->left--;
    return t->left > 0 ? mf_spill_take(&t->reader, &t->entry, sizeof t->entry, err) : 0;
}

/* The documents by fingerprint, and of one fingerprint by number: `sorted` holds both, big-endian. */
static int join(const struct mf_partition *p, struct mf_sort *sorted, struct mf_sort *placed, size_t *count,
                struct mf_err *err) {
    struct table_reader t = {.reader = {.spill = &p->table}, .left = p->documents + 1};
    const unsigned char *record;
    struct mf_known last = {0}; /* entry of the table that was used last */
    bool is_known = false;
    int status = next_entry(&t, err);
    if (status == 0) status = mf_sort_begin(sorted, err);
    while (status >= 0 && (status = mf_sort_next(sorted, &record, err)) > 0) {
        uint64_t fingerprint = mf_sort_get(record);
        while (status >= 0 && t.left > 0 && t.entry.fingerprint < fingerprint) status = next_entry(&t, err);
        if (status < 0) break;
        if (t.left > 0 && t.entry.fingerprint == fingerprint) {
            last = t.entry;
            is_known = true;
            status = next_entry(&t, err);
        } else if (last.fingerprint != fingerprint)
            is_known = false;
        *count += is_known;
        if (status >= 0)
            status = mf_placed_add(placed, (size_t)mf_sort_get(record + 8),
                                   is_known ? last.partition : MF_NO_PARTITION, err);
    }
    mf_spill_reader_free(&t.reader);
    return status;
}

static int sort_by_fingerprint(const struct mf_corpus *corpus, struct mf_sort *sorted, struct mf_err *err) {
    struct mf_facts facts = {.corpus = corpus};
    struct mf_fact fact;
    unsigned char record[16];
    int more = 0;
    for (size_t i = 0; (more = mf_facts_next(&facts, &fact, err)) > 0; i++) {
        mf_sort_put(record, fact.fingerprint);
        mf_sort_put(record + 8, i);
        if (mf_sort_add(sorted, record, err) < 0) {
            more = -1;
            break;
        }
    }
    mf_facts_end(&facts);
    return more;
}

int mf_known_find(const struct mf_partition *p, const struct mf_corpus *corpus, size_t memory,
                  struct mf_spill *known, size_t *count, struct mf_err *err) {
    struct mf_sort *sorted = NULL, *placed = NULL;
    int status = mf_sort_new(&sorted, 16, memory / 2, err);
    if (status == 0) status = mf_sort_new(&placed, MF_PLACED_RECORD, memory / 2, err);
    *count = 0;
    if (status == 0) status = sort_by_fingerprint(corpus, sorted, err);
    if (status == 0) status = join(p, sorted, placed, count, err);
    if (status == 0) status = mf_placed_write(placed, known, err);
    mf_sort_free(sorted);
    mf_sort_free(placed);
    return status;
}

/* --- the table of a partitioning --- */

#define TABLE_RECORD 18 /* fingerprint, number, partition; big-endian */

static int count_documents(struct mf_partition *p, const struct mf_corpus *corpus,
                           const struct mf_spill *partitions, struct mf_sort *sort, struct mf_err *err) {
    struct mf_facts facts = {.corpus = corpus};
    struct mf_spill_reader places = {.spill = partitions};
    struct mf_fact fact;
    unsigned char record[TABLE_RECORD];
    int more = 0;
    size_t e;
    for (size_t i = 0; (more = mf_facts_next(&facts, &fact, err)) > 0; i++) {
        more = mf_places_take(&places, &e, err);
        if (more < 0) break;
        p->sizes[e]++;
        p->n_tokens[e] += fact.tokens;
        mf_sort_put(record, fact.fingerprint);
        mf_sort_put(record + 8, i);
        mf_sort_put16(record + 16, e);
        more = mf_sort_add(sort, record, err);
        if (more < 0) break;
    }
    mf_facts_end(&facts);
    mf_spill_reader_free(&places);
    return more;
}

static int write_table(struct mf_partition *p, struct mf_sort *sort, struct mf_err *err) {
    const unsigned char *record;
    int more = mf_sort_begin(sort, err);
    while (more >= 0 && (more = mf_sort_next(sort, &record, err)) > 0)
        if (mf_partition_know(p, mf_sort_get(record), mf_sort_get16(record + 16), err) < 0) more = -1;
    return more;
}

int mf_known_set(struct mf_partition *p, const struct mf_corpus *corpus, const struct mf_spill *partitions,
                 size_t memory, struct mf_err *err) {
    struct mf_sort *sort;
    if (mf_sort_new(&sort, TABLE_RECORD, memory, err) < 0) return -1;
    mf_spill_free(&p->table);
    p->documents = 0;
    memset(p->sizes, 0, p->E * sizeof *p->sizes);
    memset(p->n_tokens, 0, p->E * sizeof *p->n_tokens);
    int status = count_documents(p, corpus, partitions, sort, err);
    if (status == 0) status = write_table(p, sort, err);
    if (status == 0) mf_general_set(p);
    mf_sort_free(sort);
    return status;
}
