/* The tensors by llama.cpp's names: a list that follows from the model's, and their numbers block by block.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "export/gguf_file_internal.h"
#include "export/quant.h"
#include "nn/rope.h"

#define BLOCK ((size_t)1 << 18) /* floats at a time, or one row */

/* --- names and types --- */

static const char *const names[] = {
    [MF_PLAIN_EMBEDDING] = "token_embd.weight",
    [MF_PLAIN_ATTN_NORM] = "blk.%zu.attn_norm.weight",
    [MF_PLAIN_Q] = "blk.%zu.attn_q.weight",
    [MF_PLAIN_K] = "blk.%zu.attn_k.weight",
    [MF_PLAIN_V] = "blk.%zu.attn_v.weight",
    [MF_PLAIN_Q_BIAS] = "blk.%zu.attn_q.bias",
    [MF_PLAIN_K_BIAS] = "blk.%zu.attn_k.bias",
    [MF_PLAIN_V_BIAS] = "blk.%zu.attn_v.bias",
    [MF_PLAIN_Q_NORM] = "blk.%zu.attn_q_norm.weight",
    [MF_PLAIN_K_NORM] = "blk.%zu.attn_k_norm.weight",
    [MF_PLAIN_O] = "blk.%zu.attn_output.weight",
    [MF_PLAIN_FFN_NORM] = "blk.%zu.ffn_norm.weight",
    [MF_PLAIN_ROUTER] = "blk.%zu.ffn_gate_inp.weight",
    [MF_PLAIN_GATE] = "blk.%zu.ffn_gate.weight",
    [MF_PLAIN_DOWN] = "blk.%zu.ffn_down.weight",
    [MF_PLAIN_UP] = "blk.%zu.ffn_up.weight",
    [MF_PLAIN_OUT_NORM] = "output_norm.weight",
    [MF_PLAIN_HEAD] = "output.weight",
};

static bool is_ffn(enum mf_plain_kind kind) {
    return kind == MF_PLAIN_GATE || kind == MF_PLAIN_DOWN || kind == MF_PLAIN_UP;
}

static void set_name(char name[MF_GGUF_NAME + 1], struct mf_plain_role role, bool experts) {
    char dense[MF_GGUF_NAME];
    snprintf(dense, sizeof dense, names[role.kind], role.layer);
    if (experts && is_ffn(role.kind)) /* "ffn_gate_exps.weight" */
        snprintf(name, MF_GGUF_NAME + 1, "%.*s_exps.weight", (int)(strlen(dense) - strlen(".weight")), dense);
    else
        snprintf(name, MF_GGUF_NAME + 1, "%s", dense);
}

/* Does the choice of experts start from it: the embedding, the first layer's attention? */
static bool is_first(struct mf_plain_role role) {
    if (role.kind == MF_PLAIN_EMBEDDING) return true;
    return role.layer == 0 && (role.kind == MF_PLAIN_Q || role.kind == MF_PLAIN_K ||
                               role.kind == MF_PLAIN_V || role.kind == MF_PLAIN_O);
}

/* Vectors and gates stay F32. Blocks of 32 numbers are too coarse for what everything else starts from, and
 * for rows that they do not divide: those become F16. So do numbers that choose experts where BF16 is asked
 * for. */
static enum mf_gguf_type type_of(const struct mf_gguf_file *f, size_t i) {
    struct mf_plain_role role = mf_plain_role(f->plain, i);
    uint32_t block = mf_gguf_block(f->type)->values;
    if (mf_plain_tensor(f->plain, i)->n_dims == 1 || role.kind == MF_PLAIN_ROUTER) return MF_GGUF_F32;
    if (f->type == MF_GGUF_BF16) return mf_plain_precise(f->plain, i) ? MF_GGUF_F16 : MF_GGUF_BF16;
    bool coarse = block > 1 && (is_first(role) || mf_plain_columns(f->plain, i) % block != 0);
    return coarse ? MF_GGUF_F16 : f->type;
}

/* --- the list --- */

/* The distance from a tensor of expert 0 to the same of expert 1. */
static size_t stride_of(const struct mf_plain *p, size_t i) {
    size_t k = i + 1;
    while (mf_plain_role(p, k).kind != mf_plain_role(p, i).kind || mf_plain_role(p, k).expert != 1) k++;
    return k - i;
}

static void add(struct gguf_list *list, const struct mf_gguf_file *f, const struct gguf_arch *arch,
                size_t i) {
    const struct mf_plain *p = f->plain;
    const struct mf_tensor *t = mf_plain_tensor(p, i);
    struct mf_plain_role role = mf_plain_role(p, i);
    struct gguf_entry *e = &list->entries[list->count++];
    size_t E = is_ffn(role.kind) ? mf_plain_experts(p) : 0, at = 0;
    *e = (struct gguf_entry){.source = i, .count = E ? E : 1};
    if (E) e->stride = stride_of(p, i);
    if (E) e->tensor.shape[at++] = E;
    for (int k = 0; k < t->n_dims; k++) e->tensor.shape[at++] = t->shape[k];
    e->tensor.n_dims = (int)at;
    e->tensor.type = type_of(f, i);
    set_name(e->tensor.name, role, E > 0);
    bool turned = role.kind == MF_PLAIN_Q || role.kind == MF_PLAIN_K || role.kind == MF_PLAIN_Q_BIAS ||
                  role.kind == MF_PLAIN_K_BIAS;
    if (turned && arch->neighbours) e->head = mf_plain_shape(p)->d;
}

static void add_factors(struct gguf_list *list, const struct mf_shape *s) {
    struct gguf_entry *e = &list->entries[list->count++];
    *e = (struct gguf_entry){
        .tensor = {.name = "rope_freqs.weight", .type = MF_GGUF_F32, .n_dims = 1, .shape = {s->d / 2}}};
}

void gguf_list_make(struct gguf_list *list, const struct mf_gguf_file *f, const struct gguf_arch *arch) {
    const struct mf_shape *s = mf_plain_shape(f->plain);
    size_t n = mf_plain_count(f->plain);
    *list = (struct gguf_list){.entries = calloc(n + 1, sizeof *list->entries)};
    if (!list->entries) mf_no_memory();
    for (size_t i = 0; i < n; i++)
        if (mf_plain_role(f->plain, i).expert == 0) add(list, f, arch, i);
    if (s->stretch.factor != 0) add_factors(list, s);
}

void gguf_list_free(struct gguf_list *list) {
    free(list->entries);
}

/* --- numbers --- */

struct writing {
    const struct mf_gguf_file *f;
    struct mf_out *out;
    float *rows;  /* [BLOCK or a row] */
    float *heads; /* the same, in the order of the file */
    void *stored;
};

static int check_range(const struct writing *w, const struct mf_gguf_tensor *t, size_t n,
                       struct mf_err *err) {
    float limit = mf_quant_limit(t->type);
    for (size_t i = 0; i < n; i++)
        if (fabsf(w->rows[i]) > limit)
            return mf_err_set(err, EX_DATAERR, "%s: tensor %s holds %g, too large for %s: take --type f32",
                              mf_plain_name(w->f->plain), t->name, (double)w->rows[i],
                              mf_gguf_block(t->type)->name);
    return 0;
}

static int write_numbers(const struct writing *w, const struct mf_gguf_tensor *t, size_t n,
                         struct mf_err *err) {
    const struct mf_gguf_block *block = mf_gguf_block(t->type);
    if (check_range(w, t, n, err) < 0) return -1;
    mf_quant_narrow(w->stored, w->rows, n, t->type);
    return mf_out_write(w->out, w->stored, n / block->values * block->bytes, err);
}

/* Row r of a head's in the file is this one of Hugging Face's: there the first halves come first. */
static size_t row_of(size_t r, size_t d) {
    size_t in_head = r % d;
    return r - in_head + in_head % 2 * (d / 2) + in_head / 2;
}

/* A bias is one row of all heads' numbers. */
static int write_bias(const struct writing *w, const struct gguf_entry *e, struct mf_err *err) {
    size_t n = (size_t)e->tensor.count;
    if (mf_plain_rows(w->f->plain, e->source, 0, 1, w->heads, err) < 0) return -1;
    for (size_t i = 0; i < n; i++) w->rows[i] = w->heads[row_of(i, e->head)];
    return write_numbers(w, &e->tensor, n, err);
}

static int write_turned(const struct writing *w, const struct gguf_entry *e, struct mf_err *err) {
    size_t columns = mf_plain_columns(w->f->plain, e->source), rows = (size_t)e->tensor.shape[0];
    if (e->tensor.n_dims == 1) return write_bias(w, e, err);
    for (size_t r = 0; r < rows; r++) {
        if (mf_plain_rows(w->f->plain, e->source, row_of(r, e->head), 1, w->rows, err) < 0) return -1;
        if (write_numbers(w, &e->tensor, columns, err) < 0) return -1;
    }
    return 0;
}

static int write_source(const struct writing *w, const struct gguf_entry *e, size_t source,
                        struct mf_err *err) {
    const struct mf_plain *p = w->f->plain;
    size_t columns = mf_plain_columns(p, source), rows = mf_plain_row_count(p, source),
           step = columns < BLOCK ? BLOCK / columns : 1;
    for (size_t first = 0, n; first < rows; first += n) {
        n = rows - first < step ? rows - first : step;
        if (mf_plain_rows(p, source, first, n, w->rows, err) < 0) return -1;
        if (write_numbers(w, &e->tensor, n * columns, err) < 0) return -1;
    }
    return 0;
}

/* By what each pair's frequency is divided. */
static int write_factors(const struct writing *w, const struct gguf_entry *e, struct mf_err *err) {
    const struct mf_shape *s = mf_plain_shape(w->f->plain);
    double plain[MF_HEAD_MAX / 2], stretched[MF_HEAD_MAX / 2];
    rope_frequencies(plain, s->d, s->rope_theta);
    rope_frequencies(stretched, s->d, s->rope_theta);
    rope_stretch(stretched, s->d, &s->stretch);
    for (size_t i = 0; i < s->d / 2; i++) w->rows[i] = (float)(plain[i] / stretched[i]);
    return write_numbers(w, &e->tensor, s->d / 2, err);
}

static int write_entry(const struct writing *w, const struct gguf_entry *e, struct mf_err *err) {
    int result = 0;
    if (e->count == 0) result = write_factors(w, e, err);
    if (e->head) result = write_turned(w, e, err);
    for (size_t k = 0; k < e->count && !e->head && result == 0; k++)
        result = write_source(w, e, e->source + k * e->stride, err);
    return result < 0 ? -1 : mf_gguf_pad(w->out, e->tensor.bytes, err);
}

/* The most numbers that are handled at once. */
static size_t block_of(const struct mf_plain *p) {
    size_t capacity = BLOCK;
    for (size_t i = 0; i < mf_plain_count(p); i++)
        if (mf_plain_columns(p, i) > capacity) capacity = mf_plain_columns(p, i);
    return capacity;
}

int gguf_tensors(const struct mf_gguf_file *f, const struct gguf_list *list, struct mf_out *out,
                 struct mf_err *err) {
    size_t capacity = block_of(f->plain);
    struct writing w = {.f = f, .out = out};
    w.rows = calloc(capacity, sizeof *w.rows);
    w.heads = calloc(capacity, sizeof *w.heads);
    w.stored = calloc(capacity, sizeof(float));
    if (!w.rows || !w.heads || !w.stored) mf_no_memory();
    int result = 0;
    for (size_t i = 0; i < list->count && result == 0; i++) result = write_entry(&w, &list->entries[i], err);
    free(w.rows);
    free(w.heads);
    free(w.stored);
    return result;
}
