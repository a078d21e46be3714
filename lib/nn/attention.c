/* Attention in blocks of query rows against blocks of keys: a block's scores stay in the cache from the
 * product that makes them to those that take them. */
#include "nn/attention.h"

#include <cblas.h>
#include <math.h>
#include <string.h>
#include "base/simd.h"
#include "nn/exp.h"
#include "nn/small_product.h"
#include "nn/vector.h"

MF_FUSED

/* A block of scores is [KEYS,QUERIES]: a query is a lane, and what is done to its row is done in all lanes at
 * once. */
#define QUERIES ((size_t)32)
#define KEYS    ((size_t)64)

/* A thread's scratch. Rows of a head are packed and padded by zeros, to `wide` columns and to whole blocks,
 * so that products have no rest. */
struct scratch {
    float *key, *value, *dkey, *dvalue; /* [S,wide] */
    float *q, *dout, *result;           /* [QUERIES,wide]; result: of out, or of dq */
    float *q_columns, *dout_columns;    /* [wide,QUERIES] */
    float *scores, *dscores;            /* [KEYS,QUERIES] */
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
    size_t S = round_up(longest, KEYS), wide = round_up(d, SMALL_COLUMNS), used = 0;
    float **const by_key[] = {&s->key, &s->value, &s->dkey, &s->dvalue};
    float **const by_query[] = {&s->q, &s->dout, &s->result, &s->q_columns, &s->dout_columns};
    for (size_t i = 0; i < 4; i++) *by_key[i] = take(base, &used, S * wide);
    for (size_t i = 0; i < 5; i++) *by_query[i] = take(base, &used, QUERIES * wide);
    s->scores = take(base, &used, KEYS * QUERIES);
    s->dscores = take(base, &used, KEYS * QUERIES);
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

/* --- packing --- */

/* to [padded,wide] = scale * the first rows and d columns of `from`, then zeros. */
static void pack_rows(float *to, size_t wide, size_t padded, const float *from, size_t ld, size_t rows,
                      size_t d, float scale) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < d; c++) to[r * wide + c] = scale * from[r * ld + c];
        for (size_t c = d; c < wide; c++) to[r * wide + c] = 0;
    }
    memset(to + rows * wide, 0, (padded - rows) * wide * sizeof *to);
}

/* to [d,QUERIES] = the transposed rows of a block. */
MF_CLONES static void pack_columns(float *to, const float *rows, size_t wide, size_t d) {
    for (size_t c = 0; c < d; c++)
        for (size_t r = 0; r < QUERIES; r++) to[c * QUERIES + r] = rows[r * wide + c];
}

static void pack_keys(const struct attention *k, const struct scratch *s, size_t seq, size_t key_head) {
    size_t first = k->seqs->start[seq], n = k->seqs->start[seq + 1] - first, d = k->heads.d;
    size_t ld = heads_columns(k->heads), padded = round_up(n, KEYS);
    const float *key = k->qkv + first * ld + (k->heads.H + key_head) * d;
    pack_rows(s->key, s->wide, padded, key, ld, n, d, 1);
    pack_rows(s->value, s->wide, padded, key + k->heads.K * d, ld, n, d, 1);
}

/* --- a block of keys against a block of queries --- */

/* scores [keys,QUERIES] = rows columns, of rows [keys,wide] and columns [d,QUERIES] */
static void scores_of(float *scores, const float *rows, const float *columns, size_t keys, size_t wide,
                      size_t d) {
    small_product(&(struct small_product){.c = scores,
                                          .a = rows,
                                          .b = columns,
                                          .M = keys,
                                          .N = QUERIES,
                                          .K = d,
                                          .step_m = wide,
                                          .step_k = 1,
                                          .ld_b = QUERIES,
                                          .ld_c = QUERIES});
}

/* to [QUERIES,wide] = scores^T rows, or adds that */
static void to_queries(float *to, const float *scores, const float *rows, size_t keys, size_t wide,
                       bool adds) {
    small_product(&(struct small_product){.c = to,
                                          .a = scores,
                                          .b = rows,
                                          .M = QUERIES,
                                          .N = wide,
                                          .K = keys,
                                          .step_m = 1,
                                          .step_k = QUERIES,
                                          .ld_b = wide,
                                          .ld_c = wide,
                                          .adds = adds});
}

/* to [keys,wide] += scores rows, of rows [QUERIES,wide] */
static void to_keys(float *to, const float *scores, const float *rows, size_t keys, size_t wide) {
    small_product(&(struct small_product){.c = to,
                                          .a = scores,
                                          .b = rows,
                                          .M = keys,
                                          .N = wide,
                                          .K = QUERIES,
                                          .step_m = QUERIES,
                                          .step_k = 1,
                                          .ld_b = wide,
                                          .ld_c = wide,
                                          .adds = true});
}

/* Keys from `first` on, where the queries' own begin at key `i`: those behind a query get no weight. */
MF_CLONES static void mask(float *scores, size_t first, size_t keys, size_t i) {
    for (size_t a = first < i ? i - first : 0; a < keys; a++)
        for (size_t q = 0; q < QUERIES; q++)
            if (first + a > i + q) scores[a * QUERIES + q] = -INFINITY;
}

/* How many keys of the block from `first` on any of the queries sees. */
static size_t keys_seen(size_t first, size_t i) {
    return i + QUERIES - first < KEYS ? i + QUERIES - first : KEYS;
}

/* --- forward --- */

/* What is known of the rows of a block of queries after some blocks of keys. */
struct online {
    float maximum[QUERIES], shrink[QUERIES]; /* shrink: what the sums so far are worth beside a new maximum */
    double sum[QUERIES];
};

/* scores [keys,QUERIES] become exp(score - maximum). */
MF_CLONES static void softmax_block(struct online *o, float *scores, size_t keys) {
    float maximum[QUERIES], total[QUERIES] = {0};
    memcpy(maximum, o->maximum, sizeof maximum);
    for (const float *s = scores; s < scores + keys * QUERIES; s += 4 * QUERIES)
        for (size_t q = 0; q < QUERIES; q++) {
            float a = s[q] > s[q + QUERIES] ? s[q] : s[q + QUERIES];
            float b = s[q + 2 * QUERIES] > s[q + 3 * QUERIES] ? s[q + 2 * QUERIES] : s[q + 3 * QUERIES];
            a = a > b ? a : b;
            maximum[q] = a > maximum[q] ? a : maximum[q];
        }
    for (float *s = scores; s < scores + keys * QUERIES; s += 4 * QUERIES)
        for (size_t q = 0; q < QUERIES; q++) {
            float a = fast_exp(s[q] - maximum[q]), b = fast_exp(s[q + QUERIES] - maximum[q]);
            float c = fast_exp(s[q + 2 * QUERIES] - maximum[q]),
                  d = fast_exp(s[q + 3 * QUERIES] - maximum[q]);
            s[q] = a;
            s[q + QUERIES] = b;
            s[q + 2 * QUERIES] = c;
            s[q + 3 * QUERIES] = d;
            total[q] += (a + b) + (c + d);
        }
    for (size_t q = 0; q < QUERIES; q++) {
        o->shrink[q] = fast_exp(o->maximum[q] - maximum[q]);
        o->maximum[q] = maximum[q];
        o->sum[q] = o->sum[q] * (double)o->shrink[q] + (double)total[q];
    }
}

static void shrink_rows(float *rows, size_t wide, const float *shrink) {
    for (size_t r = 0; r < QUERIES; r++)
        if (shrink[r] != 1) vector_scale(rows + r * wide, shrink[r], wide);
}

/* Rows i to i+rows-1 of a sequence whose first row is `first`. */
static void forward_block(const struct attention *k, const struct scratch *s, size_t first, size_t h,
                          size_t i, size_t rows) {
    size_t d = k->heads.d, D = k->heads.H * d, ld = heads_columns(k->heads), wide = s->wide;
    struct online o = {.sum = {0}};
    float *out = k->out + (first + i) * D + h * d;
    for (size_t q = 0; q < QUERIES; q++) o.maximum[q] = -INFINITY;
    pack_rows(s->q, wide, QUERIES, k->qkv + (first + i) * ld + h * d, ld, rows, d, 1 / sqrtf((float)d));
    pack_columns(s->q_columns, s->q, wide, d);
    for (size_t j = 0; j < i + rows; j += KEYS) {
        size_t keys = keys_seen(j, i);
        scores_of(s->scores, s->key + j * wide, s->q_columns, keys, wide, d);
        if (j + keys > i) mask(s->scores, j, keys, i);
        softmax_block(&o, s->scores, keys);
        if (j > 0) shrink_rows(s->result, wide, o.shrink);
        to_queries(s->result, s->scores, s->value + j * wide, keys, wide, j > 0);
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
        for (size_t i = 0; i < n; i += QUERIES)
            forward_block(k, &s, first, h, i, n - i < QUERIES ? n - i : QUERIES);
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

/* scores, dscores [keys,QUERIES]: S and dP become P and dS. */
MF_CLONES static void softmax_backward(float *restrict scores, float *restrict dscores, const float *lse,
                                       const float *delta, size_t keys) {
    for (size_t a = 0; a < keys; a++, scores += QUERIES, dscores += QUERIES)
        for (size_t q = 0; q < QUERIES; q++) {
            scores[q] = fast_exp(scores[q] - lse[q]);
            dscores[q] = scores[q] * (dscores[q] - delta[q]);
        }
}

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
    for (size_t r = 0; r < QUERIES; r++) {
        const float *out = k->out + ((row + r) * H + h) * d, *dout = k->dout + ((row + r) * H + h) * d;
        lse[r] = r < rows ? k->lse[(row + r) * H + h] : 0;
        delta[r] = r < rows ? attention_dot(dout, out, d) : 0;
    }
}

static void pack_queries(const struct attention *k, const struct scratch *s, size_t row, size_t rows,
                         size_t h) {
    size_t d = k->heads.d, D = k->heads.H * d, ld = heads_columns(k->heads);
    pack_rows(s->q, s->wide, QUERIES, k->qkv + row * ld + h * d, ld, rows, d, 1 / sqrtf((float)d));
    pack_rows(s->dout, s->wide, QUERIES, k->dout + row * D + h * d, D, rows, d, 1);
    pack_columns(s->q_columns, s->q, s->wide, d);
    pack_columns(s->dout_columns, s->dout, s->wide, d);
}

static void backward_block(const struct attention *k, const struct scratch *s, size_t first, size_t h,
                           size_t i, size_t rows) {
    size_t d = k->heads.d, ld = heads_columns(k->heads), wide = s->wide;
    float lse[QUERIES], delta[QUERIES], scale = 1 / sqrtf((float)d);
    float *dq = k->dqkv + (first + i) * ld + h * d;
    pack_queries(k, s, first + i, rows, h);
    rows_known(k, lse, delta, first + i, rows, h);
    for (size_t j = 0; j < i + rows; j += KEYS) {
        size_t keys = keys_seen(j, i), at = j * wide;
        scores_of(s->scores, s->key + at, s->q_columns, keys, wide, d);
        scores_of(s->dscores, s->value + at, s->dout_columns, keys, wide, d);
        if (j + keys > i) mask(s->scores, j, keys, i);
        softmax_backward(s->scores, s->dscores, lse, delta, keys);
        to_keys(s->dvalue + at, s->scores, s->dout, keys, wide);
        to_keys(s->dkey + at, s->dscores, s->q, keys, wide);
        to_queries(s->result, s->dscores, s->key + at, keys, wide, j > 0);
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
    memset(s->dkey, 0, round_up(n, KEYS) * wide * sizeof *s->dkey);
    memset(s->dvalue, 0, round_up(n, KEYS) * wide * sizeof *s->dvalue);
    for (size_t h = key_head * shared; h < (key_head + 1) * shared; h++)
        for (size_t i = 0; i < n; i += QUERIES)
            backward_block(k, s, first, h, i, n - i < QUERIES ? n - i : QUERIES);
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

/* --- generation --- */

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
