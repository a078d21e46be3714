/* The frame around a training: its inputs, what it shows while it runs, the bundle that comes out. What it is
 * planned with is in train_plan.c, the memory of its model in train_model.c. */
#include "cli/train_session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/memory.h"
#include "base/signals.h"
#include "base/strings.h"
#include "io/bundle.h"
#include "io/file.h"
#include "nn/matmul.h"

/* An expert whose partition has no document to validate on takes those of all partitions. */
static int load_validation(struct mf_train_session *s, const char *stage, const struct mf_common *common,
                           const char *path, int64_t partition, size_t S, struct mf_err *err) {
    if (mf_data_load(&s->validation, path, partition, S, &s->data.specials, err) == 0) return 0;
    if (!s->validation.nothing) return -1;
    if (partition < 0 || mf_data_load(&s->validation, path, -1, S, &s->data.specials, err) < 0) {
        const struct mf_err why = *err;
        if (!s->validation.nothing) return -1;
        return mf_err_set(err, why.status, "%s (a larger docs.val_fraction or docs.min_targets helps)",
                          why.text);
    }
    if (!common->quiet)
        fprintf(
            stderr,
            "mf-%s: %s has nothing to predict of partition %lld: it is validated on all partitions (a larger "
            "docs.val_fraction helps)\n",
            stage, s->validation.name, (long long)partition);
    return 0;
}

/* Owned; NULL: without a file there is none. */
static char *checkpoint_of(const struct mf_train_options *o) {
    bool file = o->output && strcmp(o->output, "-") != 0;
    if (o->checkpoint) return mf_format("%s", o->checkpoint);
    return file ? mf_format("%s.ckpt", o->output) : NULL;
}

int mf_train_check_input(const struct mf_train_options *o, const char *input, struct mf_err *err) {
    char *checkpoint = checkpoint_of(o);
    int status = mf_out_check_input(checkpoint, "checkpoint", input, err);
    free(checkpoint);
    return status;
}

int mf_train_session_begin(struct mf_train_session *s, const char *stage, const struct mf_common *common,
                           const struct mf_train_options *o, const char *tokens, int64_t partition, size_t S,
                           const struct mf_specials *otherwise, struct mf_err *err) {
    *s = (struct mf_train_session){.data.fd = -1, .validation.fd = -1};
    if (mf_train_check_input(o, tokens, err) < 0 || mf_train_check_input(o, o->validation, err) < 0)
        return -1;
    if (mf_config_load_stage(&s->config, &common->settings, stage, err) < 0) return -1;
    if (S == 0) S = (size_t)s->config.model.context;
    matmul_setup();
    if (mf_pool_new(&s->pool, (int)common->threads, err) < 0) return -1;
    if (mf_data_load(&s->data, tokens, -1, S, otherwise, err) < 0) return -1;
    if (o->validation && load_validation(s, stage, common, o->validation, partition, S, err) < 0) return -1;
    if (o->validation && strcmp(s->validation.tokenizer, s->data.tokenizer) != 0)
        return mf_err_set(err, EX_DATAERR, "%s: tokenizer is %.12s, not %.12s as in %s", s->validation.name,
                          s->validation.tokenizer, s->data.tokenizer, s->data.name);
    if (o->validation && mf_specials_match(&s->data.specials, s->data.name, &s->validation.specials,
                                           s->validation.name, err) < 0)
        return -1;
    s->identity = json_pack("{so}", "settings", mf_config_json(&s->config, stage));
    s->checkpoint = checkpoint_of(o);
    mf_signals_catch();
    return 0;
}

/* --- what the training tells --- */

static void begin_progress(void *context, int64_t step) {
    struct mf_train_session *s = context;
    mf_progress_begin(&s->progress, s->program, "steps", (uint64_t)s->training.config->steps,
                      (enum mf_progress_mode)s->common->progress, s->common->quiet);
    s->progress.first = (uint64_t)step;
}

static void show_step(void *context, const struct mf_metrics_record *record) {
    struct mf_train_session *s = context;
    char text[96];
    snprintf(text, sizeof text, "loss %.4f  %.0f tokens/s", record->loss, record->tokens_per_s);
    mf_progress_show(&s->progress, (uint64_t)record->step, text);
}

static void say_skipped(void *context, const char *text) {
    const struct mf_train_session *s = context;
    if (!s->common->quiet) fprintf(stderr, "%s: %s\n", s->program, text);
}

static void say_end(const struct mf_train_session *s, const struct mf_training_result *r) {
    if (s->common->quiet) return;
    fprintf(stderr, "%s: %lld of %lld steps", s->program, (long long)r->state.step,
            (long long)s->training.config->steps);
    if (isfinite(r->last_loss)) fprintf(stderr, ", loss %.4f, %.0f tokens/s", r->last_loss, r->tokens_per_s);
    if (r->state.best_step >= 0)
        fprintf(stderr, ", best validation loss %.4f at step %lld", r->state.best_loss,
                (long long)r->state.best_step);
    fprintf(stderr, ", peak memory %.0f MB\n", (double)mf_peak_memory() / 1e6);
}

int mf_train_session_run(struct mf_train_session *s, struct mf_training_result *result, struct mf_err *err) {
    s->training.hooks = (struct mf_train_hooks){s, begin_progress, show_step, say_skipped};
    int status = mf_train(&s->training, s->pool, result, err);
    if (s->progress.program) mf_progress_end(&s->progress, (uint64_t)result->state.step);
    if (status == 0) say_end(s, result);
    return status;
}

/* --- the bundle --- */

/* What a reader of the manifest wants to know of the training; nothing that differs from run to run. */
static json_t *training_json(const struct mf_train_session *s, const struct mf_training_result *r) {
    const struct mf_train_state *state = &r->state;
    json_t *j = json_object();
    json_object_set_new(j, "steps", json_integer((json_int_t)state->step));
    json_object_set_new(j, "documents", json_integer((json_int_t)s->data.documents));
    json_object_set_new(j, "tokens", json_integer((json_int_t)s->data.tokens));
    json_object_set(j, "data_xxh64", json_object_get(s->identity, "tokens"));
    if (s->training.validation)
        json_object_set(j, "validation_xxh64", json_object_get(s->identity, "validation"));
    if (state->best_step >= 0) {
        json_object_set_new(j, "best_step", json_integer((json_int_t)state->best_step));
        json_object_set_new(j, "validation_loss", json_real(state->best_loss));
    }
    if (!isnan(state->first_loss))
        json_object_set_new(j, "first_validation_loss", json_real(state->first_loss));
    json_t *ranks = json_object_get(s->identity, "ranks"); /* none: one process, of which nothing is said */
    if (ranks) json_object_set(j, "ranks", ranks);
    json_object_set(j, "settings", json_object_get(s->identity, "settings"));
    return j;
}

int mf_train_session_write(struct mf_train_session *s, const char *kind, const char *output, json_t *meta,
                           const struct mf_training_result *r, const struct mf_tensor *tensors, size_t count,
                           struct mf_err *err) {
    struct mf_out *out;
    struct mf_tensor *all = calloc(count + 1, sizeof *all);
    if (!all) mf_no_memory();
    memcpy(all, tensors, count * sizeof *all);
    mf_data_widen(&s->data, s->training.shape.V);
    all[count] = (struct mf_tensor){.name = "token_counts",
                                    .dtype = MF_I64,
                                    .n_dims = 1,
                                    .shape = {s->data.vocab},
                                    .data = s->data.counts};
    json_object_set_new(meta, "config", mf_shape_json(&s->training.shape));
    json_object_set_new(meta, "tokenizer_sha256", json_string(s->data.tokenizer));
    json_object_set_new(meta, "special_tokens", mf_specials_json(&s->data.specials));
    json_object_set_new(meta, "training", training_json(s, r));
    int status = mf_out_open(&out, output, err);
    if (status == 0) status = mf_out_end(out, mf_bundle_write(out, kind, meta, all, count + 1, err), err);
    json_decref(meta);
    free(all);
    if (status == 0) mf_train_clean(&s->training);
    return status;
}

void mf_train_session_end(struct mf_train_session *s) {
    mf_data_free(&s->data);
    mf_data_free(&s->validation);
    mf_pool_free(s->pool);
    json_decref(s->identity);
    free(s->checkpoint);
    free(s->tensors);
    mf_arena_free(&s->arena);
    mf_bundle_unmap(&s->map);
}
