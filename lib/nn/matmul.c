/* Products as single-threaded sgemm calls, one a thread. */
#include "nn/matmul.h"

#include <cblas.h>
#undef I /* of <complex.h>, which cblas.h includes; here it is a number of inputs */

struct product {
    float *c;
    const float *a, *b;
    size_t N, O, I, stride; /* stride: from row to row of the [N,O] side */
    float beta;
    int over_rows; /* the part is a range of rows of c, else of columns */
};

void matmul_setup(void) {
    openblas_set_num_threads(1);
}

/* Few rows leave threads idle or tiny products: then the other side is split. */
static int split_rows(struct mf_pool *pool, size_t rows, size_t other) {
    (void)pool;
    return rows >= other;
}

static void forward_part(void *context, size_t begin, size_t end, int thread) {
    const struct product *p = context;
    size_t n = end - begin;
    (void)thread;
    if (p->over_rows)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)p->O, (int)p->I, 1,
                    p->a + begin * p->I, (int)p->I, p->b, (int)p->I, p->beta, p->c + begin * p->stride,
                    (int)p->stride);
    else if (p->N == 1) /* generation: one row times the matrix */
        cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)n, (int)p->I, 1, p->b + begin * p->I, (int)p->I, p->a,
                    1, p->beta, p->c + begin, 1);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)p->N, (int)n, (int)p->I, 1, p->a, (int)p->I,
                    p->b + begin * p->I, (int)p->I, p->beta, p->c + begin, (int)p->stride);
}

static void forward(struct mf_pool *pool, float *y, size_t stride, const float *x, const float *w, size_t N,
                    size_t O, size_t I, float beta) {
    struct product p = {y, x, w, N, O, I, stride, beta, split_rows(pool, N, O)};
    mf_pool_run(pool, p.over_rows ? N : O, p.over_rows ? 1 : 16, forward_part, &p);
}

void matmul_forward(struct mf_pool *pool, float *y, const float *x, const float *w, size_t N, size_t O,
                    size_t I, float beta) {
    forward(pool, y, O, x, w, N, O, I, beta);
}

void matmul_forward_columns(struct mf_pool *pool, float *y, size_t stride, const float *x, const float *w,
                            size_t N, size_t O, size_t I) {
    forward(pool, y, stride, x, w, N, O, I, 0);
}

static void backward_input_part(void *context, size_t begin, size_t end, int thread) {
    const struct product *p = context;
    size_t n = end - begin;
    (void)thread;
    if (p->over_rows)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, (int)p->I, (int)p->O, 1,
                    p->a + begin * p->stride, (int)p->stride, p->b, (int)p->I, p->beta, p->c + begin * p->I,
                    (int)p->I);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)p->N, (int)n, (int)p->O, 1, p->a,
                    (int)p->stride, p->b + begin, (int)p->I, p->beta, p->c + begin, (int)p->I);
}

void matmul_backward_input_columns(struct mf_pool *pool, float *dx, const float *dy, size_t stride,
                                   const float *w, size_t N, size_t O, size_t I, float beta) {
    struct product p = {dx, dy, w, N, O, I, stride, beta, split_rows(pool, N, I)};
    mf_pool_run(pool, p.over_rows ? N : I, p.over_rows ? 1 : 16, backward_input_part, &p);
}

void matmul_backward_input(struct mf_pool *pool, float *dx, const float *dy, const float *w, size_t N,
                           size_t O, size_t I, float beta) {
    matmul_backward_input_columns(pool, dx, dy, O, w, N, O, I, beta);
}

static void backward_weight_part(void *context, size_t begin, size_t end, int thread) {
    const struct product *p = context;
    (void)thread;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)(end - begin), (int)p->I, (int)p->N, 1,
                p->a + begin, (int)p->O, p->b, (int)p->I, 1, p->c + begin * p->I, (int)p->I);
}

void matmul_backward_weight(struct mf_pool *pool, float *dw, const float *dy, const float *x, size_t N,
                            size_t O, size_t I) {
    struct product p = {dw, dy, x, N, O, I, O, 1, 1};
    mf_pool_run(pool, O, 8, backward_weight_part, &p);
}
