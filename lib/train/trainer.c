/* Steps, validations, checkpoints. Which windows a step sees and what its dropout drops are functions of the
 * seed and the step's number, so a resumed training needs no other state than its arrays and its step, and
 * ranks need to exchange nothing but sums. All ranks hold the same parameters and moments. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include "base/arena.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/strings.h"
#include "base/rng.h"
#include "base/stop.h"
#include "io/file.h"
#include "train/metrics.h"
#include "train/optimizer.h"

struct loop {
    const struct mf_training *t;
    struct mf_pool *pool;
    struct mf_lm *lm;
    struct mf_arena arena;
    float *gradient, *m, *v; /* [n] */
    size_t n;
    struct mf_lm_weights gradients; /* views of `gradient` */
    struct mf_train_arrays arrays;
    struct mf_window_batch batch, validation;
    struct mf_train_state state;
    int scratch; /* the best parameters when there is no checkpoint, or -1 */
    struct mf_metrics *metrics;
    double began;
    uint64_t rows; /* trained on in this run */
};

/* --- beginning and ending --- */

static void layout(struct loop *l) {
    l->gradient = mf_arena_floats(&l->arena, l->n);
    l->m = mf_arena_floats(&l->arena, l->n);
    l->v = mf_arena_floats(&l->arena, l->n);
}

static int begin(struct loop *l, struct mf_err *err) {
    const struct mf_training *t = l->t;
    const struct mf_train_config *c = t->config;
    size_t S = t->shape.S, windows = (size_t)(c->batch * c->accumulation);
    for (size_t i = 0; i < t->count; i++) l->n += mf_tensor_count(&t->tensors[i]);
    l->scratch = -1;
    layout(l);
    if (mf_arena_init(&l->arena, l->arena.used, err) < 0) return -1;
    layout(l);
    l->gradients.backbone = t->frozen ? NULL : l->gradient;
    l->gradients.ffn = l->gradient + (t->frozen ? 0 : mf_backbone_size(&t->shape));
    l->arrays = (struct mf_train_arrays){t->tensors, t->count, l->m, l->v};
    if (mf_lm_new(&l->lm, &t->shape, &t->memory.plan, l->pool, err) < 0) return -1;
    if (mf_window_batch_new(&l->batch, windows, S, err) < 0) return -1;
    l->state = (struct mf_train_state){.best_step = -1, .best_loss = INFINITY, .first_loss = NAN};
    if (!t->checkpoint && t->ranks.rank == 0) return (l->scratch = mf_scratch_open(err)) < 0 ? -1 : 0;
    return 0;
}

static void end(struct loop *l) {
    mf_lm_free(l->lm);
    mf_window_batch_free(&l->batch);
    mf_window_batch_free(&l->validation);
    mf_arena_free(&l->arena);
    mf_metrics_drop(l->metrics);
    if (l->scratch >= 0) close(l->scratch);
}

/* --- the best parameters so far --- */

/* Owned. */
static char *best_path(const struct mf_training *t) {
    return mf_format("%s.best", t->checkpoint);
}

static int keep_best(struct loop *l, struct mf_err *err) {
    if (l->t->ranks.rank > 0) return 0;
    struct mf_train_arrays only = {l->t->tensors, l->t->count, NULL, NULL};
    if (l->t->checkpoint) {
        char *path = best_path(l->t);
        int status = mf_checkpoint_write(path, 0, l->t->identity, &l->state, &only, err);
        free(path);
        return status;
    }
    if (lseek(l->scratch, 0, SEEK_SET) < 0) return mf_err_sys(err, EX_IOERR, "scratch file");
    return mf_write_all(l->scratch, l->t->tensors[0].data, l->n * sizeof(float), "scratch file", err);
}

static int read_best(struct loop *l, const char *path, struct mf_err *err) {
    struct mf_train_arrays only = {l->t->tensors, l->t->count, NULL, NULL};
    struct mf_train_state state;
    if (mf_checkpoint_read(path, l->t->identity, &state, &only, err) < 0) return -1;
    if (state.step == l->state.best_step) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: of step %lld, not %lld", path, (long long)state.step,
                      (long long)l->state.best_step);
}

static int take_best(struct loop *l, struct mf_err *err) {
    if (l->t->ranks.rank > 0 || l->state.best_step < 0 || l->state.best_step == l->state.step) return 0;
    if (!l->t->checkpoint)
        return mf_pread_all(l->scratch, l->t->tensors[0].data, l->n * sizeof(float), 0, "scratch file", err);
    char *path = best_path(l->t);
    int status = read_best(l, path, err);
    free(path);
    return status;
}

/* --- validation --- */

/* Reads this rank's part of the validation's windows once: evenly spread over its data. */
static int read_validation(struct loop *l, struct mf_err *err) {
    const struct mf_data *data = l->t->validation;
    uint64_t count = (uint64_t)l->t->ranks.count, rank = (uint64_t)l->t->ranks.rank;
    uint64_t windows = (uint64_t)(l->t->config->batch * l->t->config->validate_batches) * count;
    if (!data) return 0;
    if (windows > data->windows) windows = data->windows;
    uint64_t begin = windows * rank / count, end = windows * (rank + 1) / count;
    if (mf_window_batch_new(&l->validation, (size_t)(end - begin), l->t->shape.S, err) < 0) return -1;
    for (uint64_t i = begin; i < end; i++)
        if (mf_data_read(data, i * data->windows / windows, &l->validation, err) < 0) return -1;
    return 0;
}

static int validate(struct loop *l, double *loss, struct mf_err *err) {
    struct mf_lm_batch slice;
    double sums[] = {0, (double)l->validation.targets_left}; /* losses, targets */
    size_t window = 0;
    while (mf_slice(&l->validation, l->t->memory.plan.max_rows, &window, &slice))
        sums[0] += mf_lm_loss(l->lm, &l->t->weights, &slice, NULL, NULL);
    mf_ranks_sum_doubles(&l->t->ranks, sums, 2);
    if (sums[1] == 0)
        return mf_err_set(
            err, EX_DATAERR,
            "%s: nothing to predict in the windows that are validated (validate_batches takes more)",
            l->t->validation->name);
    *loss = sums[0] / sums[1];
    if (!isfinite(*loss))
        return mf_err_set(err, EX_SOFTWARE,
                          "step %lld: the validation loss is not a number; the training diverged",
                          (long long)l->state.step);
    if (l->state.step == 0) l->state.first_loss = *loss;
    if (*loss >= l->state.best_loss) return 0;
    l->state.best_loss = *loss;
    l->state.best_step = l->state.step;
    return mf_ranks_agree(&l->t->ranks, keep_best(l, err), err);
}

/* --- one step --- */

/* Where a rank's windows begin in a step's whole batch. */
struct place {
    uint64_t slice;
    size_t rows; /* before it in the slice */
};

/* A window of all the steps' windows in order, out of a shuffled order that is new in each pass over the
 * data. */
static uint64_t shuffled(const struct loop *l, uint64_t number) {
    uint64_t windows = l->t->data->windows, key = mf_rng_key(l->t->seed, "order", number / windows);
    return mf_rng_permute(key, windows, number % windows);
}

/* This rank's windows of a step, which follow on those of the ranks before it. */
static int read_step(struct loop *l, int64_t step, struct place *place, struct mf_err *err) {
    const struct mf_data *data = l->t->data;
    size_t own = l->batch.max_windows, before = own * (size_t)l->t->ranks.rank;
    uint64_t first = (uint64_t)(step - 1) * own * (uint64_t)l->t->ranks.count;
    *place = (struct place){0, 0};
    l->batch.windows = 0;
    l->batch.targets_left = 0;
    for (size_t i = 0; i < before + own; i++) {
        uint64_t index = shuffled(l, first + i);
        size_t rows = mf_data_rows(data, index);
        if (i <= before && place->rows + rows > l->t->memory.cut_rows)
            *place = (struct place){place->slice + 1, 0};
        if (i < before)
            place->rows += rows;
        else if (mf_data_read(data, index, &l->batch, err) < 0)
            return -1;
    }
    return 0;
}

/* --- numbers that are none --- */

#define NOWHERE INT64_MAX

struct finder {
    int64_t site; /* NOWHERE: none found */
    size_t D;
};

static void look_for_nonfinite(void *context, size_t site, const float *rows, size_t N) {
    struct finder *f = context;
    for (size_t i = 0; i < N * f->D && f->site == NOWHERE; i++)
        if (!isfinite(rows[i])) f->site = (int64_t)site;
}

/* Where the first value that is no number is: in what enters a layer's attention or FFN, in what enters the
 * output norm, in a tensor's gradient. */
static void name_place(struct loop *l, char *text, size_t room) {
    struct finder f = {NOWHERE, l->t->shape.D};
    size_t window = 0, at = 0;
    int64_t L = (int64_t)l->t->shape.L;
    struct mf_lm_batch slice;
    while (f.site == NOWHERE && mf_slice(&l->batch, l->t->memory.plan.max_rows, &window, &slice))
        mf_lm_loss(l->lm, &l->t->weights, &slice, look_for_nonfinite, &f);
    f.site = mf_ranks_least(&l->t->ranks, f.site);
    if (f.site < 2 * L) {
        snprintf(text, room, "the input of the %s of layer %lld", f.site < L ? "attention" : "FFN",
                 (long long)(f.site % L));
        return;
    }
    if (f.site == 2 * L) {
        snprintf(text, room, "the output of layer %lld", (long long)(L - 1));
        return;
    }
    for (size_t i = 0; i < l->t->count; i++) {
        size_t n = mf_tensor_count(&l->t->tensors[i]);
        for (size_t k = 0; k < n; k++)
            if (!isfinite(l->gradient[at + k])) {
                snprintf(text, room, "the gradient of %s", l->t->tensors[i].name);
                return;
            }
        at += n;
    }
    snprintf(text, room, "the sum");
}

/* A step whose loss or gradient is no number changes nothing; so many are allowed. */
static int skip_or_stop(struct loop *l, int64_t step, double loss, struct mf_err *err) {
    char place[128];
    name_place(l, place, sizeof place);
    if (++l->state.skipped > l->t->skip_nonfinite)
        return mf_err_set(err, EX_SOFTWARE,
                          "step %lld: the %s is not a number, first in %s; the training diverged",
                          (long long)step, isfinite(loss) ? "gradient" : "loss", place);
    char text[256];
    snprintf(text, sizeof text, "step %lld: the %s is not a number, first in %s; passed over (%lld of %lld)",
             (long long)step, isfinite(loss) ? "gradient" : "loss", place, (long long)l->state.skipped,
             (long long)l->t->skip_nonfinite);
    if (l->t->hooks.skipped) l->t->hooks.skipped(l->t->hooks.context, text);
    return 0;
}

static int train_step(struct loop *l, int64_t step, struct mf_metrics_record *record, struct mf_err *err) {
    const struct mf_train_config *c = l->t->config;
    const struct mf_ranks *ranks = &l->t->ranks;
    struct mf_lm_batch slice;
    struct place at;
    size_t window = 0;
    double sum = 0;
    if (mf_ranks_agree(ranks, read_step(l, step, &at, err), err) < 0) return -1;
    double whole[] = {(double)l->batch.targets_left, (double)l->batch.first[l->batch.windows]};
    mf_ranks_sum_doubles(ranks, whole, 2);
    double targets = whole[0] > 0 ? whole[0] : 1;
    memset(l->gradient, 0, l->n * sizeof *l->gradient);
    for (; mf_slice(&l->batch, l->t->memory.cut_rows - at.rows, &window, &slice); at.rows = 0) {
        uint64_t key = mf_rng_at(mf_rng_key(l->t->seed, "dropout", (uint64_t)step), at.slice++);
        struct dropout dropout = {(float)l->t->dropout, key, at.rows * l->t->shape.D};
        sum += mf_lm_backward(l->lm, &l->t->weights, &l->gradients, &slice, dropout, (float)(1 / targets));
    }
    mf_ranks_sum_doubles(ranks, &sum, 1);
    mf_ranks_sum(ranks, l->gradient, l->n);
    l->rows += (uint64_t)whole[1];
    double norm = mf_gradient_norm(l->pool, l->gradient, l->n), loss = sum / targets;
    *record = (struct mf_metrics_record){step, loss, mf_learning_rate(c, step),
                                         norm, NAN,  (double)l->rows / (mf_now() - l->began)};
    if (!isfinite(loss) || !isfinite(norm)) return skip_or_stop(l, step, loss, err);
    mf_adamw(l->pool, l->t->tensors, l->t->count, l->gradient, l->m, l->v, c, record->lr,
             mf_clip_scale(c->clip, norm), step);
    return 0;
}

/* --- the loop --- */

static int resume(struct loop *l, struct mf_err *err) {
    const char *path = l->t->checkpoint;
    if (!l->t->resume || !path || access(path, F_OK) != 0) return 0;
    if (mf_checkpoint_read(path, l->t->identity, &l->state, &l->arrays, err) < 0) return -1;
    if (l->state.step < 0 || l->state.step > l->t->config->steps)
        return mf_err_set(err, EX_DATAERR, "%s: at step %lld of %lld", path, (long long)l->state.step,
                          (long long)l->t->config->steps);
    return 0;
}

static int checkpoint(struct loop *l, struct mf_err *err) {
    int status = 0;
    if (l->t->checkpoint)
        status =
            mf_checkpoint_write(l->t->checkpoint, l->t->keep, l->t->identity, &l->state, &l->arrays, err);
    return mf_ranks_agree(&l->t->ranks, status, err);
}

/* Makes sure that all ranks are of one training, and gives them what rank 0 begins with or read. */
static int align(struct loop *l, struct mf_err *err) {
    const struct mf_ranks *ranks = &l->t->ranks;
    if (ranks->count == 1) return 0;
    char *identity = json_dumps(l->t->identity, JSON_COMPACT | JSON_SORT_KEYS);
    if (!identity) mf_no_memory();
    uint64_t own = XXH64(identity, strlen(identity), 0), first = own;
    free(identity);
    mf_ranks_share(ranks, &first, sizeof first, 0);
    int status =
        own == first ? 0 : mf_err_set(err, EX_DATAERR, "tokens, settings or threads are not those of rank 0");
    if (mf_ranks_agree(ranks, status, err) < 0) return -1;
    mf_ranks_share(ranks, &l->state, sizeof l->state, 0);
    mf_ranks_share(ranks, l->t->tensors[0].data, l->n * sizeof(float), 0);
    if (l->state.step == 0) return 0;
    mf_ranks_share(ranks, l->m, l->n * sizeof *l->m, 0);
    mf_ranks_share(ranks, l->v, l->n * sizeof *l->v, 0);
    return 0;
}

static int log_step(struct loop *l, const struct mf_metrics_record *r, struct mf_err *err) {
    const struct mf_train_config *c = l->t->config;
    if (l->t->hooks.step) l->t->hooks.step(l->t->hooks.context, r);
    bool due = r->step % c->log_every == 0 || r->step == 1 || r->step == c->steps || !isnan(r->val_loss);
    if (!due) return 0;
    return mf_ranks_agree(&l->t->ranks, l->metrics ? mf_metrics_add(l->metrics, r, err) : 0, err);
}

/* Was the best validation so many validations ago that no better one is expected? */
static bool out_of_patience(const struct loop *l) {
    const struct mf_train_config *c = l->t->config;
    return l->t->validation && c->patience && l->state.step % c->validate_every == 0 &&
           l->state.step - l->state.best_step >= c->patience * c->validate_every;
}

static int run(struct loop *l, struct mf_training_result *result, struct mf_err *err) {
    const struct mf_train_config *c = l->t->config;
    struct mf_metrics_record record;
    if (l->t->validation && l->state.step == 0 && isnan(l->state.first_loss) &&
        validate(l, &record.val_loss, err) < 0)
        return -1;
    while (l->state.step < c->steps) {
        int64_t step = l->state.step + 1;
        if (train_step(l, step, &record, err) < 0) return -1; /* the last checkpoint stays as it is */
        l->state.step = step;
        result->last_loss = record.loss;
        result->tokens_per_s = record.tokens_per_s;
        bool last = step == c->steps;
        if (l->t->validation && (last || step % c->validate_every == 0) &&
            validate(l, &record.val_loss, err) < 0)
            return -1;
        if (log_step(l, &record, err) < 0) return -1;
        if (out_of_patience(l)) break;
        result->signal = last ? 0 : (int)mf_ranks_most(&l->t->ranks, mf_stop_signal());
        if ((result->signal || (!last && step % c->checkpoint_every == 0)) && checkpoint(l, err) < 0)
            return -1;
        if (result->signal) return 0;
    }
    return take_best(l, err);
}

int mf_train(const struct mf_training *t, struct mf_pool *pool, struct mf_training_result *result,
             struct mf_err *err) {
    struct loop l = {.t = t, .pool = pool};
    *result = (struct mf_training_result){.last_loss = NAN};
    int status = begin(&l, err);
    if (status == 0) status = read_validation(&l, err);
    if (status == 0) status = resume(&l, err);
    if (status == 0 && t->metrics) status = mf_metrics_open(&l.metrics, t->metrics, l.state.step, err);
    status = mf_ranks_agree(&t->ranks, status, err);
    if (status == 0) status = align(&l, err);
    if (status == 0) {
        if (t->hooks.begin) t->hooks.begin(t->hooks.context, l.state.step);
        l.began = mf_now();
        status = run(&l, result, err);
    }
    if (status == 0 && l.metrics && !result->signal) {
        struct mf_metrics *metrics = l.metrics;
        l.metrics = NULL;
        status = mf_metrics_finish(metrics, err);
    }
    status = mf_ranks_agree(&t->ranks, status, err);
    result->state = l.state;
    end(&l);
    return status;
}

void mf_train_clean(const struct mf_training *t) {
    if (!t->checkpoint) return;
    mf_checkpoint_remove(t->checkpoint, t->keep);
    char *path = best_path(t);
    unlink(path);
    free(path);
}
