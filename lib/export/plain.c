/* Opening a model to be exported, and its numbers. */
#include "export/plain.h"

#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "model/tensors.h"
#include "export/plain_internal.h"

static int check(const struct mf_moe *m, struct mf_err *err) {
    const struct mf_router *r = &m->router;
    if (m->shape.arch != MF_LLAMA)
        return mf_err_set(err, EX_DATAERR,
                          "%s: a model of family reference, which other programs do not know: train one with "
                          "model.arch=llama",
                          m->name);
    if (r->n_experts > 1 && r->over_all)
        return mf_err_set(err, EX_DATAERR,
                          "%s: its router weighs by the softmax over all experts (weights 'all'), other "
                          "programs by that over the chosen",
                          m->name);
    if (r->n_experts > 1 && r->score_scale != 0 && !r->mean)
        return mf_err_set(
            err, EX_DATAERR,
            "%s: its router adds up token scores (token_scores 'sum'), which plain tensors cannot: "
            "assemble it again, for the mean",
            m->name);
    if (mf_moe_has_attention(m))
        return mf_err_set(err, EX_DATAERR,
                          "%s: its experts have attention of their own, which other programs do not know: "
                          "export one (-m SHARED -e EXPERT)",
                          m->name);
    if (mf_moe_has_heads(m))
        return mf_err_set(err, EX_DATAERR,
                          "%s: its experts have heads of their own, which other programs do not know: export "
                          "one (-m SHARED -e EXPERT), or assemble without (assemble.heads=false)",
                          m->name);
    return 0;
}

static json_t *bundle_metadata(const struct mf_moe *m) {
    json_t *metadata =
        json_pack("{ss,ss}", "tokenizer_sha256", m->tokenizer_sha256, "shared_sha256", m->shared_sha256);
    if (m->expert_sha256[0])
        mf_metadata_set_json(metadata, "experts", json_pack("[{ss}]", "sha256", m->expert_sha256));
    return metadata;
}

/* A router that hears token scores makes the tensors wider. */
static int open_prefix(struct mf_plain *p, struct mf_err *err) {
    size_t embedding;
    struct mf_tensor head[MF_TABLE_MAX];
    size_t view[MF_TABLE_MAX];
    if (!p->E || p->moe->router.score_scale == 0) return 0;
    mf_table_tensors(&p->shape, MF_TABLE_HEAD, 0, 0, 0, 0, head, view);
    if (mf_weights_find(p->weights, head->name, p->shape.V, p->shape.D, &embedding, err) < 0) return -1;
    if (prefix_router_new(&p->prefix, p->moe, embedding, err) < 0) return -1;
    prefix_router_shape(p->prefix, &p->shape);
    return 0;
}

static int prepare(struct mf_plain *p, const char *model, const char *expert, struct mf_err *err) {
    struct mf_moe_budget budget = {0};
    if (mf_moe_open(&p->moe, model, expert, &budget, err) < 0 || check(p->moe, err) < 0) return -1;
    const struct mf_safetensors *file = mf_moe_model(p->moe);
    p->weights = mf_moe_weights(p->moe);
    p->shape = p->moe->shape;
    p->E = p->moe->router.n_experts > 1 ? p->moe->router.n_experts : 0;
    p->metadata = file ? json_deep_copy(mf_safetensors_metadata(file)) : bundle_metadata(p->moe);
    return open_prefix(p, err) < 0 ? -1 : plain_list(p, err);
}

int mf_plain_open(struct mf_plain **plain, const char *model, const char *expert, struct mf_err *err) {
    struct mf_plain *p = calloc(1, sizeof *p);
    if (!p) mf_no_memory();
    *plain = p;
    if (prepare(p, model, expert, err) == 0) return 0;
    mf_plain_close(p);
    *plain = NULL;
    return -1;
}

void mf_plain_close(struct mf_plain *p) {
    if (!p) return;
    json_decref(p->metadata);
    prefix_router_free(p->prefix);
    mf_moe_close(p->moe);
    free(p->entries);
    free(p);
}

/* --- looking --- */

const struct mf_shape *mf_plain_shape(const struct mf_plain *p) {
    return &p->shape;
}

const struct mf_specials *mf_plain_specials(const struct mf_plain *p) {
    return &p->moe->specials;
}

const char *mf_plain_name(const struct mf_plain *p) {
    return p->moe->name;
}

const char *mf_plain_tokenizer(const struct mf_plain *p) {
    return p->moe->tokenizer_sha256;
}

size_t mf_plain_experts(const struct mf_plain *p) {
    return p->E;
}

size_t mf_plain_top_k(const struct mf_plain *p) {
    return p->moe->router.top_k;
}

const json_t *mf_plain_metadata(const struct mf_plain *p) {
    return p->metadata;
}

size_t mf_plain_count(const struct mf_plain *p) {
    return p->count;
}

const struct mf_tensor *mf_plain_tensor(const struct mf_plain *p, size_t i) {
    return &p->entries[i].tensor;
}

struct mf_plain_role mf_plain_role(const struct mf_plain *p, size_t i) {
    return p->entries[i].role;
}

size_t mf_plain_columns(const struct mf_plain *p, size_t i) {
    const struct mf_tensor *t = &p->entries[i].tensor;
    return t->shape[t->n_dims - 1];
}

size_t mf_plain_row_count(const struct mf_plain *p, size_t i) {
    const struct mf_tensor *t = &p->entries[i].tensor;
    return t->n_dims > 1 ? t->shape[0] : 1;
}

/* A prefix router's begin in the embedding and in layer 0's attention. */
bool mf_plain_precise(const struct mf_plain *p, size_t i) {
    const struct mf_plain_role role = p->entries[i].role;
    bool attention = role.kind >= MF_PLAIN_Q && role.kind <= MF_PLAIN_O && role.layer == 0;
    return role.kind == MF_PLAIN_ROUTER || (p->prefix && (role.kind == MF_PLAIN_EMBEDDING || attention));
}

bool mf_plain_exact(const struct mf_plain *p) {
    return p->prefix != NULL;
}

/* --- numbers --- */

/* The router's gate with the factor that it is multiplied by. */
static void scale(float *x, size_t n, double factor) {
    for (size_t i = 0; i < n; i++) x[i] = (float)(factor * (double)x[i]);
}

/* Rows of `from` columns behind one another become rows of `to` columns, zeros behind. */
static void spread(float *rows, size_t count, size_t from, size_t to) {
    if (from == to) return;
    for (size_t i = count; i-- > 0;) {
        memmove(rows + i * to, rows + i * from, from * sizeof *rows);
        memset(rows + i * to + from, 0, (to - from) * sizeof *rows);
    }
}

/* The rows that the model has. */
static int read_rows(const struct mf_plain *p, const struct plain_entry *e, size_t first, size_t count,
                     float *rows, struct mf_err *err) {
    size_t n = count * e->columns;
    if (mf_weights_read(p->weights, e->source, first * e->columns, n, rows, err) < 0) return -1;
    if (!mf_finite(rows, n))
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s holds a NaN or infinity", p->moe->name,
                          e->tensor.name);
    if (e->role.kind == MF_PLAIN_ROUTER) scale(rows, n, p->moe->router.gate_scale);
    return 0;
}

int mf_plain_rows(const struct mf_plain *p, size_t i, size_t first, size_t count, float *rows,
                  struct mf_err *err) {
    const struct plain_entry *e = &p->entries[i];
    size_t columns = mf_plain_columns(p, i), there = first < e->rows ? e->rows - first : 0;
    if (there > count) there = count;
    if (there > 0 && read_rows(p, e, first, there, rows, err) < 0) return -1;
    spread(rows, there, e->columns, columns);
    memset(rows + there * columns, 0, (count - there) * columns * sizeof *rows);
    if (p->prefix) prefix_router_rows(p->prefix, e->role, first, count, columns, rows);
    return 0;
}
