/* Attention in blocks of query rows: the products by OpenBLAS, the softmax between them here. */
#include "nn/attention.h"

#include <cblas.h>
#include <math.h>
#include "nn/vector.h"

#define ROWS ((size_t)64) /* query rows in a block */

/* A thread's scratch: probabilities and their gradients, [ROWS,S] each. */
static size_t scratch_of_thread(size_t S) {
    return 2 * ROWS * S;
}

size_t attention_scratch(int n_threads, size_t S, size_t d_head) {
    (void)d_head;
    return (size_t)n_threads * scratch_of_thread(S);
}

struct attention {
    float *out, *lse, *dqkv;
    const float *qkv, *dout;
    const struct seqs *seqs;
    struct heads heads;
    size_t S;
    float *scratch;
};

static size_t longest(const struct seqs *seqs) {
    size_t S = 0;
    for (size_t i = 0; i < seqs->count; i++)
        if (seqs->start[i + 1] - seqs->start[i] > S) S = seqs->start[i + 1] - seqs->start[i];
    return S;
}

/* scores [rows,keys] = a b^T * scale, with row strides lda and ldb */
static void scores_of(float *scores, const float *a, const float *b, size_t rows, size_t keys, size_t d,
                      size_t lda, size_t ldb, float scale) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)keys, (int)d, scale, a, (int)lda, b,
                (int)ldb, 0, scores, (int)keys);
}

static void forward_pair(const struct attention *k, size_t seq, size_t h, float *scratch) {
    size_t first = k->seqs->start[seq], n = k->seqs->start[seq + 1] - first;
    size_t H = k->heads.H, K = k->heads.K, d = k->heads.d, D = H * d, ld = heads_columns(k->heads);
    const float *q = k->qkv + first * ld + h * d;
    const float *key = k->qkv + first * ld + (H + h / (H / K)) * d, *value = key + K * d;
    float *out = k->out + first * D + h * d, scale = 1 / sqrtf((float)d);
    for (size_t i = 0; i < n; i += ROWS) {
        size_t rows = n - i < ROWS ? n - i : ROWS, keys = i + rows;
        scores_of(scratch, q + i * ld, key, rows, keys, d, ld, ld, scale);
        for (size_t r = 0; r < rows; r++) {
            float *p = scratch + r * keys;
            size_t seen = i + r + 1;
            float maximum = vector_max(p, seen);
            double sum = vector_exp(p, p, -maximum, seen);
            vector_scale(p, (float)(1 / sum), seen);
            for (size_t j = seen; j < keys; j++) p[j] = 0;
            if (k->lse) k->lse[(first + i + r) * H + h] = maximum + (float)log(sum);
        }
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)d, (int)keys, 1, scratch,
                    (int)keys, value, (int)ld, 0, out + i * D, (int)D);
    }
}

static void forward_part(void *context, size_t begin, size_t end, int thread) {
    const struct attention *k = context;
    size_t H = k->heads.H;
    for (size_t i = begin; i < end; i++)
        forward_pair(k, i / H, i % H, k->scratch + (size_t)thread * scratch_of_thread(k->S));
}

void attention_forward(struct mf_pool *pool, float *out, float *lse, const float *qkv,
                       const struct seqs *seqs, struct heads heads, float *scratch) {
    struct attention k = {
        .out = out, .lse = lse, .qkv = qkv, .seqs = seqs, .heads = heads, .scratch = scratch};
    k.S = longest(seqs);
    mf_pool_run(pool, seqs->count * heads.H, 1, forward_part, &k);
}

/* Adds to dK and dV what query head h gives. Per block, with P the probabilities and O = P V:
 *   dV += P^T dO;  dP = dO V^T;  dS = P * (dP - rowsum(dO * O));  dQ = dS K / sqrt d;  dK += dS^T Q / sqrt d
 */
static void backward_head(const struct attention *k, size_t seq, size_t h, float *scratch) {
    size_t first = k->seqs->start[seq], n = k->seqs->start[seq + 1] - first;
    size_t H = k->heads.H, K = k->heads.K, d = k->heads.d, D = H * d, ld = heads_columns(k->heads);
    size_t at = first * ld + h * d, key_at = first * ld + (H + h / (H / K)) * d;
    const float *q = k->qkv + at, *key = k->qkv + key_at, *value = key + K * d;
    float *dq = k->dqkv + at, *dkey = k->dqkv + key_at, *dvalue = dkey + K * d;
    const float *out = k->out + first * D + h * d, *dout = k->dout + first * D + h * d;
    float scale = 1 / sqrtf((float)d);
    for (size_t i = 0; i < n; i += ROWS) {
        size_t rows = n - i < ROWS ? n - i : ROWS, keys = i + rows;
        float *p = scratch, *dp = scratch + ROWS * k->S;
        scores_of(p, q + i * ld, key, rows, keys, d, ld, ld, scale);
        for (size_t r = 0; r < rows; r++) {
            size_t seen = i + r + 1;
            vector_exp(p + r * keys, p + r * keys, -k->lse[(first + i + r) * H + h], seen);
            for (size_t j = seen; j < keys; j++) p[r * keys + j] = 0;
        }
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)keys, (int)d, (int)rows, 1, p, (int)keys,
                    dout + i * D, (int)D, 1, dvalue, (int)ld);
        scores_of(dp, dout + i * D, value, rows, keys, d, D, ld, 1);
        for (size_t r = 0; r < rows; r++) {
            float delta = (float)vector_dot(dout + (i + r) * D, out + (i + r) * D, d);
            float *pr = p + r * keys, *dpr = dp + r * keys;
            for (size_t j = 0; j < keys; j++) dpr[j] = pr[j] * (dpr[j] - delta);
        }
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)d, (int)keys, scale, dp,
                    (int)keys, key, (int)ld, 0, dq + i * ld, (int)ld);
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)keys, (int)d, (int)rows, scale, dp,
                    (int)keys, q + i * ld, (int)ld, 1, dkey, (int)ld);
    }
}

/* A key head, and the query heads that share it, one after the other. */
static void backward_pair(const struct attention *k, size_t seq, size_t key_head, float *scratch) {
    size_t first = k->seqs->start[seq], end = k->seqs->start[seq + 1];
    size_t H = k->heads.H, K = k->heads.K, d = k->heads.d, ld = heads_columns(k->heads), shared = H / K;
    for (size_t i = first; i < end; i++) {
        float *dkey = k->dqkv + i * ld + (H + key_head) * d, *dvalue = dkey + K * d;
        for (size_t j = 0; j < d; j++) dkey[j] = dvalue[j] = 0;
    }
    for (size_t h = key_head * shared; h < (key_head + 1) * shared; h++) backward_head(k, seq, h, scratch);
}

static void backward_part(void *context, size_t begin, size_t end, int thread) {
    const struct attention *k = context;
    size_t K = k->heads.K;
    for (size_t i = begin; i < end; i++)
        backward_pair(k, i / K, i % K, k->scratch + (size_t)thread * scratch_of_thread(k->S));
}

void attention_backward(struct mf_pool *pool, float *dqkv, const float *dout, const float *qkv,
                        const float *out, const float *lse, const struct seqs *seqs, struct heads heads,
                        float *scratch) {
    struct attention k = {.out = (float *)(uintptr_t)out,
                          .lse = (float *)(uintptr_t)lse,
                          .dqkv = dqkv,
                          .qkv = qkv,
                          .dout = dout,
                          .seqs = seqs,
                          .heads = heads,
                          .scratch = scratch};
    k.S = longest(seqs);
    mf_pool_run(pool, seqs->count * heads.K, 1, backward_part, &k);
}

struct step {
    float *out, *scratch;
    const float *q, *keys, *values;
    size_t n, S;
    struct heads heads;
};

static void step_part(void *context, size_t begin, size_t end, int thread) {
    const struct step *k = context;
    size_t d = k->heads.d, shared = k->heads.H / k->heads.K;
    (void)thread;
    for (size_t h = begin; h < end; h++) {
        float *p = k->scratch + h * k->n, scale = 1 / sqrtf((float)d);
        size_t cached = h / shared * k->S * d;
        cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)k->n, (int)d, scale, k->keys + cached, (int)d,
                    k->q + h * d, 1, 0, p, 1);
        softmax(p, k->n);
        cblas_sgemv(CblasRowMajor, CblasTrans, (int)k->n, (int)d, 1, k->values + cached, (int)d, p, 1, 0,
                    k->out + h * d, 1);
    }
}

void attention_step(struct mf_pool *pool, float *out, const float *q, const float *keys, const float *values,
                    size_t n, size_t S, struct heads heads, float *scratch) {
    struct step k = {out, scratch, q, keys, values, n, S, heads};
    mf_pool_share(pool, heads.H, 1, step_part, &k);
}
