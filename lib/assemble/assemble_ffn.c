/* The shared bundle's FFN with the changes of an expert of low rank added.
 *
 * The factors of one expert go through a scratch file, since both bundles come in their own order; of them
 * one matrix's are in memory at a time. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/memory.h"
#include "assemble/assemble_internal.h"

/* The dense FFN's tensors in the order of their table, and the factors. */
struct dense {
    struct mf_assembly *a;
    const struct mf_expert_entry *expert;
    struct mf_tensor *tensors, *factors; /* [count], [n_factors] */
    size_t count, n_factors;
    int scratch; /* the factors, one behind the other */
    const struct mf_ffn_visit *visit;
};

/* Where a factor is in the scratch file. */
static uint64_t factor_at(const struct dense *d, size_t factor) {
    uint64_t at = 0;
    for (size_t i = 0; i < factor; i++) at += mf_tensor_bytes(&d->factors[i]);
    return at;
}

static size_t find(const struct mf_tensor *tensors, size_t count, const char *name) {
    size_t i = 0;
    while (i < count && strcmp(tensors[i].name, name) != 0) i++;
    return i;
}

/* Puts the bundle's current tensor into the scratch file. */
static int put_factor(struct dense *d, struct mf_bundle *b, const struct mf_tensor *t, size_t factor,
                      struct mf_err *err) {
    uint64_t at = factor_at(d, factor);
    const size_t max = MF_ASSEMBLY_BUFFER / sizeof(float);
    for (size_t n, left = mf_tensor_count(t); left > 0; left -= n, at += n * sizeof(float)) {
        n = left < max ? left : max;
        if (mf_bundle_read_finite_floats(b, d->visit->buffer, n, err) < 0 ||
            mf_scratch_write(d->scratch, d->visit->buffer, n * sizeof(float), at, err) < 0)
            return -1;
    }
    return 0;
}

/* Takes of the expert's bundle the factors, and what the router needs. */
static int take(void *context, struct mf_bundle *b, const struct mf_tensor *t, struct mf_err *err) {
    struct dense *d = context;
    size_t factor = find(d->factors, d->n_factors, t->name);
    void *data;
    if (factor < d->n_factors) return put_factor(d, b, t, factor, err);
    if (d->visit->slot == MF_NO_SLOT || !mf_assembly_keeps(d->a, t->name)) return 0;
    if (mf_assembly_keep(d->a, b, t, d->visit->slot, &data, err) < 0) return -1;
    free(data);
    return 0;
}

static int read_factor(const struct dense *d, size_t factor, float **data, struct mf_err *err) {
    size_t bytes = mf_tensor_bytes(&d->factors[factor]);
    *data = malloc(bytes);
    if (!*data) return mf_err_set(err, EX_OSERR, "out of memory");
    return mf_pread_all(d->scratch, *data, bytes, factor_at(d, factor), "scratch file", err);
}

/* The change to tensor `index`; of a vector none: R is 0. The caller frees a and b. */
static int read_change(const struct dense *d, size_t index, struct low_rank *change, struct mf_err *err) {
    const struct mf_tensor *t = &d->tensors[index];
    float *a = NULL, *b = NULL;
    size_t factor = 0;
    *change = (struct low_rank){0};
    if (t->n_dims < 2) return 0;
    for (size_t i = 0; i < index; i++) factor += d->tensors[i].n_dims < 2 ? 0 : 2;
    int status = read_factor(d, factor, &a, err);
    if (status == 0) status = read_factor(d, factor + 1, &b, err);
    *change = (struct low_rank){a,
                                b,
                                t->shape[1],
                                d->expert->low_rank.R,
                                t->shape[0],
                                t->shape[1],
                                mf_low_rank_scale(&d->expert->low_rank)};
    return status;
}

/* Shows the bundle's current tensor, with its change. */
static int show_changed(const struct dense *d, struct mf_bundle *b, const struct mf_tensor *t, size_t index,
                        const struct low_rank *change, struct mf_err *err) {
    const struct mf_ffn_visit *v = d->visit;
    size_t count = mf_tensor_count(t), max = MF_ASSEMBLY_BUFFER / sizeof(float);
    for (size_t at = 0, n; at < count; at += n) {
        n = count - at < max ? count - at : max;
        if (mf_bundle_read_finite_floats(b, v->buffer, n, err) < 0) return -1;
        if (change->R) low_rank_add(v->buffer, at, n, change);
        if (change->R && !mf_finite(v->buffer, n))
            return mf_err_set(err, EX_DATAERR, "%s: tensor %s with its change is not finite", d->expert->name,
                              t->name);
        if (v->show(v->context, index, at, v->buffer, n, err) < 0) return -1;
    }
    return 0;
}

/* Shows a tensor of the shared bundle, if it is the FFN's. */
static int show(void *context, struct mf_bundle *b, const struct mf_tensor *t, struct mf_err *err) {
    const struct dense *d = context;
    struct low_rank change;
    size_t index = find(d->tensors, d->count, t->name);
    if (index == d->count) return 0;
    int status = read_change(d, index, &change, err);
    if (status == 0) status = show_changed(d, b, t, index, &change, err);
    free((float *)(uintptr_t)change.a);
    free((float *)(uintptr_t)change.b);
    return status;
}

int mf_assembly_changed(struct mf_assembly *a, const struct mf_expert_entry *expert,
                        const struct mf_ffn_visit *visit, struct mf_err *err) {
    struct dense d = {.a = a, .expert = expert, .visit = visit, .scratch = mf_scratch_open(err)};
    if (d.scratch < 0) return -1;
    d.tensors = mf_assembly_ffn(a, MF_FFN_DENSE, &d.count);
    d.n_factors = mf_changes_tensors(&a->shape, expert->low_rank.R, NULL, NULL);
    d.factors = calloc(d.n_factors, sizeof *d.factors);
    if (!d.factors) mf_no_memory();
    mf_changes_tensors(&a->shape, expert->low_rank.R, NULL, d.factors);
    int status = mf_assembly_each(a, expert, take, &d, err);
    if (status == 0) status = mf_assembly_each(a, NULL, show, &d, err);
    close(d.scratch);
    free(d.tensors);
    free(d.factors);
    return status;
}
