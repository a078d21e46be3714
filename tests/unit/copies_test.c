/* Copies decided in little memory beside the rule as it is written down (formats/docs.md): each document is
 * compared with all kept ones before it. */
#include <stdbool.h>
#include <xxhash.h>
#include "scratch.h"
#include "base/rng.h"
#include "text/copies.h"
#include "text/minhash.h"

enum { DOCS = 1600, TEXT = 700, WORDS = 90, BANDS = 32, ROWS = MF_MINHASHES / BANDS, MAX_LOOKED = 256 };

static struct mf_err err;

struct known {
    char text[TEXT], id[24];
    size_t size;
    uint64_t hash, bands[BANDS];
    uint32_t signature[MF_MINHASHES];
    struct mf_copies_doc is; /* decided by the rule */
    bool forgotten;
};
static struct known docs[DOCS];
static size_t n_docs;

/* --- the rule --- */

static double similarity(const struct known *a, const struct known *b) {
    int same = 0;
    for (int i = 0; i < MF_MINHASHES; i++) same += (uint16_t)a->signature[i] == (uint16_t)b->signature[i];
    return (double)same / MF_MINHASHES;
}

static void find_exact(size_t i) {
    for (size_t k = 0; k < i; k++)
        if (docs[k].is.copy == MF_COPY_NONE && !docs[k].forgotten && docs[k].hash == docs[i].hash) {
            docs[i].is.copy = MF_COPY_EXACT;
            docs[i].is.kept = (uint32_t)k;
        }
}

static void find_near(size_t i, double near) {
    double best = 0;
    for (size_t b = 0; b < BANDS; b++)
        for (size_t k = 0, looked = 0; k < i && looked < MAX_LOOKED; k++) {
            bool kept = docs[k].is.copy == MF_COPY_NONE && docs[k].bands[b] == docs[i].bands[b];
            looked += kept;
            if (!kept || docs[k].forgotten) continue;
            double s = similarity(&docs[k], &docs[i]);
            if (s < near || s < best || (s == best && docs[i].is.kept < k)) continue;
            docs[i].is.kept = (uint32_t)k;
            best = s;
        }
    if (best > 0) docs[i].is.copy = MF_COPY_NEAR;
}

static void decide_by_the_rule(size_t from, double near) {
    for (size_t i = from; i < n_docs; i++) {
        docs[i].is = (struct mf_copies_doc){.hash = docs[i].hash, .size = docs[i].size};
        find_exact(i);
        if (docs[i].is.copy == MF_COPY_NONE && near > 0) find_near(i, near);
    }
}

/* --- texts --- */

/* A text in which some words of an earlier one are changed; or the same with blanks; or a new one. changed 0:
 * one word of the first text of its family, so that all the family shares bands. */
static void write_doc(struct mf_rng *rng, size_t i, size_t families, uint64_t changed) {
    static uint16_t words[DOCS][WORDS];
    size_t n = 30 + mf_rng_below(rng, WORDS - 29),
           from = i < families || changed == 0 ? i % families : mf_rng_below(rng, i);
    uint64_t kind = i < families ? 0 : changed == 0 ? 3 : 1 + mf_rng_below(rng, 8), times = 1;
    struct known *d = &docs[i];
    memcpy(words[i], words[from], sizeof words[i]);
    for (size_t w = 0; w < WORDS && kind == 0; w++) words[i][w] = (uint16_t)mf_rng_below(rng, 3000);
    if (kind == 1) memcpy(words[i], words[i % families], sizeof words[i]);
    if (changed) times = kind < 3 ? 0 : mf_rng_below(rng, changed + 1);
    for (; times > 0 && kind > 0; times--) words[i][mf_rng_below(rng, n)] = (uint16_t)mf_rng_below(rng, 3000);
    if (kind == 8) memset(words[i], 0, sizeof words[i]); /* all alike */
    d->size = 0;
    for (size_t w = 0; w < (kind == 8 ? 2 : 60); w++)
        d->size += (size_t)snprintf(d->text + d->size, TEXT - d->size, "w%u%s", words[i][w],
                                    w % 7 == 6 ? (mf_rng_below(rng, 2) ? " \n" : "\n") : " ");
    snprintf(d->id, sizeof d->id, "doc-%zu", i * i);
}

static void add(struct mf_copies *copies, size_t i) {
    static struct mf_minhash minhash;
    struct known *d = &docs[i];
    mf_minhash_make(&minhash);
    d->hash = mf_text_hash(d->text, d->size);
    d->forgotten = false;
    mf_minhash(&minhash, d->text, d->size, d->signature);
    for (size_t b = 0; b < BANDS; b++)
        d->bands[b] = XXH3_64bits_withSeed(d->signature + b * ROWS, ROWS * sizeof *d->signature, b);
    const struct mf_doc doc = {.id = d->id,
                               .id_size = strlen(d->id),
                               .text = d->text,
                               .size = d->size,
                               .signature = i % 3 ? NULL : d->signature};
    assert_int_equal(mf_copies_add(copies, d->hash, &doc, &err), 0);
}

static void compare(struct mf_copies *copies, size_t counts[3]) {
    struct mf_copies_doc doc;
    const char *id;
    size_t id_size;
    assert_int_equal(mf_copies_count(copies), n_docs);
    for (size_t i = 0; i < n_docs; i++) {
        assert_int_equal(mf_copies_read(copies, (uint32_t)i, &doc, &err), 0);
        assert_int_equal(doc.copy, docs[i].is.copy);
        assert_int_equal(doc.kept, docs[i].is.kept);
        assert_int_equal(doc.hash, docs[i].hash);
        assert_int_equal(doc.size, docs[i].size);
        assert_int_equal(mf_copies_id(copies, (uint32_t)i, &id, &id_size, &err), 0);
        assert_int_equal(id_size, strlen(docs[i].id));
        assert_memory_equal(id, docs[i].id, id_size);
        counts[doc.copy]++;
    }
}

/* Two thirds of the documents, then some are forgotten, then the others. */
static void check(size_t families, uint64_t changed, double near, size_t memory, size_t counts[3]) {
    struct mf_copies *copies;
    struct mf_rng rng;
    mf_rng_seed(&rng, families);
    memset(counts, 0, 3 * sizeof *counts);
    assert_int_equal(mf_copies_new(&copies, near, memory, &err), 0);
    assert_int_equal(mf_copies_decide(copies, &err), 0); /* nothing */
    for (n_docs = 0; n_docs < DOCS / 3 * 2; n_docs++) {
        write_doc(&rng, n_docs, families, changed);
        add(copies, n_docs);
    }
    decide_by_the_rule(0, near);
    assert_int_equal(mf_copies_decide(copies, &err), 0);
    for (uint32_t i = 0; i < n_docs; i += 1 + (uint32_t)mf_rng_below(&rng, 200)) {
        docs[i].forgotten = true;
        assert_int_equal(mf_copies_forget(copies, i, &err), 0);
    }
    size_t from = n_docs;
    for (; n_docs < DOCS; n_docs++) {
        write_doc(&rng, n_docs, families, changed);
        add(copies, n_docs);
    }
    decide_by_the_rule(from, near);
    assert_int_equal(mf_copies_decide(copies, &err), 0);
    compare(copies, counts);
    mf_copies_free(copies);
}

static void little_memory_decides_as_the_rule(void **state) {
    (void)state;
    size_t n[3];
    static const size_t memories[] = {0, 300000, 50000000};
    for (size_t k = 0; k < 3; k++) {
        check(400, 6, 0.8, memories[k], n);
        assert_true(n[MF_COPY_EXACT] > 100 && n[MF_COPY_NEAR] > 50 && n[MF_COPY_NONE] > 400);
        check(400, 6, 0, memories[k], n);
        assert_true(n[MF_COPY_EXACT] > 100 && n[MF_COPY_NEAR] == 0);
        check(1000, 20, 0.5, memories[k], n);
    }
}

/* Hundreds of kept documents share bands, more than are looked at for one. */
static void long_lists_of_kept_documents_are_cut_alike(void **state) {
    (void)state;
    size_t n[3];
    check(1, 0, 0.95, 0, n);
    assert_true(n[MF_COPY_NONE] > 700);
    check(4, 0, 0.95, 0, n);
    assert_true(n[MF_COPY_NONE] > 700);
    check(4, 0, 0.75, 0, n);
    assert_true(n[MF_COPY_NEAR] > 700);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_memory_decides_as_the_rule),
        cmocka_unit_test(long_lists_of_kept_documents_are_cut_alike),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
