/* Token scores: how much likelier a token is in an expert's partition, from the counts of its tokens. */
#include <math.h>
#include <stdlib.h>
#include "assemble/assemble_internal.h"
#include "base/memory.h"
#include "text/tokenizer.h"

/* Of our own tokenizers the unknown token, whose id no file carries, is another special one. */
static bool says_nothing(const struct mf_specials *s, size_t v) {
    if (v == MF_UNK && mf_specials_equal(s, &mf_specials_ours)) return true;
    return (int64_t)v == s->pad || (int64_t)v == s->bos || (int64_t)v == s->eos;
}

/* The number of a token in the counts of a component, for the router; 0 for a special token. */
static double count_of(const struct mf_assembly *a, const int64_t *counts, size_t v) {
    return counts[v] > 0 && !says_nothing(&a->specials, v) ? (double)counts[v] : 0;
}

/* The tokens of all text: of the shared bundle, or where it has counted none, of all experts. */
static int read_all_counts(const struct mf_assembly *a, int64_t *counts, int64_t *scratch,
                           struct mf_err *err) {
    size_t V = a->shape.V;
    bool none = true;
    if (mf_assembly_read_slot(a, a->n_experts, 0, counts, V * sizeof *counts, err) < 0) return -1;
    for (size_t v = 0; v < V; v++) none = none && counts[v] <= 0;
    for (size_t e = 0; none && e < a->n_experts; e++) {
        if (mf_assembly_read_slot(a, e, 0, scratch, V * sizeof *scratch, err) < 0) return -1;
        for (size_t v = 0; v < V; v++)
            if (scratch[v] > 0 && __builtin_add_overflow(counts[v], scratch[v], &counts[v]))
                counts[v] = INT64_MAX;
    }
    return 0;
}

/* log P(v | partition e) = log((c_e[v] + s q[v]) / (N_e + s)): counts smoothed towards the whole corpus'
 * shares q with the weight of s = smoothing * V tokens (Chen and Goodman 1999, eq. 3, as a Dirichlet prior).
 * The anchor's counts are the whole corpus'. Special tokens say nothing: 0. */
int mf_assembly_write_scores(const struct mf_assembly *a, struct mf_out *out, struct mf_err *err) {
    size_t V = a->shape.V;
    int64_t *all = malloc(V * sizeof *all), *own = malloc(V * sizeof *own);
    double *share = calloc(V, sizeof *share);
    float *row = malloc(V * sizeof *row);
    if (!all || !own || !share || !row) mf_no_memory();
    double total = 0, strength = a->config->router.smoothing * (double)V;
    int status = read_all_counts(a, all, own, err);
    for (size_t v = 0; v < V; v++)
        if (!says_nothing(&a->specials, v)) total += share[v] = count_of(a, all, v) + 1;
    for (size_t e = 0; e < mf_assembly_experts(a) && status == 0; e++) {
        const int64_t *counts = e < a->n_experts ? own : all;
        double n = 0;
        if (e < a->n_experts) status = mf_assembly_read_slot(a, e, 0, own, V * sizeof *own, err);
        for (size_t v = 0; v < V; v++) n += count_of(a, counts, v);
        for (size_t v = 0; v < V; v++) {
            double smoothed = count_of(a, counts, v) + strength * share[v] / total;
            row[v] = says_nothing(&a->specials, v) ? 0 : (float)log(smoothed / (n + strength));
        }
        if (status == 0) status = mf_out_write(out, row, V * sizeof *row, err);
    }
    free(all);
    free(own);
    free(share);
    free(row);
    return status;
}
