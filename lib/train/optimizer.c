/* One pass over parameters, gradients and moments a step. */
#include "train/optimizer.h"

#include <math.h>
#include <string.h>
#include "base/simd.h"
#include "nn/vector.h"

#define PI    3.14159265358979323846
#define DECAY 0.3 /* of the steps after the warmup, at the end of MF_WSD */

double mf_learning_rate(const struct mf_train_config *c, int64_t step) {
    if (step <= c->warmup) return c->lr * (double)step / (double)c->warmup;
    if (step >= c->steps) return c->min_lr;
    double done = (double)(step - c->warmup) / (double)(c->steps - c->warmup);
    double left = c->schedule == MF_WSD ? fmin(1, (1 - done) / DECAY) : 0.5 * (1 + cos(PI * done));
    return c->min_lr + (c->lr - c->min_lr) * left;
}

/* Sums of squares go in blocks of fixed size: the sum does not depend on the number of threads. */
#define BLOCK ((size_t)1 << 14)

struct norm_job {
    const float *gradient;
    size_t n;
    double sums[64];
    size_t block; /* of a thread's 64 consecutive parts */
};

static void sum_part(void *context, size_t begin, size_t end, int thread) {
    struct norm_job *j = context;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        size_t first = i * j->block, last = first + j->block < j->n ? first + j->block : j->n;
        double sum = 0;
        for (size_t at = first; at < last; at += BLOCK) {
            size_t count = last - at < BLOCK ? last - at : BLOCK;
            sum += vector_dot(j->gradient + at, j->gradient + at, count);
        }
        j->sums[i] = sum;
    }
}

double mf_gradient_norm(struct mf_pool *pool, const float *gradient, size_t n) {
    struct norm_job job = {.gradient = gradient, .n = n};
    job.block = (n + 63) / 64;
    mf_pool_run(pool, job.block ? (n + job.block - 1) / job.block : 0, 1, sum_part, &job);
    double sum = 0;
    for (size_t i = 0; i < 64; i++) sum += job.sums[i];
    return sqrt(sum);
}

static void clear_part(void *context, size_t begin, size_t end, int thread) {
    float *gradient = context;
    (void)thread;
    memset(gradient + begin, 0, (end - begin) * sizeof *gradient);
}

void mf_gradient_clear(struct mf_pool *pool, float *gradient, size_t n) {
    mf_pool_run(pool, n, BLOCK, clear_part, gradient);
}

double mf_clip_scale(double clip, double norm) {
    return clip > 0 && norm > clip ? clip / norm : 1;
}

struct adamw_job {
    float *x, *m, *v;
    const float *g;
    float keep, beta1, fresh1, beta2, fresh2, rate, root, eps, scale;
};

MF_CLONES static void adamw_range(const struct adamw_job *j, size_t begin, size_t end) {
    float *restrict x = j->x, *restrict m = j->m, *restrict v = j->v;
    const float *restrict g = j->g;
    for (size_t i = begin; i < end; i++) {
        float grad = g[i] * j->scale;
        m[i] = j->beta1 * m[i] + j->fresh1 * grad;
        v[i] = j->beta2 * v[i] + j->fresh2 * grad * grad;
        x[i] = j->keep * x[i] - j->rate * m[i] / (sqrtf(v[i]) * j->root + j->eps);
    }
}

static void adamw_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    adamw_range(context, begin, end);
}

void mf_adamw(struct mf_pool *pool, const struct mf_tensor *tensors, size_t count, const float *gradient,
              float *m, float *v, const struct mf_train_config *c, double lr, double scale, int64_t step) {
    double corrected1 = 1 - pow(c->beta1, (double)step), corrected2 = 1 - pow(c->beta2, (double)step);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        size_t n = mf_tensor_count(&tensors[i]);
        double decay = tensors[i].n_dims > 1 ? c->weight_decay : 0;
        struct adamw_job job = {.x = tensors[i].data,
                                .m = m + at,
                                .v = v + at,
                                .g = gradient + at,
                                .keep = (float)(1 - lr * decay),
                                .beta1 = (float)c->beta1,
                                .fresh1 = (float)(1 - c->beta1),
                                .beta2 = (float)c->beta2,
                                .fresh2 = (float)(1 - c->beta2),
                                .rate = (float)(lr / corrected1),
                                .root = (float)(1 / sqrt(corrected2)),
                                .eps = (float)c->eps,
                                .scale = (float)scale};
        mf_pool_run(pool, n, 16, adamw_part, &job);
        at += n;
    }
}
