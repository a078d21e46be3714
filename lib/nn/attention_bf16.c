/* Attention with products in bf16 (nn/bf16.h): as attention.c, a block of query rows at a time; what is
 * multiplied lies rounded in a thread's own memory. */
#include "nn/attention_bf16.h"

#include <math.h>
#include <stdint.h>
#include <string.h>
#include "nn/bf16_internal.h"
#include "nn/vector.h"

#define ROWS   ((size_t)64) /* query rows in a block */
#define KERNEL ((size_t)8)  /* numbers of keys that kernels are made for */

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Bytes of the scores, and of all that a pair needs. */
static size_t score_bytes(size_t n, size_t d) {
    return ROWS * larger(n, d) * sizeof(float);
}

static size_t bytes_of(const struct bf16 *b, size_t n, size_t d) {
    return 2 * score_bytes(n, d) + (2 * (n + ROWS) * d + ROWS * n) * bf16_number(bf16_kernels(b));
}

/* Do its rows fill blocks, and is there memory for it? */
static bool takes(const struct bf16 *b, size_t n, size_t d) {
    return n >= ROWS && n % ROWS == 0 && d >= 32 && bytes_of(b, n, d) <= bf16_own_bytes(b);
}

bool attention_bf16_takes(const struct bf16 *b, const struct seqs *seqs, struct heads heads) {
    for (size_t i = 0; b && i < seqs->count; i++)
        if (!takes(b, seqs->start[i + 1] - seqs->start[i], heads.d)) return false;
    return b != NULL;
}

struct attention {
    struct bf16 *b;
    float *out, *lse, *dqkv;
    const float *qkv, *dout;
    const struct seqs *seqs;
    struct heads heads;
};

/* What a thread works on: a sequence and a key head, and its memory. Rounded: keys and values [n,d], a
 * block's queries (or the gradients of its result) and its probabilities (or their gradients); in fp32 the
 * last [ROWS,n]. */
struct head {
    const struct attention *k;
    struct bf16_kernels *kernels;
    size_t first, n, d, step; /* keys go up in steps: few kernels, and some products with zeros */
    int thread;
    char *keys, *values, *queries, *gradients, *mixing;
    float *scores, *dscores;
};

static struct head head_of(const struct attention *k, size_t seq, size_t key_head, int thread) {
    const struct heads heads = k->heads;
    struct head h = {.k = k, .kernels = bf16_kernels(k->b), .thread = thread, .d = heads.d};
    h.first = k->seqs->start[seq];
    h.n = k->seqs->start[seq + 1] - h.first;
    h.step = ((h.n - 1) / (ROWS * KERNEL) + 1) * ROWS;
    size_t number = bf16_number(h.kernels), ld = heads_columns(heads);
    char *own = bf16_own(k->b, thread);
    h.scores = (float *)(void *)own;
    h.dscores = (float *)(void *)(own + score_bytes(h.n, h.d));
    h.keys = own + 2 * score_bytes(h.n, h.d);
    h.values = h.keys + h.n * h.d * number;
    h.queries = h.values + h.n * h.d * number;
    h.gradients = h.queries + ROWS * h.d * number;
    h.mixing = h.gradients + ROWS * h.d * number;
    const float *keys = k->qkv + h.first * ld + (heads.H + key_head) * h.d;
    bf16_load(h.kernels, h.keys, keys, ld, h.n, h.d);
    bf16_load(h.kernels, h.values, keys + heads.K * h.d, ld, h.n, h.d);
    return h;
}

/* Keys that the block of rows from i on is multiplied with. */
static size_t keys_of(const struct head *h, size_t i) {
    size_t keys = (i + ROWS + h->step - 1) / h->step * h->step;
    return keys < h->n ? keys : h->n;
}

/* Loads the block's queries times 1/sqrt d, and makes scores [ROWS,keys]. */
static void make_scores(const struct head *h, size_t query_head, size_t i, size_t keys) {
    size_t d = h->d, ld = heads_columns(h->k->heads);
    const float *q = h->k->qkv + (h->first + i) * ld + query_head * d;
    const struct bf16_shape shape = {.M = ROWS, .N = keys, .K = d, .ld_b = d, .ld_c = keys, .turn_b = true};
    for (size_t r = 0; r < ROWS; r++)
        for (size_t j = 0; j < d; j++) h->scores[r * d + j] = q[r * ld + j] * (1 / sqrtf((float)d));
    bf16_load(h->kernels, h->queries, h->scores, d, ROWS, d);
    bf16_multiply(h->kernels, &shape, h->scores, h->queries, h->keys, h->thread);
}

/* c [ROWS,d] = a [ROWS,keys] b [keys,d] */
static void gather(const struct head *h, float *c, size_t ld, const void *b, size_t keys) {
    const struct bf16_shape shape = {.M = ROWS, .N = h->d, .K = keys, .ld_b = h->d, .ld_c = ld};
    bf16_multiply(h->kernels, &shape, c, h->mixing, b, h->thread);
}

/* c [keys,d] += a [ROWS,keys]^T b [ROWS,d] */
static void scatter(const struct head *h, float *c, size_t ld, const void *b, size_t keys) {
    const struct bf16_shape shape = {
        .M = keys, .N = h->d, .K = ROWS, .ld_b = h->d, .ld_c = ld, .turn_a = true, .add = true};
    bf16_multiply(h->kernels, &shape, c, h->mixing, b, h->thread);
}

static void forward_head(const struct head *h, size_t query_head) {
    const struct attention *k = h->k;
    size_t H = k->heads.H, d = h->d, D = H * d;
    for (size_t i = 0; i < h->n; i += ROWS) {
        size_t keys = keys_of(h, i);
        float *out = k->out + (h->first + i) * D + query_head * d;
        double sums[ROWS];
        make_scores(h, query_head, i, keys);
        for (size_t r = 0; r < ROWS; r++) {
            float *p = h->scores + r * keys, maximum = vector_max(p, i + r + 1);
            sums[r] = vector_exp(p, p, -maximum, i + r + 1);
            memset(p + i + r + 1, 0, (keys - i - r - 1) * sizeof *p);
            if (k->lse) k->lse[(h->first + i + r) * H + query_head] = maximum + (float)log(sums[r]);
        }
        bf16_load(h->kernels, h->mixing, h->scores, keys, ROWS, keys);
        gather(h, out, D, h->values, keys);
        for (size_t r = 0; r < ROWS; r++) vector_scale(out + r * D, (float)(1 / sums[r]), d);
    }
}

static void forward_part(void *context, size_t begin, size_t end, int thread) {
    const struct attention *k = context;
    size_t shared = k->heads.H / k->heads.K;
    struct head h = {0};
    for (size_t i = begin; i < end; i++) {
        size_t query_head = i % k->heads.H;
        if (i == begin || query_head % shared == 0)
            h = head_of(k, i / k->heads.H, query_head / shared, thread);
        forward_head(&h, query_head);
    }
}

void attention_bf16_forward(struct bf16 *b, struct mf_pool *pool, float *out, float *lse, const float *qkv,
                            const struct seqs *seqs, struct heads heads) {
    struct attention k = {.b = b, .out = out, .lse = lse, .qkv = qkv, .seqs = seqs, .heads = heads};
    mf_pool_run(pool, seqs->count * heads.H, 1, forward_part, &k);
}

/* The probabilities again, and loaded; then dS = P * (dP - rowsum(dO * O)), and loaded. */
static void load_probabilities(const struct head *h, size_t query_head, size_t i, size_t keys) {
    const struct attention *k = h->k;
    for (size_t r = 0; r < ROWS; r++) {
        float *p = h->scores + r * keys;
        vector_exp(p, p, -k->lse[(h->first + i + r) * k->heads.H + query_head], i + r + 1);
        memset(p + i + r + 1, 0, (keys - i - r - 1) * sizeof *p);
    }
    bf16_load(h->kernels, h->mixing, h->scores, keys, ROWS, keys);
}

static void load_gradients(const struct head *h, const float *dout, const float *out, size_t i, size_t keys) {
    size_t D = h->k->heads.H * h->d;
    for (size_t r = 0; r < ROWS; r++) {
        const float *p = h->scores + r * keys;
        float *dp = h->dscores + r * keys, delta = (float)vector_dot(dout + r * D, out + r * D, h->d);
        for (size_t j = 0; j < i + r + 1; j++) dp[j] = p[j] * (dp[j] - delta);
        memset(dp + i + r + 1, 0, (keys - i - r - 1) * sizeof *dp);
    }
    bf16_load(h->kernels, h->mixing, h->dscores, keys, ROWS, keys);
}

/* As attention.c's, with queries times 1/sqrt d: dK += dS^T Q; dQ = dS K / sqrt d. */
static void backward_head(const struct head *h, size_t query_head, float *dkeys, float *dvalues) {
    const struct attention *k = h->k;
    size_t d = h->d, D = k->heads.H * d, ld = heads_columns(k->heads);
    for (size_t i = 0; i < h->n; i += ROWS) {
        size_t keys = keys_of(h, i), at = (h->first + i) * D + query_head * d;
        const struct bf16_shape turned = {
            .M = ROWS, .N = keys, .K = d, .ld_b = d, .ld_c = keys, .turn_b = true};
        float *dq = k->dqkv + (h->first + i) * ld + query_head * d;
        make_scores(h, query_head, i, keys);
        load_probabilities(h, query_head, i, keys);
        bf16_load(h->kernels, h->gradients, k->dout + at, D, ROWS, d);
        scatter(h, dvalues, ld, h->gradients, keys);
        bf16_multiply(h->kernels, &turned, h->dscores, h->gradients, h->values, h->thread);
        load_gradients(h, k->dout + at, k->out + at, i, keys);
        gather(h, dq, ld, h->keys, keys);
        for (size_t r = 0; r < ROWS; r++) vector_scale(dq + r * ld, 1 / sqrtf((float)d), d);
        scatter(h, dkeys, ld, h->queries, keys);
    }
}

/* A key head, and the query heads that share it, one after the other. */
static void backward_part(void *context, size_t begin, size_t end, int thread) {
    const struct attention *k = context;
    const struct heads heads = k->heads;
    size_t ld = heads_columns(heads), shared = heads.H / heads.K, d = heads.d;
    for (size_t i = begin; i < end; i++) {
        size_t key_head = i % heads.K;
        const struct head h = head_of(k, i / heads.K, key_head, thread);
        float *dkeys = k->dqkv + h.first * ld + (heads.H + key_head) * d, *dvalues = dkeys + heads.K * d;
        for (size_t n = 0; n < h.n; n++) {
            memset(dkeys + n * ld, 0, d * sizeof *dkeys);
            memset(dvalues + n * ld, 0, d * sizeof *dvalues);
        }
        for (size_t q = key_head * shared; q < (key_head + 1) * shared; q++)
            backward_head(&h, q, dkeys, dvalues);
    }
}

void attention_bf16_backward(struct bf16 *b, struct mf_pool *pool, float *dqkv, const float *dout,
                             const float *qkv, const float *out, const float *lse, const struct seqs *seqs,
                             struct heads heads) {
    struct attention k = {.b = b,
                          .out = (float *)(uintptr_t)out,
                          .lse = (float *)(uintptr_t)lse,
                          .dqkv = dqkv,
                          .qkv = qkv,
                          .dout = dout,
                          .seqs = seqs,
                          .heads = heads};
    mf_pool_run(pool, seqs->count * heads.K, 1, backward_part, &k);
}
