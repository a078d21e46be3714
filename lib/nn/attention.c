/* Attention in blocks of query rows against blocks of keys (nn/attention_block.h): a block's scores stay in
 * the cache from the product that makes them to those that take them. */
#include "nn/attention.h"

#include <math.h>
#include <stdint.h>
#include <string.h>
#include "base/simd.h"
#include "nn/attention_block.h"
#include "nn/small_product.h"

MF_FUSED

/* A thread's scratch. Rows of a head are packed and padded by zeros, to `wide` columns and to whole blocks,
 * so that products have no rest. */
struct scratch {
    float *key, *value, *dkey, *dvalue; /* [S,wide] */
    float *q, *dout, *result;           /* [ATTENTION_QUERIES,wide]; result: of out, or of dq */
    float *q_columns, *dout_columns;    /* [wide,ATTENTION_QUERIES] */
    float *scores, *dscores;            /* [ATTENTION_KEYS,ATTENTION_QUERIES] */
    size_t S, wide;
};

static size_t round_up(size_t n, size_t unit) {
    return (n + unit - 1) / unit * unit;
}

static float *take(float *base, size_t *used, size_t n) {
    size_t at = *used;
    *used += round_up(n, 16);
    return base ? base + at : NULL;
}

/* Divides `base`; returns how many floats that takes. */
static size_t divide_scratch(struct scratch *s, float *base, size_t longest, size_t d) {
    size_t S = round_up(longest, ATTENTION_KEYS), wide = round_up(d, SMALL_COLUMNS), used = 0;
    float **const by_key[] = {&s->key, &s->value, &s->dkey, &s->dvalue};
    float **const by_query[] = {&s->q, &s->dout, &s->result, &s->q_columns, &s->dout_columns};
    for (size_t i = 0; i < 4; i++) *by_key[i] = take(base, &used, S * wide);
    for (size_t i = 0; i < 5; i++) *by_query[i] = take(base, &used, ATTENTION_QUERIES * wide);
    s->scores = take(base, &used, ATTENTION_KEYS * ATTENTION_QUERIES);
    s->dscores = take(base, &used, ATTENTION_KEYS * ATTENTION_QUERIES);
    s->S = S;
    s->wide = wide;
    return used;
}

size_t attention_scratch(int n_threads, size_t S, size_t d_head) {
    struct scratch s;
    return (size_t)n_threads * divide_scratch(&s, NULL, S, d_head);
}

struct attention {
    float *out, *lse, *dqkv;
    const float *qkv, *dout;
    const struct seqs *seqs;
    struct heads heads;
    size_t longest;
    float *scratch;
};

static size_t longest(const struct seqs *seqs) {
    size_t S = 0;
    for (size_t i = 0; i < seqs->count; i++)
        if (seqs->start[i + 1] - seqs->start[i] > S) S = seqs->start[i + 1] - seqs->start[i];
    return S;
}

static struct scratch scratch_of(const struct attention *k, int thread) {
    struct scratch s;
    size_t n = divide_scratch(&s, NULL, k->longest, k->heads.d);
    divide_scratch(&s, k->scratch + (size_t)thread * n, k->longest, k->heads.d);
    return s;
}

static void pack_keys(const struct attention *k, const struct scratch *s, size_t seq, size_t key_head) {
    size_t first = k->seqs->start[seq], n = k->seqs->start[seq + 1] - first, d = k->heads.d;
    size_t ld = heads_columns(k->heads), padded = round_up(n, ATTENTION_KEYS);
    const float *key = k->qkv + first * ld + (k->heads.H + key_head) * d;
    attention_pack_rows(s->key, s->wide, padded, key, ld, n, d, 1);
    attention_pack_rows(s->value, s->wide, padded, key + k->heads.K * d, ld, n, d, 1);
}

/* --- forward --- */

/* Rows i to i+rows-1 of a sequence whose first row is `first`. */
static void forward_block(const struct attention *k, const struct scratch *s, size_t first, size_t h,
                          size_t i, size_t rows) {
    size_t d = k->heads.d, D = k->heads.H * d, ld = heads_columns(k->heads), wide = s->wide;
    struct attention_online o = {.sum = {0}};
    float *out = k->out + (first + i) * D + h * d;
    for (size_t q = 0; q < ATTENTION_QUERIES; q++) o.maximum[q] = -INFINITY;
    attention_pack_rows(s->q, wide, ATTENTION_QUERIES, k->qkv + (first + i) * ld + h * d, ld, rows, d,
                        1 / sqrtf((float)d));
    attention_pack_columns(s->q_columns, s->q, wide, d);
    for (size_t j = 0; j < i + rows; j += ATTENTION_KEYS) {
        size_t keys = attention_keys_seen(j, i);
        attention_scores(s->scores, s->key + j * wide, s->q_columns, keys, wide, d);
        if (j + keys > i) attention_mask(s->scores, j, keys, i);
        attention_softmax(&o, s->scores, keys);
        if (j > 0) attention_shrink_rows(s->result, wide, o.shrink);
        attention_to_queries(s->result, s->scores, s->value + j * wide, keys, wide, j > 0);
    }
    for (size_t r = 0; r < rows; r++) {
        float scale = (float)(1 / o.sum[r]);
        for (size_t c = 0; c < d; c++) out[r * D + c] = scale * s->result[r * wide + c];
        if (k->lse) k->lse[(first + i + r) * k->heads.H + h] = o.maximum[r] + (float)log(o.sum[r]);
    }
}

static void attention_part(void *context, size_t begin, size_t end, int thread) {
    const struct attention *k = context;
    struct scratch s = scratch_of(k, thread);
    size_t H = k->heads.H, shared = H / k->heads.K;
    for (size_t pair = begin; pair < end; pair++) {
        size_t seq = pair / H, h = pair % H, first = k->seqs->start[seq], n = k->seqs->start[seq + 1] - first;
        if (pair == begin || h % shared == 0) pack_keys(k, &s, seq, h / shared);
        for (size_t i = 0; i < n; i += ATTENTION_QUERIES)
            forward_block(k, &s, first, h, i, n - i < ATTENTION_QUERIES ? n - i : ATTENTION_QUERIES);
    }
}

void attention_forward(struct mf_pool *pool, float *out, float *lse, const float *qkv,
                       const struct seqs *seqs, struct heads heads, float *scratch) {
    struct attention k = {
        .out = out, .lse = lse, .qkv = qkv, .seqs = seqs, .heads = heads, .scratch = scratch};
    k.longest = longest(seqs);
    mf_pool_run(pool, seqs->count * heads.H, 1, attention_part, &k);
}

/* --- backward: with P the probabilities and O = P V, per block
 *   dV += P^T dO;  dP = dO V^T;  dS = P * (dP - rowsum(dO * O));  dQ = dS K / sqrt d;  dK += dS^T Q / sqrt d
 * where queries are packed as Q / sqrt d. */

MF_CLONES static float attention_dot(const float *x, const float *y, size_t d) {
    float lanes[16] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 16 <= d; i += 16)
        for (size_t j = 0; j < 16; j++) lanes[j] += x[i + j] * y[i + j];
    for (size_t j = 0; i + j < d; j++) lanes[j] += x[i + j] * y[i + j];
    for (size_t j = 0; j < 16; j++) sum += lanes[j];
    return sum;
}

/* lse and delta = rowsum(dO * O) of a block's queries; zeros where there are none. */
static void rows_known(const struct attention *k, float *lse, float *delta, size_t row, size_t rows,
                       size_t h) {
    size_t d = k->heads.d, H = k->heads.H;
    for (size_t r = 0; r < ATTENTION_QUERIES; r++) {
        const float *out = k->out + ((row + r) * H + h) * d, *dout = k->dout + ((row + r) * H + h) * d;
        lse[r] = r < rows ? k->lse[(row + r) * H + h] : 0;
        delta[r] = r < rows ? attention_dot(dout, out, d) : 0;
    }
}

static void pack_queries(const struct attention *k, const struct scratch *s, size_t row, size_t rows,
                         size_t h) {
    size_t d = k->heads.d, D = k->heads.H * d, ld = heads_columns(k->heads);
    attention_pack_rows(s->q, s->wide, ATTENTION_QUERIES, k->qkv + row * ld + h * d, ld, rows, d,
                        1 / sqrtf((float)d));
    attention_pack_rows(s->dout, s->wide, ATTENTION_QUERIES, k->dout + row * D + h * d, D, rows, d, 1);
    attention_pack_columns(s->q_columns, s->q, s->wide, d);
    attention_pack_columns(s->dout_columns, s->dout, s->wide, d);
}

static void backward_block(const struct attention *k, const struct scratch *s, size_t first, size_t h,
                           size_t i, size_t rows) {
    size_t d = k->heads.d, ld = heads_columns(k->heads), wide = s->wide;
    float lse[ATTENTION_QUERIES], delta[ATTENTION_QUERIES], scale = 1 / sqrtf((float)d);
    float *dq = k->dqkv + (first + i) * ld + h * d;
    pack_queries(k, s, first + i, rows, h);
    rows_known(k, lse, delta, first + i, rows, h);
    for (size_t j = 0; j < i + rows; j += ATTENTION_KEYS) {
        size_t keys = attention_keys_seen(j, i), at = j * wide;
        attention_scores(s->scores, s->key + at, s->q_columns, keys, wide, d);
        attention_scores(s->dscores, s->value + at, s->dout_columns, keys, wide, d);
        if (j + keys > i) attention_mask(s->scores, j, keys, i);
        attention_softmax_backward(s->scores, s->dscores, lse, delta, keys);
        attention_to_keys(s->dvalue + at, s->scores, s->dout, keys, wide);
        attention_to_keys(s->dkey + at, s->dscores, s->q, keys, wide);
        attention_to_queries(s->result, s->dscores, s->key + at, keys, wide, j > 0);
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < d; c++) dq[r * ld + c] = scale * s->result[r * wide + c];
}

/* A key head, and the query heads that share it, one after the other. */
static void backward_pair(const struct attention *k, const struct scratch *s, size_t seq, size_t key_head) {
    size_t first = k->seqs->start[seq], n = k->seqs->start[seq + 1] - first, ld = heads_columns(k->heads);
    size_t H = k->heads.H, K = k->heads.K, d = k->heads.d, wide = s->wide, shared = H / K;
    float *dkey = k->dqkv + first * ld + (H + key_head) * d, *dvalue = dkey + K * d;
    pack_keys(k, s, seq, key_head);
    memset(s->dkey, 0, round_up(n, ATTENTION_KEYS) * wide * sizeof *s->dkey);
    memset(s->dvalue, 0, round_up(n, ATTENTION_KEYS) * wide * sizeof *s->dvalue);
    for (size_t h = key_head * shared; h < (key_head + 1) * shared; h++)
        for (size_t i = 0; i < n; i += ATTENTION_QUERIES)
            backward_block(k, s, first, h, i, n - i < ATTENTION_QUERIES ? n - i : ATTENTION_QUERIES);
    for (size_t r = 0; r < n; r++) {
        memcpy(dkey + r * ld, s->dkey + r * wide, d * sizeof *dkey);
        memcpy(dvalue + r * ld, s->dvalue + r * wide, d * sizeof *dvalue);
    }
}

static void attention_backward_part(void *context, size_t begin, size_t end, int thread) {
    const struct attention *k = context;
    struct scratch s = scratch_of(k, thread);
    size_t K = k->heads.K;
    for (size_t i = begin; i < end; i++) backward_pair(k, &s, i / K, i % K);
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
    k.longest = longest(seqs);
    mf_pool_run(pool, seqs->count * heads.K, 1, attention_backward_part, &k);
}
