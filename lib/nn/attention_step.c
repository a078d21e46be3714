/* Attention of generation: a new row against the cache. */
#include "nn/attention.h"

#include <cblas.h>
#include <math.h>
#include "nn/vector.h"

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
