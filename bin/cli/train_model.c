/* The tensors of a training's model: where each lies, in memory of our own or in the shared bundle's file. */
#include "cli/train_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "cli/precision.h"

static double megabytes(size_t bytes) {
    return (double)bytes / 1e6;
}

/* The tensors of the planned model, without data. */
static void list_tensors(struct mf_train_session *s) {
    const struct mf_training *t = &s->training;
    const struct mf_shape *shape = &t->shape;
    size_t R = t->low_rank.R;
    bool keeps = R || t->anchor; /* the FFN as it is; else it learns itself */
    enum mf_ffn_role role = t->frozen && !keeps ? MF_FFN_EXPERT : MF_FFN_DENSE;
    s->n_backbone = mf_backbone_tensors(shape, NULL, NULL);
    s->n_ffn = mf_ffn_tensors(shape, role, 0, NULL, NULL);
    s->n_frozen = (t->frozen ? s->n_backbone : 0) + (keeps ? s->n_ffn : 0);
    s->n_attention =
        s->n_backbone + s->n_ffn + (R ? mf_changes_tensors(shape, R, NULL, NULL) : (keeps ? s->n_ffn : 0));
    s->n_head = s->n_attention + (t->attention ? mf_attention_all_tensors(shape, -1, NULL, NULL) : 0);
    s->tensors = calloc(s->n_head + MF_HEAD_TENSORS, sizeof *s->tensors);
    if (!s->tensors) mf_no_memory();
    mf_backbone_tensors(shape, NULL, s->tensors);
    mf_ffn_tensors(shape, role, 0, NULL, s->tensors + s->n_backbone);
    struct mf_tensor *after = s->tensors + s->n_backbone + s->n_ffn;
    if (R)
        mf_changes_tensors(shape, R, NULL, after);
    else if (keeps)
        mf_ffn_tensors(shape, MF_FFN_EXPERT, 0, NULL, after);
    if (t->attention) mf_attention_all_tensors(shape, -1, NULL, s->tensors + s->n_attention);
    s->n_tensors = s->n_head + mf_head_tensors(shape, t->head, -1, NULL, s->tensors + s->n_head);
    for (size_t i = 0; i < s->n_frozen; i++) s->tensors[i].dtype = t->memory.plan.narrow ? MF_BF16 : MF_F32;
}

/* Does a tensor lie in the file of the bundle? The FFN's matrices and those of the vocabulary, if they are
 * stored as they are wanted; what attention has is read, so that matrices that make one product lie behind
 * one another. */
static bool is_mapped(const struct mf_train_session *s, size_t i) {
    const struct mf_tensor *t = &s->tensors[i];
    if (!s->mapped || i >= s->n_frozen || t->n_dims < 2) return false;
    if (i < s->n_backbone && !mf_is_vocabulary(&s->training.shape, t->name)) return false;
    for (size_t k = 0; k < mf_bundle_count(s->mapped); k++) {
        const struct mf_tensor *there = mf_bundle_tensor(s->mapped, k);
        if (strcmp(there->name, t->name) == 0) return there->dtype == t->dtype;
    }
    return false;
}

/* Memory for all tensors in turn that have none in a file. */
static void layout(struct mf_train_session *s) {
    struct mf_arena *a = &s->arena;
    size_t bytes[2] = {0, 0}; /* frozen, learning */
    for (size_t i = 0; i < s->n_tensors; i++)
        if (!is_mapped(s, i)) bytes[i >= s->n_frozen] += mf_tensor_bytes(&s->tensors[i]);
    unsigned char *frozen = mf_arena_take(a, bytes[0], 1), *learning = mf_arena_take(a, bytes[1], 1);
    for (size_t i = 0; i < s->n_tensors && a->base; i++) {
        struct mf_tensor *t = &s->tensors[i];
        unsigned char **next = i < s->n_frozen ? &frozen : &learning;
        if (is_mapped(s, i)) continue;
        t->data = *next;
        *next += mf_tensor_bytes(t);
    }
}

/* What the layers work with. */
static void set_weights(struct mf_train_session *s) {
    struct mf_training *t = &s->training;
    size_t R = t->low_rank.R;
    float *learning = s->tensors[s->n_frozen].data;
    t->tensors = s->tensors + s->n_frozen;
    t->count = s->n_tensors - s->n_frozen;
    t->weights = (struct mf_lm_weights){.frozen = s->tensors};
    if (R)
        t->weights.changes = learning;
    else if (t->frozen)
        t->weights.ffn = learning;
    else {
        t->weights.backbone = learning;
        t->weights.ffn = learning + mf_backbone_size(&t->shape);
    }
    if (t->attention) t->weights.attention = s->tensors[s->n_attention].data;
    if (t->head) t->weights.head = s->tensors[s->n_head].data;
}

/* " (538.1 frozen, bf16, 107.3 mapped)", or "" where nothing is frozen. */
static void describe_frozen(const struct mf_train_session *s, char *text, size_t size) {
    const struct mf_train_memory *m = &s->training.memory;
    char mapped[32] = "";
    size_t bytes = 0;
    *text = 0;
    if (!m->frozen) return;
    for (size_t i = 0; i < s->n_tensors; i++) bytes += is_mapped(s, i) ? mf_tensor_bytes(&s->tensors[i]) : 0;
    if (bytes) snprintf(mapped, sizeof mapped, ", %.1f mapped", megabytes(bytes));
    snprintf(text, size, " (%.1f frozen%s%s)", megabytes(m->frozen), m->plan.narrow ? ", bf16" : "", mapped);
}

static void say_plan(const struct mf_train_session *s) {
    const struct mf_train_memory *m = &s->training.memory;
    char each[48] = "", frozen[80];
    int ranks = mf_ranks_count(s->training.ranks);
    if (s->common->quiet) return;
    if (ranks > 1) snprintf(each, sizeof each, " in each of %d processes", ranks);
    describe_frozen(s, frozen, sizeof frozen);
    fprintf(stderr,
            "%s: memory %.0f MB%s: parameters %.1f%s, gradients %.1f, optimizer %.1f, activations %.1f "
            "(%zu rows at once%s), workspace %.1f; products in %s\n",
            s->program, megabytes(m->total), each, megabytes(m->parameters), frozen, megabytes(m->gradients),
            megabytes(m->optimizer), megabytes(m->activations), m->plan.max_rows,
            m->plan.recompute ? ", some made again" : "", megabytes(m->workspace),
            mf_precision_name(s->training.bf16));
}

int mf_train_session_model(struct mf_train_session *s, struct mf_err *err) {
    list_tensors(s);
    say_plan(s);
    layout(s);
    if (mf_arena_init(&s->arena, s->arena.used, err) < 0) return -1;
    layout(s);
    set_weights(s);
    return 0;
}
