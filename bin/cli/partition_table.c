/* The table of partitions. */
#include "cli/partition_table.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>
#include "base/strings.h"

/* sums [F] = the sum of all centroids in each feature. */
static void sum_centroids(const struct mf_partition *p, double *sums) {
    for (size_t f = 0; f < p->terms.count; f++) {
        sums[f] = 0;
        for (size_t e = 0; e < p->E; e++) sums[f] += p->centroids[f * p->E + e];
    }
}

/* How far the centroid of e is above the mean of the others in one feature. */
static double gap(const struct mf_partition *p, const double *sums, size_t f, size_t e) {
    double here = p->centroids[f * p->E + e];
    return here - (p->E > 1 ? (sums[f] - here) / (double)(p->E - 1) : 0);
}

/* The features that tell partition e from the others, those of the largest gap first. Fills at most
 * `capacity`, returns how many. */
static size_t telling_features(const struct mf_partition *p, const double *sums, size_t e, uint16_t *features,
                               size_t capacity) {
    size_t n = 0;
    for (size_t f = 0; f < p->terms.count; f++) {
        double here = gap(p, sums, f, e);
        if (here <= 0) continue;
        size_t at = n < capacity ? n++ : n;
        if (at == capacity && here <= gap(p, sums, features[capacity - 1], e)) continue;
        if (at == capacity) at--;
        for (; at > 0 && gap(p, sums, features[at - 1], e) < here; at--) features[at] = features[at - 1];
        features[at] = (uint16_t)f;
    }
    return n;
}

/* A token as a word to show: at least three letters, without the space before it. Empty when it is none. */
static void word_of(const struct mf_tokenizer *t, uint32_t id, char *word, size_t capacity) {
    const char *bytes;
    size_t size, letters = 0;
    mf_tokenizer_bytes(t, id, &bytes, &size);
    for (; size && *bytes == ' '; bytes++) size--;
    *word = '\0';
    if (size >= capacity) return;
    for (size_t at = 0; at < size;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)bytes + at, (utf8proc_ssize_t)(size - at), &c);
        if (n < 1 || utf8proc_category(c) < UTF8PROC_CATEGORY_LU ||
            utf8proc_category(c) > UTF8PROC_CATEGORY_LO)
            return;
        letters++;
        at += (size_t)n;
    }
    if (letters < 3) return;
    memcpy(word, bytes, size);
    word[size] = '\0';
}

#define SHOWN      6
#define CANDIDATES 64

static void print_words(const struct mf_division *d, const double *sums, size_t e, FILE *file) {
    uint16_t features[CANDIDATES] = {0};
    char words[SHOWN][32];
    size_t n = telling_features(&d->saved, sums, e, features, CANDIDATES), shown = 0;
    for (size_t i = 0; i < n && shown < SHOWN; i++) {
        char *word = words[shown];
        word_of(d->tokenizer, d->saved.terms.ids[features[i]], word, sizeof words[0]);
        bool again = !*word;
        for (size_t k = 0; k < shown && !again; k++) again = strcasecmp(words[k], word) == 0;
        if (!again) fprintf(file, "%s%s", shown++ ? " " : "  ", word);
    }
}

/* counts [E, labels] documents; sums [F] of the centroids */
static void print_rows(const struct mf_division *d, const uint64_t *counts, const double *sums, FILE *file) {
    const struct mf_corpus *c = &d->corpus;
    size_t n = c->n_names;
    fprintf(file, "%-10s %10s %12s %8s%s%s\n", "partition", "documents", "tokens", "share",
            !n             ? ""
            : d->tokenizer ? "  domain            "
                           : "  domain",
            d->tokenizer ? "  telling words" : "");
    for (size_t e = 0; e < d->saved.E; e++) {
        size_t label = 0;
        double purity = n ? mf_purity(counts + e * n, n, &label) : 0;
        fprintf(file, "%-10zu %10llu %12llu %7.1f%%", e, (unsigned long long)d->saved.sizes[e],
                (unsigned long long)d->saved.n_tokens[e],
                c->total ? 100 * (double)d->saved.n_tokens[e] / (double)c->total : 0);
        struct mf_err name; /* cleans what came from the input */
        mf_err_set(&name, 0, "%s", purity > 0 ? c->names[label] : "");
        if (n) fprintf(file, "  %3.0f%% %-*.60s", 100 * purity, d->tokenizer ? 13 : 0, name.text);
        if (d->tokenizer) print_words(d, sums, e, file);
        fputc('\n', file);
    }
}

/* counts [E, labels] documents */
static int count_labels(const struct mf_division *d, uint64_t *counts, struct mf_err *err) {
    struct mf_facts facts = {.corpus = &d->corpus};
    struct mf_spill_reader partitions = {.spill = &d->partitions};
    struct mf_fact fact;
    size_t e;
    int more = 0;
    while (more >= 0 && (more = mf_facts_next(&facts, &fact, err)) > 0) {
        more = mf_places_take(&partitions, &e, err);
        if (more == 0 && fact.label != MF_NO_LABEL) counts[e * d->corpus.n_names + fact.label]++;
    }
    mf_facts_end(&facts);
    mf_spill_reader_free(&partitions);
    return more;
}

void mf_divide_plan_print(const struct mf_divide_memory *m, size_t max_memory, FILE *file) {
    fprintf(
        file,
        "mf-partition: memory %.0f MB: program %.0f, centroids %.1f, then clustering %.0f, assigning %.0f or "
        "writing %.0f; sorting %.0f\n",
        (double)max_memory / 1e6, (double)m->program / 1e6, (double)m->centroids / 1e6,
        (double)m->clustering / 1e6, (double)m->assigning / 1e6, (double)m->writing / 1e6,
        (double)m->sorting / 1e6);
}

static void print_agreement(const struct mf_division *d, const uint64_t *counts, FILE *file) {
    char method[16];
    size_t n = d->corpus.n_names;
    mf_choice_name(MF_PARTITION_METHODS, (int)d->saved.method, method, sizeof method);
    if (n > 1 && d->saved.E > 1)
        fprintf(file, "mf-partition: %s, agreement with %zu domains %.3f\n", method, n,
                mf_nmi(counts, d->saved.E, n));
}

int mf_division_print(const struct mf_division *d, FILE *file, struct mf_err *err) {
    size_t E = d->saved.E, n = d->corpus.n_names;
    uint64_t *counts = calloc(E * (n + 1), sizeof *counts);
    double *sums = calloc(d->saved.terms.count + 1, sizeof *sums);
    int status = counts && sums ? count_labels(d, counts, err)
                                : mf_err_set(err, EX_OSERR, "out of memory for a table of %zu partitions", E);
    if (status == 0) {
        sum_centroids(&d->saved, sums);
        print_rows(d, counts, sums, file);
        print_agreement(d, counts, file);
    }
    free(counts);
    free(sums);
    return status;
}
