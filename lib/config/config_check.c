/* What of the configuration must fit together. */
#include "config/config_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

size_t config_index(const struct mf_key *key) {
    size_t count;
    return (size_t)(key - mf_keys(&count));
}

/* 0 or below: in no line of a file. */
static long line_of(const struct config_origins *o, const char *name) {
    return o->lines[config_index(mf_key_find(name))];
}

/* Opens the message about two values with the place where `name`, or else `other`, was given. */
static int __attribute__((format(printf, 5, 6)))
unfit(const struct config_origins *o, struct mf_err *err, const char *name, const char *other,
      const char *format, ...) {
    char what[200];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    long line = line_of(o, name);
    if (line <= 0) line = line_of(o, other);
    if (line <= 0) return mf_err_set(err, EX_CONFIG, "--set: %s", what);
    return mf_err_set(err, EX_CONFIG, "%s:%ld: %s", o->file, line, what);
}

static int check_training(const struct mf_train_config *t, const char *section,
                          const struct config_origins *o, struct mf_err *err) {
    char name[64], other[64];
    if (t->min_lr > t->lr) {
        snprintf(name, sizeof name, "%s.min_lr", section);
        snprintf(other, sizeof other, "%s.lr", section);
        return unfit(o, err, name, other, "%s is %g, above lr, which is %g", name, t->min_lr, t->lr);
    }
    if (t->warmup > t->steps) {
        snprintf(name, sizeof name, "%s.warmup", section);
        snprintf(other, sizeof other, "%s.steps", section);
        return unfit(o, err, name, other, "%s is %" PRId64 ", above steps, which is %" PRId64, name,
                     t->warmup, t->steps);
    }
    return 0;
}

/* Heads and their columns; 0 stands for what the others give. */
static int check_heads(const struct mf_config *c, const struct config_origins *o, struct mf_err *err) {
    int64_t D = c->model.d_model, H = c->model.n_heads, K = c->model.n_kv_heads, d = c->model.head_dim;
    if (d % 2)
        return unfit(o, err, "model.head_dim", "model.head_dim",
                     "model.head_dim is %" PRId64 ", must be even", d);
    if ((d == 0 || !c->model.arch) && D % H)
        return unfit(o, err, "model.d_model", "model.n_heads",
                     "model.d_model %" PRId64 " is not a multiple of model.n_heads %" PRId64, D, H);
    if (!c->model.arch) return 0;
    if (K && H % K)
        return unfit(o, err, "model.n_heads", "model.n_kv_heads",
                     "model.n_heads %" PRId64 " is not a multiple of model.n_kv_heads %" PRId64, H, K);
    if (d == 0 && D / H % 2)
        return unfit(o, err, "model.d_model", "model.n_heads",
                     "model.d_model %" PRId64 " gives %" PRId64 " heads %" PRId64
                     " columns each, must be even",
                     D, H, D / H);
    return 0;
}

/* What experts whose attention learns need. */
static int check_attention(const struct mf_config *c, const struct config_origins *o, struct mf_err *err) {
    if (c->expert.train != MF_LEARN_FFN_QO) return 0;
    if (o->whole && c->model.arch != MF_LLAMA)
        return unfit(o, err, "expert.train", "model.arch", "expert.train ffn+qo needs model.arch=llama");
    if (c->router.kind != MF_ROUTER_PREFIX)
        return unfit(o, err, "expert.train", "router.kind",
                     "expert.train ffn+qo needs router.kind=prefix: a router of hidden states chooses after "
                     "attention");
    if (c->calibrate.router == MF_CALIBRATE_TRAIN)
        return unfit(o, err, "expert.train", "calibrate.router",
                     "expert.train ffn+qo and calibrate.router train: no gates can be trained through "
                     "attention of experts");
    return 0;
}

int config_check(const struct mf_config *c, const struct config_origins *o, struct mf_err *err) {
    if (check_heads(c, o, err) < 0) return -1;
    if (c->model.d_model % 2)
        return unfit(o, err, "model.d_model", "model.d_model", "model.d_model is %" PRId64 ", must be even",
                     c->model.d_model);
    if (c->model.top_k > c->model.n_experts + c->assemble.anchor)
        return unfit(o, err, "model.top_k", "model.n_experts",
                     o->experts ? "model.top_k is %" PRId64 ", above the number of experts given, %" PRId64
                                : "model.top_k is %" PRId64 ", above model.n_experts, which is %" PRId64,
                     c->model.top_k, c->model.n_experts);
    if (c->docs.val_fraction + c->docs.test_fraction >= 1)
        return unfit(o, err, "docs.val_fraction", "docs.test_fraction",
                     "docs.val_fraction %g and docs.test_fraction %g leave nothing to train on",
                     c->docs.val_fraction, c->docs.test_fraction);
    if (c->docs.max_chars && c->docs.max_chars < c->docs.min_chars)
        return unfit(o, err, "docs.max_chars", "docs.min_chars",
                     "docs.max_chars is %" PRId64 ", below docs.min_chars, which is %" PRId64,
                     c->docs.max_chars, c->docs.min_chars);
    if (c->expert.rank && c->expert.init != MF_INIT_SHARED)
        return unfit(o, err, "expert.rank", "expert.init",
                     "expert.rank %" PRId64 " changes the shared FFN: expert.init must be shared",
                     c->expert.rank);
    if (check_attention(c, o, err) < 0) return -1;
    if (check_training(&c->train_shared, "train_shared", o, err) < 0) return -1;
    return check_training(&c->train_expert, "train_expert", o, err);
}

void config_follow(struct mf_config *c, const struct config_origins *o) {
    struct {
        struct mf_train_config *t;
        const char *min_lr, *warmup;
    } both[] = {{&c->train_shared, "train_shared.min_lr", "train_shared.warmup"},
                {&c->train_expert, "train_expert.min_lr", "train_expert.warmup"}};
    for (size_t i = 0; i < 2; i++) {
        struct mf_train_config *t = both[i].t;
        if (line_of(o, both[i].min_lr) == 0 && t->min_lr > t->lr) t->min_lr = t->lr / 10;
        if (line_of(o, both[i].warmup) == 0 && t->warmup > t->steps) t->warmup = t->steps / 10;
    }
    if (line_of(o, "model.top_k") == 0 && c->model.top_k > c->model.n_experts + c->assemble.anchor)
        c->model.top_k = c->model.n_experts + c->assemble.anchor;
}
