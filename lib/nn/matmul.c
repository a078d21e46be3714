/* Products as single-threaded sgemm calls, one a thread; or in bf16. */
#include "nn/matmul.h"

#include <cblas.h>
#include "io/tensor.h"
#include "nn/vector.h"
#undef I /* of <complex.h>, which cblas.h includes; here it is a number of inputs */

/* c = a b + beta c, of one sort below. */
struct product {
    float *c;
    const float *a, *b;
    size_t ld_c, ld_a, ld_b;
    size_t N, O, I;
    float beta;
    int over_rows; /* the part is a range of rows of c, else of columns */
};

void matmul_setup(void) {
    openblas_set_num_threads(1);
}

/* y = x w^T + beta y */
static void rows_forward(float *y, size_t ld_y, const float *x, size_t ld_x, const float *w, size_t ld_w,
                         size_t N, size_t O, size_t I, float beta) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)N, (int)O, (int)I, 1, x, (int)ld_x, w,
                (int)ld_w, beta, y, (int)ld_y);
}

static void forward_part(void *context, size_t begin, size_t end, int thread) {
    const struct product *p = context;
    size_t n = end - begin;
    (void)thread;
    if (p->over_rows)
        rows_forward(p->c + begin * p->ld_c, p->ld_c, p->a + begin * p->ld_a, p->ld_a, p->b, p->ld_b, n, p->O,
                     p->I, p->beta);
    else if (p->N == 1) /* generation: one row times the matrix */
        vector_rows(p->c + begin, p->b + begin * p->ld_b, p->ld_b, p->a, n, p->I, p->beta);
    else
        rows_forward(p->c + begin, p->ld_c, p->a, p->ld_a, p->b + begin * p->ld_b, p->ld_b, p->N, n, p->I,
                     p->beta);
}

/* Weights that a thread takes at a time for a product with one row. */
#define CHUNK ((size_t)32 << 10)

/* Few rows would leave threads idle or products tiny: then the other side is split. */
void matmul_forward_block(struct products how, float *y, size_t ld_y, const float *x, size_t ld_x,
                          const float *w, size_t ld_w, size_t N, size_t O, size_t I, float beta) {
    struct product p = {y, x, w, ld_y, ld_x, ld_w, N, O, I, beta, N > 1 && N >= O};
    if (how.bf16 && bf16_takes(N, O, I, beta))
        bf16_forward(how.bf16, how.pool, y, ld_y, x, ld_x, (struct weight){w, NULL}, ld_w, N, O, I, beta);
    else if (N == 1)
        mf_pool_share(how.pool, O, I < CHUNK / 16 ? CHUNK / I : 16, forward_part, &p);
    else
        mf_pool_run(how.pool, p.over_rows ? N : O, p.over_rows ? 1 : 16, forward_part, &p);
}

void matmul_forward(struct products how, float *y, const float *x, const float *w, size_t N, size_t O,
                    size_t I, float beta) {
    matmul_forward_block(how, y, O, x, I, w, I, N, O, I, beta);
}

/* dx = dy w + beta dx */
static void rows_backward_input(float *dx, size_t ld_dx, const float *dy, size_t ld_dy, const float *w,
                                size_t ld_w, size_t N, size_t O, size_t I, float beta) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)N, (int)I, (int)O, 1, dy, (int)ld_dy, w,
                (int)ld_w, beta, dx, (int)ld_dx);
}

static void backward_input_part(void *context, size_t begin, size_t end, int thread) {
    const struct product *p = context;
    size_t n = end - begin;
    (void)thread;
    if (p->over_rows)
        rows_backward_input(p->c + begin * p->ld_c, p->ld_c, p->a + begin * p->ld_a, p->ld_a, p->b, p->ld_b,
                            n, p->O, p->I, p->beta);
    else
        rows_backward_input(p->c + begin, p->ld_c, p->a, p->ld_a, p->b + begin, p->ld_b, p->N, p->O, n,
                            p->beta);
}

void matmul_backward_input_block(struct products how, float *dx, size_t ld_dx, const float *dy, size_t ld_dy,
                                 const float *w, size_t ld_w, size_t N, size_t O, size_t I, float beta) {
    struct product p = {dx, dy, w, ld_dx, ld_dy, ld_w, N, O, I, beta, N >= I};
    if (how.bf16 && bf16_takes(N, O, I, beta))
        bf16_backward_input(how.bf16, how.pool, dx, ld_dx, dy, ld_dy, (struct weight){w, NULL}, ld_w, N, O, I,
                            beta);
    else
        mf_pool_run(how.pool, p.over_rows ? N : I, p.over_rows ? 1 : 16, backward_input_part, &p);
}

void matmul_backward_input(struct products how, float *dx, const float *dy, const float *w, size_t N,
                           size_t O, size_t I, float beta) {
    matmul_backward_input_block(how, dx, I, dy, O, w, I, N, O, I, beta);
}

static void backward_weight_part(void *context, size_t begin, size_t end, int thread) {
    const struct product *p = context;
    (void)thread;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)(end - begin), (int)p->I, (int)p->N, 1,
                p->a + begin, (int)p->ld_a, p->b, (int)p->ld_b, 1, p->c + begin * p->ld_c, (int)p->ld_c);
}

void matmul_backward_weight_block(struct products how, float *dw, size_t ld_dw, const float *dy, size_t ld_dy,
                                  const float *x, size_t ld_x, size_t N, size_t O, size_t I) {
    struct product p = {dw, dy, x, ld_dw, ld_dy, ld_x, N, O, I, 1, 1};
    if (how.bf16 && bf16_takes(N, O, I, 1))
        bf16_backward_weight(how.bf16, how.pool, dw, ld_dw, dy, ld_dy, x, ld_x, N, O, I);
    else
        mf_pool_run(how.pool, O, 8, backward_weight_part, &p);
}

void matmul_backward_weight(struct products how, float *dw, const float *dy, const float *x, size_t N,
                            size_t O, size_t I) {
    matmul_backward_weight_block(how, dw, I, dy, O, x, I, N, O, I);
}

/* --- weights as they are held --- */

struct widening {
    float *to;
    const uint16_t *from;
    size_t ld, I;
};

static void widen_part(void *context, size_t begin, size_t end, int thread) {
    const struct widening *w = context;
    (void)thread;
    for (size_t o = begin; o < end; o++) mf_bf16_widen(w->to + o * w->I, w->from + o * w->ld, w->I);
}

/* Rows of a weight in F32: as they are, or widened; the step from row to row is then in *ld. */
static const float *rows_of(struct products how, struct weight w, size_t *ld, size_t rows, size_t I) {
    struct widening widening = {how.widened, w.narrow, *ld, I};
    if (w.rows) return w.rows;
    mf_pool_run(how.pool, rows, 1, widen_part, &widening);
    *ld = I;
    return how.widened;
}

/* Does bf16.h take it as it is? */
static bool takes_narrow(struct products how, struct weight w, size_t O, size_t I) {
    return how.bf16 && w.narrow && bf16_holds(O) && bf16_holds(I);
}

static size_t rows_at_once(struct products how, size_t left, size_t I) {
    return how.block && how.block / I < left ? how.block / I : left;
}

void matmul_forward_weight(struct products how, float *y, size_t ld_y, const float *x, size_t ld_x,
                           struct weight w, size_t ld_w, size_t N, size_t O, size_t I, float beta) {
    if (takes_narrow(how, w, O, I)) {
        bf16_forward(how.bf16, how.pool, y, ld_y, x, ld_x, w, ld_w, N, O, I, beta);
        return;
    }
    for (size_t o = 0, rows; o < O; o += rows) {
        size_t ld = ld_w;
        rows = rows_at_once(how, O - o, I);
        const float *block = rows_of(how, weight_at(w, o * ld_w), &ld, rows, I);
        matmul_forward_block(how, y + o, ld_y, x, ld_x, block, ld, N, rows, I, beta);
    }
}

void matmul_backward_input_weight(struct products how, float *dx, size_t ld_dx, const float *dy, size_t ld_dy,
                                  struct weight w, size_t ld_w, size_t N, size_t O, size_t I, float beta) {
    if (takes_narrow(how, w, O, I)) {
        bf16_backward_input(how.bf16, how.pool, dx, ld_dx, dy, ld_dy, w, ld_w, N, O, I, beta);
        return;
    }
    for (size_t o = 0, rows; o < O; o += rows) {
        size_t ld = ld_w;
        rows = rows_at_once(how, O - o, I);
        const float *block = rows_of(how, weight_at(w, o * ld_w), &ld, rows, I);
        matmul_backward_input_block(how, dx, ld_dx, dy + o, ld_dy, block, ld, N, rows, I, o ? 1 : beta);
    }
}
