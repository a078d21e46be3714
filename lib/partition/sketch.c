/* Term choice and tf-idf sketches. */
#include "partition/sketch.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NO_FEATURE 65535

int mf_terms_alloc(struct mf_terms *terms, size_t vocab, size_t count, struct mf_err *err) {
    *terms = (struct mf_terms){.vocab = vocab, .count = count};
    terms->ids = calloc(count + 1, sizeof *terms->ids);
    terms->idf = calloc(count + 1, sizeof *terms->idf);
    terms->feature_of = calloc(vocab + 1, sizeof *terms->feature_of);
    if (terms->ids && terms->idf && terms->feature_of) return 0;
    mf_terms_free(terms);
    return mf_err_set(err, EX_OSERR, "out of memory for %zu terms", count);
}

int mf_terms_index(struct mf_terms *terms) {
    for (size_t i = 0; i < terms->vocab; i++) terms->feature_of[i] = NO_FEATURE;
    for (size_t f = 0; f < terms->count; f++) {
        if (terms->ids[f] >= terms->vocab || (f > 0 && terms->ids[f] <= terms->ids[f - 1])) return -1;
        if (!isfinite(terms->idf[f]) || terms->idf[f] <= 0) return -1;
        terms->feature_of[terms->ids[f]] = (uint16_t)f;
    }
    return 0;
}

void mf_terms_free(struct mf_terms *terms) {
    free(terms->ids);
    free(terms->idf);
    free(terms->feature_of);
    *terms = (struct mf_terms){0};
}

struct ranked {
    double worth;
    uint32_t id;
};

static int by_worth(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->worth != y->worth) return x->worth < y->worth ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_id(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Half a document in the divisor keeps the idf of a term that is in every document above zero, so that a
 * corpus of copies still has directions. */
static double inverse_frequency(size_t documents, uint32_t df) {
    return log(((double)documents + 1) / ((double)df + 0.5));
}

int mf_terms_choose(struct mf_terms *terms, const uint32_t *df, size_t vocab, size_t documents,
                    size_t features, struct mf_err *err) {
    size_t count = 0;
    struct ranked *ranked = malloc((vocab + 1) * sizeof *ranked);
    if (!ranked) return mf_err_set(err, EX_OSERR, "out of memory for %zu terms", vocab);
    for (size_t id = 0; id < vocab; id++) {
        if (df[id] == 0) continue;
        ranked[count++] = (struct ranked){df[id] * inverse_frequency(documents, df[id]), (uint32_t)id};
    }
    if (features > MF_FEATURES_MAX) features = MF_FEATURES_MAX;
    if (count > features) {
        qsort(ranked, count, sizeof *ranked, by_worth);
        count = features;
        qsort(ranked, count, sizeof *ranked, by_id);
    }
    int result = mf_terms_alloc(terms, vocab, count, err);
    for (size_t f = 0; result == 0 && f < count; f++) {
        terms->ids[f] = ranked[f].id;
        terms->idf[f] = (float)inverse_frequency(documents, df[ranked[f].id]);
    }
    if (result == 0) mf_terms_index(terms);
    free(ranked);
    return result;
}

int mf_sketcher_init(struct mf_sketcher *s, const struct mf_terms *terms, struct mf_err *err) {
    *s = (struct mf_sketcher){.terms = terms};
    s->counts = calloc(terms->count + 1, sizeof *s->counts);
    s->touched = calloc(terms->count + 1, sizeof *s->touched);
    s->weights = calloc(terms->count + 1, sizeof *s->weights);
    if (s->counts && s->touched && s->weights) return 0;
    mf_sketcher_free(s);
    return mf_err_set(err, EX_OSERR, "out of memory for %zu terms", terms->count);
}

void mf_sketcher_free(struct mf_sketcher *s) {
    free(s->counts);
    free(s->touched);
    free(s->weights);
    *s = (struct mf_sketcher){0};
}

static int by_number(const void *a, const void *b) {
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

static bool heavier(const float *weights, uint16_t a, uint16_t b) {
    return weights[a] > weights[b] || (a < b && weights[a] == weights[b]);
}

/* Moves the `keep` heaviest of the touched features to the front (quickselect; equal weights: the lower
 * feature). */
static void select_heaviest(uint16_t *touched, const float *weights, size_t count, size_t keep) {
    size_t low = 0, high = count;
    while (high - low > 1) {
        uint16_t pivot = touched[low + (high - low) / 2];
        size_t i = low, j = high - 1;
        for (;;) {
            while (heavier(weights, touched[i], pivot)) i++;
            while (heavier(weights, pivot, touched[j])) j--;
            if (i >= j) break;
            uint16_t swap = touched[i];
            touched[i++] = touched[j];
            touched[j--] = swap;
        }
        /* The order is strict, so now touched[low..j] come before or are the pivot, and touched[j+1..] after
         * or are. */
        if (keep <= j + 1)
            high = j + 1 < high ? j + 1 : high - 1;
        else
            low = j + 1;
    }
}

/* The heaviest of n touched features, normalised. */
static size_t pack(struct mf_sketcher *s, size_t n, struct mf_sketch_term *out) {
    if (n > MF_SKETCH_TERMS) {
        select_heaviest(s->touched, s->weights, n, MF_SKETCH_TERMS);
        n = MF_SKETCH_TERMS;
    }
    qsort(s->touched, n, sizeof *s->touched, by_number);
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (double)s->weights[s->touched[i]] * s->weights[s->touched[i]];
    double scale = squares > 0 ? 65535 / sqrt(squares) : 0;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        uint16_t weight = (uint16_t)lrint(s->weights[s->touched[i]] * scale);
        if (weight > 0) out[kept++] = (struct mf_sketch_term){s->touched[i], weight};
    }
    return kept;
}

size_t mf_sketch(struct mf_sketcher *s, const uint32_t *tokens, size_t count, struct mf_sketch_term *out) {
    const struct mf_terms *terms = s->terms;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        uint16_t feature = tokens[i] < terms->vocab ? terms->feature_of[tokens[i]] : NO_FEATURE;
        if (feature == NO_FEATURE) continue;
        if (s->counts[feature]++ == 0) s->touched[n++] = feature;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t feature = s->touched[i];
        s->weights[feature] = (1 + logf((float)s->counts[feature])) * terms->idf[feature];
        s->counts[feature] = 0;
    }
    return pack(s, n, out);
}

size_t mf_sketch_column(struct mf_sketcher *s, const float *centroids, size_t E, size_t e,
                        struct mf_sketch_term *out) {
    size_t n = 0;
    for (size_t f = 0; f < s->terms->count; f++) {
        float weight = centroids[f * E + e];
        if (!(weight > 0)) continue;
        s->weights[f] = weight;
        s->touched[n++] = (uint16_t)f;
    }
    return pack(s, n, out);
}
