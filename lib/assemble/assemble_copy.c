/* The copy: every tensor of the components once, several components at a time where the output is a file. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "assemble/assemble_internal.h"
#include "nn/embedding.h"

/* Where the bytes of a part go: to their place in the room for all parts, or on to the end of the output. */
struct sink {
    struct mf_out *out;
    bool placed;
    uint64_t at;
    unsigned char *buffer; /* [MF_ASSEMBLY_BUFFER] */
};

static int put(struct sink *s, const void *bytes, size_t size, struct mf_err *err) {
    if (!s->placed) return mf_out_write(s->out, bytes, size, err);
    s->at += size;
    return mf_out_fill(s->out, s->at - size, bytes, size, err);
}

/* Copies the bundle's current tensor as it is stored. */
static int copy_tensor(struct sink *to, struct mf_bundle *b, const struct mf_tensor *t, struct mf_err *err) {
    const size_t size = mf_dtype_size(t->dtype), max = MF_ASSEMBLY_BUFFER / size;
    for (size_t n, left = mf_tensor_count(t); left > 0; left -= n) {
        n = left < max ? left : max;
        if (mf_bundle_read_finite(b, to->buffer, n * size, err) < 0 || put(to, to->buffer, n * size, err) < 0)
            return -1;
    }
    return 0;
}

/* A component that is copied: an expert, or the shared bundle (slot n_experts). */
struct component {
    struct mf_assembly *a;
    size_t slot; /* of the scratch file */
    struct sink *to;
};

/* Is it a tensor that an expert has beside its FFN, and the model too? */
static bool is_own(const struct mf_expert_entry *x, const char *name) {
    return (x->head && mf_head_is(name)) || (x->attention && mf_attention_is(name));
}

/* Copies what is part of the model, and keeps what the router needs. */
static int copy_taken(void *context, struct mf_bundle *b, const struct mf_tensor *t, struct mf_err *err) {
    const struct component *c = context;
    bool expert = c->slot < c->a->n_experts;
    bool taken = mf_assembly_takes(t->name, expert) || (expert && is_own(&c->a->experts[c->slot], t->name));
    if (!mf_assembly_keeps(c->a, t->name)) return taken ? copy_tensor(c->to, b, t, err) : 0;
    void *data;
    if (mf_assembly_keep(c->a, b, t, c->slot, &data, err) < 0) return -1;
    int status = taken ? put(c->to, data, mf_tensor_bytes(t), err) : 0;
    free(data);
    return status;
}

/* The head is the embedding once more: the bundle is read again up to it. */
static int copy_embedding(void *context, struct mf_bundle *b, const struct mf_tensor *t, struct mf_err *err) {
    const struct component *c = context;
    struct mf_tensor embedding[MF_TABLE_MAX];
    mf_table_tensors(&c->a->shape, MF_TABLE_HEAD, 0, 0, 0, 0, embedding, NULL);
    if (strcmp(t->name, embedding[0].name) != 0) return 0;
    return copy_tensor(c->to, b, t, err) < 0 ? -1 : 1;
}

/* What an expert has beside an FFN that comes from elsewhere. */
static int copy_own(void *context, struct mf_bundle *b, const struct mf_tensor *t, struct mf_err *err) {
    const struct component *c = context;
    return is_own(&c->a->experts[c->slot], t->name) ? copy_tensor(c->to, b, t, err) : 0;
}

static int write_positions(const struct mf_assembly *a, struct sink *to, struct mf_err *err) {
    size_t D = a->shape.D, max = MF_ASSEMBLY_BUFFER / sizeof(float) / D + 1;
    float *pe = malloc(max * D * sizeof *pe);
    if (!pe) return mf_err_set(err, EX_OSERR, "out of memory");
    int status = 0;
    for (size_t at = 0, n; at < a->shape.S && status == 0; at += n) {
        n = a->shape.S - at < max ? a->shape.S - at : max;
        positions_fill(pe, at, n, D, a->shape.position_scale);
        status = put(to, pe, n * D * sizeof *pe, err);
    }
    free(pe);
    return status;
}

static int put_numbers(void *context, size_t index, size_t first, float *x, size_t count,
                       struct mf_err *err) {
    (void)index, (void)first;
    return put(context, x, count * sizeof *x, err);
}

/* An expert that is the dense FFN with changes. */
static int copy_changed(struct mf_assembly *a, size_t e, struct sink *to, struct mf_err *err) {
    const struct mf_ffn_visit visit = {put_numbers, to, to->buffer, e};
    const struct mf_expert_entry *x = &a->experts[e];
    struct component c = {a, e, to};
    if (mf_assembly_changed(a, x, &visit, err) < 0) return -1;
    return x->head || x->attention ? mf_assembly_each(a, x, copy_own, &c, err) : 0;
}

/* The dense FFN. */
struct dense {
    struct sink *to;
    struct mf_tensor *tensors; /* [count] */
    size_t count;
};

static int copy_dense_tensor(void *context, struct mf_bundle *b, const struct mf_tensor *t,
                             struct mf_err *err) {
    const struct dense *d = context;
    size_t i = 0;
    while (i < d->count && strcmp(d->tensors[i].name, t->name) != 0) i++;
    return i < d->count ? copy_tensor(d->to, b, t, err) : 0;
}

static int copy_dense(struct mf_assembly *a, struct sink *to, struct mf_err *err) {
    struct dense d = {.to = to};
    d.tensors = mf_assembly_ffn(a, MF_FFN_DENSE, &d.count);
    int status = mf_assembly_each(a, NULL, copy_dense_tensor, &d, err);
    free(d.tensors);
    return status;
}

static int copy_expert(struct mf_assembly *a, size_t e, struct sink *to, struct mf_err *err) {
    struct component c = {a, e, to};
    if (e == a->n_experts) return copy_dense(a, to, err);
    if (a->experts[e].low_rank.R) return copy_changed(a, e, to, err);
    return mf_assembly_each(a, &a->experts[e], copy_taken, &c, err);
}

static int copy_part(struct mf_assembly *a, size_t part, struct sink *to, struct mf_err *err) {
    bool repeats = mf_assembly_repeats(a);
    struct component c = {a, a->n_experts, to};
    if (part == MF_PART_SHARED) return mf_assembly_each(a, NULL, copy_taken, &c, err);
    if (part == MF_PART_HEAD)
        return !repeats || mf_assembly_each(a, NULL, copy_embedding, &c, err) > 0 ? 0 : -1;
    if (part == MF_PART_POSITIONS) return repeats ? write_positions(a, to, err) : 0;
    return copy_expert(a, part - MF_PART_EXPERTS, to, err);
}

struct copying {
    struct mf_assembly *a;
    struct mf_out *out;
    bool placed;
    uint64_t begin; /* of the room, when placed */
    size_t parts;
    atomic_size_t next; /* part that nobody has taken */
    atomic_bool failed;
    struct {
        int status;
        size_t part; /* taken last */
        struct mf_err err;
    } threads[MF_ASSEMBLY_THREADS];
};

/* Takes one part after the other until there are no more. */
static void copy_parts(void *context, size_t begin, size_t end, int thread) {
    struct copying *c = context;
    (void)begin;
    (void)end;
    for (;;) {
        size_t part = atomic_fetch_add(&c->next, 1);
        if (part >= c->parts || atomic_load(&c->failed)) return;
        struct sink to = {c->out, c->placed, c->begin + c->a->begin[part],
                          c->a->buffer + (size_t)thread * MF_ASSEMBLY_BUFFER};
        c->threads[thread].part = part;
        c->threads[thread].status = copy_part(c->a, part, &to, &c->threads[thread].err);
        if (c->threads[thread].status < 0) atomic_store(&c->failed, true);
    }
}

int mf_assembly_copy(struct mf_assembly *a, struct mf_pool *pool, struct mf_out *out, struct mf_err *err) {
    size_t experts = a->kind == MF_ASSEMBLE_AVERAGE ? 0 : mf_assembly_experts(a);
    struct copying c = {.a = a, .out = out, .parts = MF_PART_EXPERTS + experts};
    int placed = mf_out_reserve(out, a->begin[c.parts], &c.begin, err);
    if (placed < 0) return -1;
    c.placed = placed;
    size_t n = (size_t)mf_pool_threads(pool), first = c.parts;
    if (n > MF_ASSEMBLY_THREADS) n = MF_ASSEMBLY_THREADS;
    mf_pool_run(pool, c.placed ? n : 1, 1, copy_parts, &c);
    for (size_t t = 0; t < n; t++) {
        if (c.threads[t].status == 0 || c.threads[t].part > first) continue;
        first = c.threads[t].part;
        *err = c.threads[t].err;
    }
    return c.failed ? -1 : 0;
}
