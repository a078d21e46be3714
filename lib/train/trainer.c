/* Steps, validations, checkpoints. Which windows a step sees and what its dropout drops are functions of the
 * seed and the step's number, so a resumed training needs no other state than its arrays and its step, and
 * processes that train together exchange sums only. All of them hold the same parameters and moments. */
#include "train/trainer_internal.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/rng.h"
#include "io/file.h"
#include "train/metrics.h"
#include "train/optimizer.h"

/* --- beginning and ending --- */

static void layout(struct training_loop *l) {
    l->gradient = mf_arena_floats(&l->arena, l->n);
    l->m = mf_arena_floats(&l->arena, l->n);
    l->v = mf_arena_floats(&l->arena, l->n_v);
    l->muon = mf_arena_floats(&l->arena, l->t->memory.muon.scratch);
    l->moments = mf_arena_take(&l->arena, l->t->count, sizeof *l->moments);
}

/* Where each tensor has its moments: those that Muon trains have no second. */
static void divide_moments(struct training_loop *l) {
    float *m = l->m, *v = l->v;
    for (size_t i = 0; i < l->t->count; i++) {
        const struct mf_tensor *t = &l->t->tensors[i];
        bool muon = l->t->config->optimizer == MF_MUON && mf_muon_takes(&l->t->shape, t);
        l->moments[i] = (struct mf_moments){m, muon ? NULL : v};
        m += mf_tensor_count(t);
        v += muon ? 0 : mf_tensor_count(t);
    }
}

static int begin(struct training_loop *l, struct mf_err *err) {
    const struct mf_training *t = l->t;
    const struct mf_train_config *c = t->config;
    size_t S = t->shape.S, windows = (size_t)(c->batch * c->accumulation);
    for (size_t i = 0; i < t->count; i++) l->n += mf_tensor_count(&t->tensors[i]);
    l->n_v = l->n - t->memory.muon.matrices;
    l->scratch = -1;
    layout(l);
    if (mf_arena_init(&l->arena, l->arena.used, err) < 0) return -1;
    layout(l);
    if (t->low_rank.R)
        l->gradients.changes = l->gradient;
    else {
        l->gradients.backbone = t->frozen ? NULL : l->gradient;
        l->gradients.ffn = l->gradient + (t->frozen ? 0 : mf_backbone_size(&t->shape));
    }
    size_t head = mf_head_size(&t->shape, t->head);
    if (t->head) l->gradients.head = l->gradient + l->n - head;
    if (t->attention) l->gradients.attention = l->gradient + l->n - head - mf_attention_size(&t->shape);
    divide_moments(l);
    l->arrays = (struct mf_train_arrays){t->tensors, t->count, l->moments};
    if (mf_lm_new(&l->lm, &t->shape, &t->memory.plan, l->pool, err) < 0) return -1;
    if (mf_window_batch_new(&l->batch, windows, S, err) < 0) return -1;
    l->state = (struct mf_train_state){.best_step = -1, .best_loss = INFINITY, .first_loss = NAN};
    l->checkpoint = training_writes(l) ? t->checkpoint : NULL;
    if (!t->checkpoint && training_writes(l)) return (l->scratch = mf_scratch_open(err)) < 0 ? -1 : 0;
    return 0;
}

static void end(struct training_loop *l) {
    mf_lm_free(l->lm);
    mf_window_batch_free(&l->batch);
    mf_window_batch_free(&l->validation);
    mf_arena_free(&l->arena);
    mf_metrics_drop(l->metrics);
    if (l->scratch >= 0) close(l->scratch);
}

/* --- validation --- */

static int validate(struct training_loop *l, double *loss, struct mf_err *err) {
    struct mf_lm_batch slice;
    double sums[] = {0, (double)l->validation.rows.scored}; /* losses, targets */
    size_t window = 0;
    while (mf_slice(&l->validation, l->t->memory.plan.max_rows, &window, &slice))
        sums[0] += mf_lm_loss(l->lm, &l->t->weights, &slice);
    training_sum(l, sums, 2);
    if (sums[1] == 0)
        return mf_err_set(
            err, EX_DATAERR,
            "%s: nothing to predict in the windows that are validated (validate_batches takes more)",
            l->t->validation->name);
    *loss = sums[0] / sums[1];
    if (!isfinite(*loss))
        return mf_err_set(err, EX_SOFTWARE,
                          "step %lld: the validation loss is not finite; the training diverged",
                          (long long)l->state.step);
    if (l->state.step == 0) l->state.first_loss = *loss;
    if (*loss >= l->state.best_loss) return 0;
    l->state.best_loss = *loss;
    l->state.best_step = l->state.step;
    return training_agree(l, training_keep_best(l, err), err);
}

/* --- one step --- */

/* A step with a non-finite loss or gradient changes nothing; so many are allowed. */
static int skip_or_stop(struct training_loop *l, int64_t step, double loss, struct mf_err *err) {
    char place[128], what[200], text[256];
    training_name_nonfinite(l, place, sizeof place);
    snprintf(what, sizeof what, "step %lld: the %s is not finite, first in %s", (long long)step,
             isfinite(loss) ? "gradient" : "loss", place);
    if (++l->state.skipped > l->t->skip_nonfinite)
        return mf_err_set(err, EX_SOFTWARE, "%s; the training diverged", what);
    snprintf(text, sizeof text, "%s; skipped (%lld of %lld)", what, (long long)l->state.skipped,
             (long long)l->t->skip_nonfinite);
    if (l->t->hooks.skipped) l->t->hooks.skipped(l->t->hooks.context, text);
    return 0;
}

static void update(struct training_loop *l, double lr, double scale, int64_t step) {
    const struct mf_train_config *c = l->t->config;
    size_t at = 0;
    for (size_t i = 0; i < l->t->count; i++) {
        const struct mf_tensor *t = &l->t->tensors[i];
        const struct mf_moments *moments = &l->moments[i];
        if (moments->v)
            mf_adamw(l->pool, t, 1, l->gradient + at, moments->m, moments->v, c, lr, scale, step);
        else
            mf_muon(l->pool, t, l->gradient + at, moments->m, scale, lr, c->weight_decay, l->muon);
        at += mf_tensor_count(t);
    }
}

static int train_step(struct training_loop *l, int64_t step, struct mf_metrics_record *record,
                      struct mf_err *err) {
    const struct mf_train_config *c = l->t->config;
    struct mf_lm_batch slice;
    struct training_place at;
    size_t window = 0;
    double sum = 0;
    if (training_agree(l, training_read_step(l, step, &at, err), err) < 0) return -1;
    double whole[] = {(double)l->batch.rows.scored, (double)l->batch.rows.N};
    training_sum(l, whole, 2);
    double targets = whole[0] > 0 ? whole[0] : 1;
    mf_gradient_clear(l->pool, l->gradient, l->n);
    for (; mf_slice(&l->batch, l->t->memory.cut_rows - at.rows, &window, &slice); at.rows = 0) {
        uint64_t key = mf_rng_at(mf_rng_key(l->t->seed, "dropout", (uint64_t)step), at.slice++);
        struct dropout dropout = {(float)l->t->dropout, key, at.rows * l->t->shape.D};
        sum += mf_lm_backward(l->lm, &l->t->weights, &l->gradients, &slice, dropout, (float)(1 / targets));
    }
    training_sum(l, &sum, 1);
    training_sum_gradient(l);
    l->rows += (uint64_t)whole[1];
    double norm = mf_gradient_norm(l->pool, l->gradient, l->n), loss = sum / targets;
    *record = (struct mf_metrics_record){step, loss, mf_learning_rate(c, step),
                                         norm, NAN,  (double)l->rows / (mf_now() - l->began)};
    if (!isfinite(loss) || !isfinite(norm)) return skip_or_stop(l, step, loss, err);
    update(l, record->lr, mf_clip_scale(c->clip, norm), step);
    return 0;
}

/* --- the loop --- */

static int resume(struct training_loop *l, struct mf_err *err) {
    const char *path = l->checkpoint;
    if (!l->t->resume || !path || access(path, F_OK) != 0) return 0;
    if (mf_checkpoint_read(path, l->t->identity, &l->state, &l->arrays, err) < 0) return -1;
    if (l->state.step < 0 || l->state.step > l->t->config->steps)
        return mf_err_set(err, EX_DATAERR, "%s: at step %lld of %lld", path, (long long)l->state.step,
                          (long long)l->t->config->steps);
    return 0;
}

static int checkpoint(struct training_loop *l, struct mf_err *err) {
    int status = 0;
    if (l->checkpoint)
        status = mf_checkpoint_write(l->checkpoint, l->t->keep, l->t->identity, &l->state, &l->arrays, err);
    return training_agree(l, status, err);
}

static int log_step(struct training_loop *l, const struct mf_metrics_record *r, struct mf_err *err) {
    const struct mf_train_config *c = l->t->config;
    if (l->t->hooks.step) l->t->hooks.step(l->t->hooks.context, r);
    bool due = r->step % c->log_every == 0 || r->step == 1 || r->step == c->steps || !isnan(r->val_loss);
    if (!due) return 0;
    return training_agree(l, l->metrics ? mf_metrics_add(l->metrics, r, err) : 0, err);
}

/* Was the best validation so many validations ago that no better one is expected? */
static bool out_of_patience(const struct training_loop *l) {
    const struct mf_train_config *c = l->t->config;
    return l->t->validation && c->patience && l->state.step % c->validate_every == 0 &&
           l->state.step - l->state.best_step >= c->patience * c->validate_every;
}

static int run(struct training_loop *l, struct mf_training_result *result, struct mf_err *err) {
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
        result->signal = last ? 0 : training_signal(l);
        if ((result->signal || (!last && step % c->checkpoint_every == 0)) && checkpoint(l, err) < 0)
            return -1;
        if (result->signal) return 0;
    }
    return training_take_best(l, err);
}

int mf_train(const struct mf_training *t, struct mf_pool *pool, struct mf_training_result *result,
             struct mf_err *err) {
    struct training_loop l = {.t = t, .pool = pool};
    *result = (struct mf_training_result){.last_loss = NAN};
    int status = begin(&l, err);
    if (status == 0) status = training_read_validation(&l, err);
    if (status == 0) status = resume(&l, err);
    if (status == 0 && t->metrics && training_writes(&l))
        status = mf_metrics_open(&l.metrics, t->metrics, l.state.step, err);
    status = training_agree(&l, status, err);
    if (status == 0) status = training_align(&l, err);
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
    status = training_agree(&l, status, err);
    result->state = l.state;
    end(&l);
    return status;
}

void mf_train_clean(const struct mf_training *t) {
    if (!t->checkpoint) return;
    mf_checkpoint_remove(t->checkpoint, t->keep);
    training_remove_best(t->checkpoint);
}
