/* The assembled model's router: what it needs of the components, and gates from statistics or at random.
 *
 * The scratch file has one slot for each expert and one for the shared bundle: V counts, then for each layer
 * the mean and mean square of the rows its FFN saw; the shared bundle has in their place the gain of the
 * FFN's norm, where that is the backbone's. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "base/rng.h"
#include "assemble/assemble_internal.h"

static bool wants_stats(const struct mf_assembly *a) {
    return a->kind == MF_ASSEMBLE_MIXTURE && a->config->router.init == MF_GATE_DATA_STATS;
}

bool mf_assembly_has_token_scores(const struct mf_assembly *a) {
    return a->kind == MF_ASSEMBLE_MIXTURE && a->config->router.kind == MF_ROUTER_PREFIX;
}

int mf_assembly_add_router(struct mf_assembly *a, struct mf_err *err) {
    for (size_t i = 0; i < a->shape.L; i++) {
        struct mf_tensor router[MF_TABLE_MAX];
        size_t n =
            mf_table_tensors(&a->shape, MF_TABLE_ROUTER, 0, i, 0, mf_assembly_experts(a), router, NULL);
        for (size_t k = 0; k < n; k++)
            if (mf_assembly_add(a, &router[k], err) < 0) return -1;
    }
    const struct mf_tensor scores = {
        .name = "prefix_router.log_likelihood", .n_dims = 2, .shape = {mf_assembly_experts(a), a->shape.V}};
    return mf_assembly_has_token_scores(a) ? mf_assembly_add(a, &scores, err) : 0;
}

/* The gain between plain-normalised rows and the router's input, where it is the backbone's: its name. */
static bool name_gain(const struct mf_assembly *a, char name[MF_TENSOR_NAME], size_t layer) {
    struct mf_tensor tensors[MF_TABLE_MAX];
    size_t view[MF_TABLE_MAX];
    size_t n = mf_table_tensors(&a->shape, MF_TABLE_LAYER, 0, layer, 0, 0, tensors, view);
    for (size_t i = 0; i < n; i++)
        if (view[i] == offsetof(struct mf_backbone_layer, ffn_norm)) {
            snprintf(name, MF_TENSOR_NAME, "%s", tensors[i].name);
            return true;
        }
    return false;
}

/* The name of the i-th tensor of statistics: mean and mean square of each layer. */
static void name_stats(char name[MF_TENSOR_NAME], size_t i) {
    snprintf(name, MF_TENSOR_NAME, "stats.ffn_in.%zu.%s", i / 2, i % 2 ? "square" : "mean");
}

int mf_assembly_expect_stats(const struct mf_assembly *a, const struct mf_bundle *b, struct mf_err *err) {
    for (size_t i = 0; wants_stats(a) && i < 2 * a->shape.L; i++) {
        struct mf_tensor t = {.dtype = MF_F32, .n_dims = 1, .shape = {a->shape.D}};
        name_stats(t.name, i);
        if (mf_bundle_expect(b, &t, 1, err) < 0) return -1;
    }
    return 0;
}

/* --- the scratch file --- */

static size_t slot_bytes(const struct mf_assembly *a) {
    return a->shape.V * sizeof(int64_t) + 2 * a->shape.L * a->shape.D * sizeof(float);
}

/* Where in a slot a tensor of a bundle goes, or -1. */
static int64_t place(const struct mf_assembly *a, const char *name) {
    char wanted[MF_TENSOR_NAME], gain_name[MF_TENSOR_NAME];
    if (strcmp(name, "token_counts") == 0) return 0;
    for (size_t i = 0; i < 2 * a->shape.L; i++) {
        name_stats(wanted, i);
        bool gain = i % 2 == 0 && name_gain(a, gain_name, i / 2) && strcmp(name, gain_name) == 0;
        if (gain || strcmp(name, wanted) == 0)
            return (int64_t)(a->shape.V * sizeof(int64_t) + i * a->shape.D * sizeof(float));
    }
    return -1;
}

bool mf_assembly_keeps(const struct mf_assembly *a, const char *name) {
    return place(a, name) >= 0;
}

/* Widens a vector's stored numbers into the scratch file. */
static int keep_floats(const struct mf_assembly *a, const struct mf_tensor *t, const void *stored,
                       uint64_t at, struct mf_err *err) {
    size_t count = mf_tensor_count(t);
    float *wide = malloc(count * sizeof *wide);
    if (!wide) return mf_err_set(err, EX_OSERR, "out of memory");
    mf_widen(wide, stored, count, t->dtype);
    int status = mf_scratch_write(a->scratch, wide, count * sizeof *wide, at, err);
    free(wide);
    return status;
}

int mf_assembly_keep(struct mf_assembly *a, struct mf_bundle *b, const struct mf_tensor *t, size_t expert,
                     void **data, struct mf_err *err) {
    bool counts = strcmp(t->name, "token_counts") == 0;
    size_t count = counts ? a->shape.V : a->shape.D, bytes = mf_tensor_bytes(t);
    if (mf_tensor_count(t) != count || (t->dtype == MF_I64) != counts)
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s does not have the model's shape", mf_bundle_name(b),
                          t->name);
    *data = malloc(bytes);
    if (!*data) return mf_err_set(err, EX_OSERR, "out of memory");
    uint64_t at = expert * slot_bytes(a) + (uint64_t)place(a, t->name);
    int status = mf_bundle_read_finite(b, *data, bytes, err);
    if (status == 0)
        status =
            counts ? mf_scratch_write(a->scratch, *data, bytes, at, err) : keep_floats(a, t, *data, at, err);
    if (status < 0) free(*data);
    return status;
}

int mf_assembly_read_slot(const struct mf_assembly *a, size_t expert, size_t offset, void *data, size_t bytes,
                          struct mf_err *err) {
    return mf_pread_all(a->scratch, data, bytes, expert * slot_bytes(a) + offset, "scratch file", err);
}

/* Mean (square 0) or mean square of an expert's rows in a layer. */
static int read_stats(const struct mf_assembly *a, size_t expert, size_t layer, int square, float *row,
                      struct mf_err *err) {
    size_t D = a->shape.D;
    return mf_assembly_read_slot(
        a, expert, a->shape.V * sizeof(int64_t) + (2 * layer + (size_t)square) * D * sizeof *row, row,
        D * sizeof *row, err);
}

/* --- gates --- */

static int fill_rows(struct mf_out *out, float *row, float value, size_t D, size_t rows, struct mf_err *err) {
    for (size_t d = 0; d < D; d++) row[d] = value;
    for (size_t r = 0; r < rows; r++)
        if (mf_out_write(out, row, D * sizeof *row, err) < 0) return -1;
    return 0;
}

/* variance [D] of plain-normalised rows n becomes what a difference of their means is divided by for a gate
 * on the router's input, gain * n: at least 1e-6, times the gain. A column without gain says nothing:
 * infinity.
 */
static int scale_by_gain(const struct mf_assembly *a, size_t layer, float *row, double *variance,
                         struct mf_err *err) {
    char name[MF_TENSOR_NAME];
    bool gain = name_gain(a, name, layer);
    if (gain && read_stats(a, a->n_experts, layer, 0, row, err) < 0) return -1;
    for (size_t d = 0; d < a->shape.D; d++) {
        variance[d] = fmax(variance[d], 1e-6);
        if (gain) variance[d] = row[d] == 0 ? INFINITY : variance[d] * (double)row[d];
    }
    return 0;
}

/* The diagonal discriminant: gate_e = (mean_e - mean of means) / mean within-partition variance (Fisher 1936,
 * with a diagonal covariance). The anchor's mean is that of the means, so its gate is zero. row, mean,
 * variance [D]. */
static int stats_gate(const struct mf_assembly *a, struct mf_out *out, size_t layer, float *row, double *mean,
                      double *variance, struct mf_err *err) {
    size_t D = a->shape.D, E = a->n_experts;
    memset(mean, 0, D * sizeof *mean);
    memset(variance, 0, D * sizeof *variance);
    for (size_t e = 0; e < E; e++) {
        if (read_stats(a, e, layer, 0, row, err) < 0) return -1;
        for (size_t d = 0; d < D; d++) {
            mean[d] += (double)row[d] / (double)E;
            variance[d] -= (double)row[d] * (double)row[d] / (double)E;
        }
        if (read_stats(a, e, layer, 1, row, err) < 0) return -1;
        for (size_t d = 0; d < D; d++) variance[d] += (double)row[d] / (double)E;
    }
    if (scale_by_gain(a, layer, row, variance, err) < 0) return -1;
    for (size_t e = 0; e < E; e++) {
        if (read_stats(a, e, layer, 0, row, err) < 0) return -1;
        for (size_t d = 0; d < D; d++) row[d] = (float)(((double)row[d] - mean[d]) / variance[d]);
        if (mf_out_write(out, row, D * sizeof *row, err) < 0) return -1;
    }
    return a->anchor ? fill_rows(out, row, 0, D, 1, err) : 0;
}

/* uniform: within 1/sqrt(D), as the reference's linear layers begin; kaiming: N(0, 2/D). */
static int random_gate(const struct mf_assembly *a, struct mf_out *out, size_t layer, float *row,
                       struct mf_err *err) {
    struct mf_rng rng;
    size_t D = a->shape.D;
    mf_rng_seed(&rng, mf_rng_key((uint64_t)a->config->seed, "gate", layer));
    bool uniform = a->config->router.init == MF_GATE_UNIFORM;
    for (size_t e = 0; e < mf_assembly_experts(a); e++) {
        for (size_t d = 0; d < D; d++)
            row[d] = (float)(uniform ? (2 * mf_rng_uniform(&rng) - 1) / sqrt((double)D)
                                     : mf_rng_normal(&rng) * sqrt(2 / (double)D));
        if (mf_out_write(out, row, D * sizeof *row, err) < 0) return -1;
    }
    return 0;
}

static int write_gate(const struct mf_assembly *a, struct mf_out *out, size_t layer, float *row, double *sums,
                      struct mf_err *err) {
    if (a->kind != MF_ASSEMBLE_MIXTURE) return fill_rows(out, row, 0, a->shape.D, 1, err);
    if (wants_stats(a)) return stats_gate(a, out, layer, row, sums, sums + a->shape.D, err);
    return random_gate(a, out, layer, row, err);
}

int mf_assembly_write_router(struct mf_assembly *a, struct mf_out *out, struct mf_err *err) {
    size_t D = a->shape.D, view[MF_TABLE_MAX];
    struct mf_tensor router[MF_TABLE_MAX];
    float *row = malloc(D * sizeof *row);
    double *sums = malloc(2 * D * sizeof *sums);
    if (!row || !sums) mf_no_memory();
    int status = 0;
    for (size_t i = 0; i < a->shape.L && status == 0; i++) {
        size_t n =
            mf_table_tensors(&a->shape, MF_TABLE_ROUTER, 0, i, 0, mf_assembly_experts(a), router, view);
        for (size_t k = 0; k < n && status == 0; k++) {
            bool gain = view[k] == offsetof(struct mf_router_layer, norm_gain);
            if (view[k] == offsetof(struct mf_router_layer, gate))
                status = write_gate(a, out, i, row, sums, err);
            else
                status = fill_rows(out, row, gain, D, router[k].n_dims > 1 ? router[k].shape[0] : 1, err);
        }
    }
    free(row);
    free(sums);
    return status == 0 && mf_assembly_has_token_scores(a) ? mf_assembly_write_scores(a, out, err) : status;
}
