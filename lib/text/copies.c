/* Documents on their way to being decided: hashes, signatures and ids, spilled. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "text/copies_internal.h"

struct mf_copies_plan mf_copies_plan(double near, size_t memory) {
    size_t slots = COPIES_SLOTS(near), m = memory < MF_COPIES_MIN ? MF_COPIES_MIN : memory;
    struct mf_copies_plan plan = {.sort = m / 8 * 5, .state = m / 4, .queues = m / 8};
    plan.per_run = plan.sort / COPIES_RECORD / slots;
    /* a document and slot: where its group goes on, its list, and a node of it; a quarter for other nodes */
    plan.per_range = plan.state / 4 * 3 / (slots * 4 * sizeof(uint32_t));
    return plan;
}

int mf_copies_new(struct mf_copies **out, double near, size_t memory, struct mf_err *err) {
    struct mf_copies *c = calloc(1, sizeof *c);
    if (!c) return mf_err_set(err, EX_OSERR, "out of memory");
    c->near = near;
    c->plan = mf_copies_plan(near, memory);
    mf_minhash_make(&c->minhash);
    if (mf_sort_new(&c->sort, COPIES_RECORD, c->plan.sort, err) < 0) {
        free(c);
        return -1;
    }
    *out = c;
    return 0;
}

void mf_copies_free(struct mf_copies *c) {
    if (!c) return;
    mf_sort_free(c->sort);
    mf_spill_free(&c->facts);
    mf_spill_free(&c->verdicts);
    mf_spill_free(&c->ids);
    free(c->forgotten);
    free(c->id);
    free(c);
}

uint32_t mf_copies_count(const struct mf_copies *c) {
    return c->count;
}

/* --- adding --- */

static int add_key(struct mf_copies *c, uint64_t hash, size_t slot, struct mf_err *err) {
    uint64_t key = (hash & ~COPIES_SLOT_MASK) | slot;
    unsigned char record[COPIES_RECORD];
    for (size_t i = 0; i < 8; i++) record[i] = (unsigned char)(key >> (56 - 8 * i));
    for (size_t i = 0; i < 4; i++) record[8 + i] = (unsigned char)(c->count >> (24 - 8 * i));
    return mf_sort_add(c->sort, record, err);
}

static int add_bands(struct mf_copies *c, const uint32_t *signature, struct mf_err *err) {
    int status = 0;
    for (size_t b = 0; b < COPIES_BANDS && status == 0; b++) {
        const uint32_t *rows = signature + b * COPIES_ROWS;
        status = add_key(c, XXH3_64bits_withSeed(rows, COPIES_ROWS * sizeof *rows, b), 1 + b, err);
    }
    return status;
}

int mf_copies_add(struct mf_copies *c, uint64_t hash, const struct mf_doc *doc, struct mf_err *err) {
    struct copies_facts facts = {
        .hash = hash, .size = doc->size, .id_at = c->ids.size, .id_size = doc->id_size};
    const uint32_t *signature = doc->signature;
    uint32_t made[MF_MINHASHES];
    if (c->count >= UINT32_MAX - 1) return mf_err_set(err, EX_DATAERR, "more than 2^32 - 2 documents");
    if (add_key(c, hash, 0, err) < 0) return -1;
    if (c->near > 0) {
        if (!signature) {
            mf_minhash(&c->minhash, doc->text, doc->size, made);
            signature = made;
        }
        for (size_t i = 0; i < MF_MINHASHES; i++) facts.signature[i] = (uint16_t)signature[i];
        if (add_bands(c, signature, err) < 0) return -1;
    }
    if (mf_spill_append(&c->facts, &facts, COPIES_FACTS(c->near), err) < 0) return -1;
    c->count++;
    return mf_spill_append(&c->ids, doc->id, doc->id_size, err);
}

/* --- reading --- */

int copies_facts_read(const struct mf_copies *c, uint32_t number, bool signature, struct copies_facts *facts,
                      struct mf_err *err) {
    size_t size = signature ? COPIES_FACTS(c->near) : COPIES_FACTS(0);
    return mf_spill_read(&c->facts, facts, size, (uint64_t)number * COPIES_FACTS(c->near), err);
}

int copies_verdict_read(const struct mf_copies *c, uint32_t number, struct copies_verdict *verdict,
                        struct mf_err *err) {
    return mf_spill_read(&c->verdicts, verdict, sizeof *verdict, (uint64_t)number * sizeof *verdict, err);
}

int mf_copies_read(const struct mf_copies *c, uint32_t number, struct mf_copies_doc *doc,
                   struct mf_err *err) {
    struct copies_facts facts;
    struct copies_verdict verdict;
    if (copies_facts_read(c, number, false, &facts, err) < 0) return -1;
    if (copies_verdict_read(c, number, &verdict, err) < 0) return -1;
    *doc = (struct mf_copies_doc){
        .hash = facts.hash, .size = facts.size, .copy = (enum mf_copy)verdict.copy, .kept = verdict.kept};
    return 0;
}

int mf_copies_id(struct mf_copies *c, uint32_t number, const char **id, size_t *id_size, struct mf_err *err) {
    struct copies_facts facts;
    if (copies_facts_read(c, number, false, &facts, err) < 0) return -1;
    char *grown = realloc(c->id, (size_t)facts.id_size + 1);
    if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for the id of a document");
    *id = c->id = grown;
    *id_size = (size_t)facts.id_size;
    return mf_spill_read(&c->ids, c->id, (size_t)facts.id_size, facts.id_at, err);
}

int mf_copies_forget(struct mf_copies *c, uint32_t number, struct mf_err *err) {
    if (c->n_forgotten == c->forgotten_capacity) {
        size_t capacity = c->n_forgotten ? 2 * c->n_forgotten : 64;
        uint32_t *grown = realloc(c->forgotten, capacity * sizeof *grown);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for the numbers of documents");
        c->forgotten = grown;
        c->forgotten_capacity = capacity;
    }
    c->forgotten[c->n_forgotten++] = number;
    return 0;
}
