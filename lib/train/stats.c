/* Gathers an expert's statistics in double. */
#include "train/stats.h"

#include <stdio.h>
#include <stdlib.h>

static void add_rows(void *context, size_t site, const float *rows, size_t N) {
    struct mf_stats *s = context;
    size_t D = s->shape.D;
    double *sum = s->sums + site * D, *square = s->sums + (s->sites + site) * D;
    for (size_t n = 0; n < N; n++)
        for (size_t d = 0; d < D; d++) {
            double x = (double)rows[n * D + d];
            sum[d] += x;
            square[d] += x * x;
        }
}

static int run(struct mf_stats *s, const struct mf_lm_weights *weights, const struct mf_data *data,
               struct mf_window_batch *b, struct mf_lm *lm, struct mf_err *err) {
    uint64_t windows = MF_STATS_ROWS / s->shape.S + 1;
    if (windows > data->windows) windows = data->windows;
    for (uint64_t i = 0; i < windows; i++) {
        struct mf_lm_batch slice;
        size_t window = 0;
        mf_window_batch_clear(b);
        if (mf_data_read(data, i * data->windows / windows, b, err) < 0) return -1;
        mf_slice(b, s->shape.S, &window, &slice);
        mf_lm_norms(lm, weights, &slice, add_rows, s);
        s->rows += seqs_rows(&slice.seqs);
    }
    for (size_t i = 0; i < s->sites * s->shape.D; i++) {
        s->mean[i] = (float)(s->sums[i] / (double)s->rows);
        s->square[i] = (float)(s->sums[s->sites * s->shape.D + i] / (double)s->rows);
    }
    return 0;
}

int mf_stats_gather(struct mf_stats *s, const struct mf_shape *shape, const struct mf_lm_plan *trained,
                    const struct mf_lm_weights *weights, const struct mf_data *data, struct mf_pool *pool,
                    struct mf_err *err) {
    struct mf_window_batch b = {0};
    struct mf_lm *lm = NULL;
    struct mf_lm_plan plan = {.max_rows = shape->S,
                              .frozen = true,
                              .recompute = shape->L,
                              .narrow = trained->narrow,
                              .low_rank = trained->low_rank,
                              .anchor = trained->anchor,
                              .head = trained->head,
                              .attention = trained->attention,
                              .bf16 = trained->bf16};
    *s = (struct mf_stats){.shape = *shape, .sites = 2 * shape->L + 1};
    s->mean = calloc(s->sites * shape->D, sizeof *s->mean);
    s->square = calloc(s->sites * shape->D, sizeof *s->square);
    s->sums = calloc(2 * s->sites * shape->D, sizeof *s->sums);
    if (!s->mean || !s->square || !s->sums) return mf_err_set(err, EX_OSERR, "out of memory");
    int status = mf_window_batch_new(&b, 1, shape->S, err);
    if (status == 0) status = mf_lm_new(&lm, shape, &plan, pool, err);
    if (status == 0) status = run(s, weights, data, &b, lm, err);
    mf_lm_free(lm);
    mf_window_batch_free(&b);
    return status;
}

void mf_stats_free(struct mf_stats *s) {
    free(s->mean);
    free(s->square);
    free(s->sums);
    *s = (struct mf_stats){0};
}

static void describe(struct mf_tensor *t, const struct mf_stats *s, size_t site, const char *what,
                     float *values) {
    size_t L = s->shape.L;
    *t = (struct mf_tensor){
        .dtype = MF_F32, .n_dims = 1, .shape = {s->shape.D}, .data = values + site * s->shape.D};
    if (site == 2 * L)
        snprintf(t->name, sizeof t->name, "stats.out_in.%s", what);
    else
        snprintf(t->name, sizeof t->name, "stats.%s.%zu.%s", site < L ? "attn_in" : "ffn_in",
                 site < L ? site : site - L, what);
}

size_t mf_stats_tensors(const struct mf_stats *s, struct mf_tensor *tensors) {
    for (size_t site = 0; tensors && site < s->sites; site++) {
        describe(tensors + 2 * site, s, site, "mean", s->mean);
        describe(tensors + 2 * site + 1, s, site, "square", s->square);
    }
    return 2 * s->sites;
}

int mf_stats_write(const struct mf_stats *s, const char *path, struct mf_err *err) {
    struct mf_out *out;
    struct mf_stream_writer *w = NULL;
    size_t L = s->shape.L, bytes = s->shape.D * sizeof(float);
    if (mf_out_open(&out, path, err) < 0) return -1;
    int status = mf_stream_create(&w, out, "stats", 0, err);
    for (size_t i = 0; i < L && status == 0; i++) {
        size_t at = (L + i) * s->shape.D;
        if (mf_stream_begin(w, 4, err) < 0 || mf_put_int(w, "layer", (int64_t)i, err) < 0 ||
            mf_put_int(w, "count", (int64_t)s->rows, err) < 0 ||
            mf_put_bin(w, "mean", s->mean + at, bytes, err) < 0 ||
            mf_put_bin(w, "second", s->square + at, bytes, err) < 0)
            status = -1;
    }
    return mf_out_end(out, mf_stream_end(w, status, err), err);
}
