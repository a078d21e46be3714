/* The gates by gradient steps, from the best there are: the loss of the first half's windows, with noise on
 * the logits and the experts' balance. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "base/rng.h"
#include "calibrate/internal.h"
#include "model/moe_train.h"
#include "nn/vector.h"
#include "train/optimizer.h"

#define STEP_ROWS ((size_t)2048) /* rows of a step at least */
#define PASS_ROWS ((size_t)1024) /* rows of a pass, where a window has no more: so it stays under 100 MB */
#define TRIALS    4              /* times that the gates are measured on their way, evenly spread */

/* The first half's documents, cut into windows. */
struct windows {
    size_t S, E, n;
    struct window {
        const uint32_t *tokens; /* its first input, borrowed from the sample */
        size_t inputs;
    } * list;       /* [n] */
    double *states; /* [n,E+1] of mf_moe_token_scores before the first input */
};

static void *grow(void *array, size_t count, size_t item) {
    array = reallocarray(array, count ? count : 1, item);
    if (!array) mf_no_memory();
    return array;
}

/* Appends a document's windows; `token_scores` [S,E] and `state` [E+1] are scratch. */
static void cut(struct windows *w, const struct mf_moe *moe, const struct mf_token_doc *doc, double *state,
                float *token_scores) {
    size_t count = doc->n / w->S + 1, inputs;
    w->list = grow(w->list, w->n + count, sizeof *w->list);
    w->states = grow(w->states, (w->n + count) * (w->E + 1), sizeof *w->states);
    memset(state, 0, (w->E + 1) * sizeof *state);
    for (size_t p = 0; (inputs = mf_window_inputs(doc->n, p, w->S)) > 0; p += w->S, w->n++) {
        w->list[w->n] = (struct window){doc->tokens + p, inputs};
        memcpy(w->states + w->n * (w->E + 1), state, (w->E + 1) * sizeof *state);
        mf_moe_token_scores(moe, state, doc->tokens + p, inputs, token_scores);
    }
}

static int read_windows(struct windows *w, const struct calibration *c, struct mf_err *err) {
    struct mf_token_doc doc;
    w->S = c->moe->shape.S;
    w->E = c->moe->router.n_experts;
    double *state = grow(NULL, w->E + 1, sizeof *state);
    float *token_scores = grow(NULL, w->S * w->E, sizeof *token_scores);
    int got;
    mf_dataset_select(c->dataset, MF_DATASET_HALF);
    while ((got = mf_dataset_next(c->dataset, &doc, err)) > 0) cut(w, c->moe, &doc, state, token_scores);
    free(state);
    free(token_scores);
    return got;
}

static void free_windows(struct windows *w) {
    free(w->list);
    free(w->states);
}

/* The training's state, and the batch of one pass. */
struct training {
    struct calibration *c;
    struct windows windows;
    struct mf_moe_tape *tape;
    uint64_t seed, drawn;      /* windows drawn so far */
    float *gradient, *m, *v;   /* [L, gate and noise, E, D] */
    float *best;               /* the same of the model: what is kept */
    struct mf_tensor *tensors; /* [2L] */
    struct mf_rows rows;
    float *token_scores; /* [rows,E] */
    double *state;       /* [E+1] */
};

/* The next window of an order that is another for every time through. */
static const struct window *draw(const struct training *t, uint64_t drawn, size_t *index) {
    uint64_t n = t->windows.n;
    *index = (size_t)mf_rng_permute(mf_rng_key(t->seed, "calibrate windows", drawn / n), n, drawn % n);
    return &t->windows.list[*index];
}

/* Packs the next windows, as many as there are rows for. */
static void pack(struct training *t) {
    const struct windows *w = &t->windows;
    const struct window *next;
    size_t index;
    mf_rows_clear(&t->rows);
    while ((next = draw(t, t->drawn, &index))->inputs <= t->rows.capacity - t->rows.N) {
        memcpy(t->state, w->states + index * (w->E + 1), (w->E + 1) * sizeof *t->state);
        mf_moe_token_scores(t->c->moe, t->state, next->tokens, next->inputs,
                            t->token_scores + t->rows.N * w->E);
        mf_rows_add(&t->rows, &t->c->moe->specials, next->tokens, next->inputs, 0, next->inputs);
        t->drawn++;
    }
}

/* One step: passes until it has its rows. */
static int step(struct training *t, const struct mf_train_config *config, int64_t number,
                struct mf_err *err) {
    const struct calibration *c = t->c;
    size_t size = mf_moe_routers_size(c->moe), rows = 0;
    uint64_t targets = 0;
    memset(t->gradient, 0, size * sizeof *t->gradient);
    for (uint64_t pass = 0; rows < STEP_ROWS; pass++) {
        double loss, balance; /* the trials measure better */
        pack(t);
        const struct mf_moe_batch batch = {
            .tokens = t->rows.tokens,
            .targets = t->rows.targets,
            .seqs = t->rows.seqs,
            .token_scores = t->token_scores,
            .scale = 1, /* sums over rows; the step's mean is taken when it is made */
            .balance =
                c->options->config->calibrate.balance * (double)t->rows.scored / (double)c->moe->shape.L,
            .noisy = c->options->config->calibrate.noise,
            .key = mf_rng_at(mf_rng_key(t->seed, "calibrate noise", (uint64_t)number), pass)};
        if (mf_moe_backward(c->moe, t->tape, &batch, t->gradient, &loss, &balance, err) < 0) return -1;
        rows += t->rows.N;
        targets += t->rows.scored;
    }
    double mean = targets ? 1 / (double)targets : 0;
    double norm = mean * mf_gradient_norm(c->pool, t->gradient, size);
    mf_adamw(c->pool, t->tensors, 2 * c->moe->shape.L, t->gradient, t->m, t->v, config,
             mf_learning_rate(config, number), mean * mf_clip_scale(config->clip, norm), number);
    return 0;
}

static void copy_routers(const struct training *t, float *to) {
    size_t n = t->windows.E * t->c->moe->shape.D;
    for (size_t i = 0; i < 2 * t->c->moe->shape.L; i++)
        memcpy(to + i * n, t->tensors[i].data, n * sizeof *to);
}

static void put_routers(const struct training *t, const float *from) {
    size_t n = t->windows.E * t->c->moe->shape.D;
    for (size_t i = 0; i < 2 * t->c->moe->shape.L; i++)
        memcpy(t->tensors[i].data, from + i * n, n * sizeof *from);
}

/* How many experts a row sees in training. One alone weighs 1 whatever its logit is, and so has no gradient:
 * gates that will choose one learn from the two best. */
static size_t choices(const struct mf_router *r) {
    return r->top_k == 1 && r->n_experts > 1 && !r->over_all ? 2 : r->top_k;
}

static int run(struct training *t, struct mf_err *err) {
    const struct mf_config *all = t->c->options->config;
    int64_t steps = all->calibrate.steps;
    const struct mf_train_config config = {.steps = steps,
                                           .warmup = steps / 10,
                                           .lr = all->calibrate.lr,
                                           .min_lr = all->calibrate.lr / 10,
                                           .clip = 1,
                                           .beta1 = 0.9,
                                           .beta2 = 0.999,
                                           .eps = 1e-8};
    struct mf_router *router = &t->c->moe->router;
    double gate_scale = router->gate_scale;
    const size_t used = router->top_k, taught = choices(router);
    bool any = false;
    /* with the gates counting fully; those that did not count before begin at zero */
    for (size_t i = 0; i < t->c->moe->shape.L; i++)
        vector_scale(t->c->moe->layers[i].gate, (float)gate_scale, t->windows.E * t->c->moe->shape.D);
    router->gate_scale = 1;
    for (int64_t s = 1, tried = 0; s <= steps; s++) {
        router->top_k = taught;
        int status = step(t, &config, s, err);
        router->top_k = used;
        if (status < 0) return -1;
        if (s * TRIALS / steps == tried) continue;
        tried = s * TRIALS / steps;
        char what[64];
        bool kept;
        snprintf(what, sizeof what, "gates trained for %lld steps", (long long)s);
        if (calibration_try(t->c, what, &kept, err) < 0) return -1;
        if (kept) copy_routers(t, t->best);
        any |= kept;
    }
    put_routers(t, t->best);
    if (any) return 0;
    router->gate_scale = gate_scale;
    calibration_note(t->c, "training lowers the loss no further: the gates stay as they were before it");
    return 0;
}

/* Rows of one pass. */
static size_t pass_rows(size_t batch, size_t S) {
    size_t rows = batch * S;
    return rows <= PASS_ROWS ? rows : S < PASS_ROWS ? PASS_ROWS : S;
}

size_t calibration_train_memory(const struct mf_moe *moe, size_t batch, size_t tokens) {
    const struct training *t = NULL;
    const struct windows *w = NULL;
    size_t S = moe->shape.S, E = moe->router.n_experts, rows = pass_rows(batch, S);
    size_t pass = rows * (MF_ROW_BYTES + E * sizeof *t->token_scores);
    /* windows of documents that are shorter than the context: half of it on average */
    size_t windows = (2 * tokens / S + 1) * (sizeof *w->list + (E + 1) * sizeof *w->states);
    return mf_moe_routers_size(moe) * 4 * sizeof *t->gradient + pass + windows +
           mf_moe_tape_memory(moe, rows);
}

static int prepare(struct training *t, struct mf_err *err) {
    const struct calibration *c = t->c;
    struct mf_moe *moe = c->moe;
    size_t size = mf_moe_routers_size(moe), L = moe->shape.L, E = t->windows.E;
    size_t max_rows = pass_rows(c->options->batch, moe->shape.S);
    t->seed = (uint64_t)c->options->config->seed;
    t->gradient = calloc(size, 4 * sizeof *t->gradient);
    t->tensors = calloc(2 * L, sizeof *t->tensors);
    t->token_scores = grow(NULL, max_rows * E, sizeof *t->token_scores);
    t->state = grow(NULL, E + 1, sizeof *t->state);
    if (!t->gradient || !t->tensors) mf_no_memory();
    t->m = t->gradient + size;
    t->v = t->m + size;
    t->best = t->v + size;
    for (size_t i = 0; i < 2 * L; i++)
        t->tensors[i] =
            (struct mf_tensor){.dtype = MF_F32,
                               .n_dims = 2,
                               .shape = {E, moe->shape.D},
                               .data = i % 2 ? moe->layers[i / 2].noise : moe->layers[i / 2].gate};
    copy_routers(t, t->best);
    if (mf_rows_new(&t->rows, max_rows, err) < 0) return -1;
    return mf_moe_tape_new(&t->tape, moe, c->work, max_rows, err);
}

int calibration_train(struct calibration *c, struct mf_err *err) {
    struct training t = {.c = c};
    int status = read_windows(&t.windows, c, err);
    if (status == 0) status = prepare(&t, err);
    if (status == 0) status = run(&t, err);
    mf_moe_tape_free(t.tape);
    free_windows(&t.windows);
    free(t.gradient);
    free(t.tensors);
    mf_rows_free(&t.rows);
    free(t.token_scores);
    free(t.state);
    return status;
}
