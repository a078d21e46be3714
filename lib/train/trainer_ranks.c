/* The processes of a training: which windows each takes, what they sum up and what they agree on. */
#include "train/trainer_internal.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "base/memory.h"
#include "base/rng.h"
#include "base/signals.h"
#include "config/config.h"

static uint64_t rank(const struct training_loop *l) {
    return (uint64_t)mf_ranks_rank(l->t->ranks);
}

static uint64_t count(const struct training_loop *l) {
    return (uint64_t)mf_ranks_count(l->t->ranks);
}

bool training_writes(const struct training_loop *l) {
    return rank(l) == 0;
}

int training_agree(const struct training_loop *l, int status, struct mf_err *err) {
    return mf_ranks_agree(l->t->ranks, status, err);
}

void training_sum(const struct training_loop *l, double *values, size_t n) {
    mf_ranks_reduce_doubles(l->t->ranks, values, n);
}

void training_sum_gradient(const struct training_loop *l) {
    mf_ranks_reduce(l->t->ranks, l->gradient, l->n);
}

int64_t training_first(const struct training_loop *l, int64_t place) {
    return mf_ranks_min(l->t->ranks, place);
}

int training_signal(const struct training_loop *l) {
    return (int)mf_ranks_max(l->t->ranks, mf_signals_caught());
}

int training_align(struct training_loop *l, struct mf_err *err) {
    const struct mf_ranks *ranks = l->t->ranks;
    if (count(l) == 1) return 0;
    char *identity = json_dumps(l->t->identity, JSON_COMPACT | JSON_SORT_KEYS);
    if (!identity) mf_no_memory();
    uint64_t own = XXH64(identity, strlen(identity), 0), first = own;
    free(identity);
    mf_ranks_broadcast(ranks, &first, sizeof first);
    int status = own == first ? 0
                              : mf_err_set(err, EX_DATAERR,
                                           "tokens, settings, precision or threads are not those of rank 0");
    if (mf_ranks_agree(ranks, status, err) < 0) return -1;
    mf_ranks_broadcast(ranks, &l->state, sizeof l->state);
    mf_ranks_broadcast(ranks, l->t->tensors[0].data, l->n * sizeof(float));
    if (l->state.step == 0) return 0;
    mf_ranks_broadcast(ranks, l->m, l->n * sizeof *l->m);
    mf_ranks_broadcast(ranks, l->v, l->n_v * sizeof *l->v);
    return 0;
}

int training_read_validation(struct training_loop *l, struct mf_err *err) {
    const struct mf_data *data = l->t->validation;
    uint64_t windows = (uint64_t)(l->t->config->batch * l->t->config->validate_batches) * count(l);
    if (!data) return 0;
    if (windows > data->windows) windows = data->windows;
    uint64_t begin = windows * rank(l) / count(l), end = windows * (rank(l) + 1) / count(l);
    if (mf_window_batch_new(&l->validation, (size_t)(end - begin), l->t->shape.S, err) < 0) return -1;
    for (uint64_t i = begin; i < end; i++)
        if (mf_data_read(data, i * data->windows / windows, &l->validation, err) < 0) return -1;
    return 0;
}

/* A window of all the steps' windows in order, out of a shuffled order that is new in each pass over the
 * data. */
static uint64_t shuffled(const struct training_loop *l, uint64_t number) {
    uint64_t windows = l->t->data->windows, key = mf_rng_key(l->t->seed, "order", number / windows);
    return mf_rng_permute(key, windows, number % windows);
}

/* They follow on those of the ranks before this one. */
int training_read_step(struct training_loop *l, int64_t step, struct training_place *place,
                       struct mf_err *err) {
    const struct mf_data *data = l->t->data;
    size_t own = l->batch.max_windows, before = own * rank(l);
    uint64_t first = (uint64_t)(step - 1) * own * count(l);
    *place = (struct training_place){0, 0};
    mf_window_batch_clear(&l->batch);
    for (size_t i = 0; i < before + own; i++) {
        uint64_t index = shuffled(l, first + i);
        size_t rows = mf_data_rows(data, index);
        if (i <= before && place->rows + rows > l->t->memory.cut_rows)
            *place = (struct training_place){place->slice + 1, 0};
        if (i < before)
            place->rows += rows;
        else if (mf_data_read(data, index, &l->batch, err) < 0)
            return -1;
    }
    return 0;
}
