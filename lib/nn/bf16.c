/* Which blocks of a product are rounded and multiplied when. The weight, or a part of its rows, is rounded
 * once for all threads; then each thread takes rows of the other operand in turn. */
#include "nn/bf16_internal.h"

#include <stdlib.h>
#include "io/tensor.h"
#include "nn/onednn.h"

#define SHARED    ((size_t)2 << 20) /* numbers of the operand that all threads use, at most */
#define OWN       ((size_t)1 << 20) /* and of a thread's own */
#define MOST_ROWS ((size_t)1024)    /* in a block, and */
#define LEAST     ((size_t)32)
#define THIN      ((size_t)16)      /* shortest side of a weight, such as a factor of low rank */
#define INNER     ((size_t)2048)    /* longest sum of a kernel, where it can be divided */
#define KERNELS   ((size_t)3 << 20) /* bytes that a thread's kernels and their scratch take, and */
#define LIBRARY   ((size_t)5 << 20) /* oneDNN */

struct bf16 {
    struct bf16_kernels *kernels;
    char *shared;
    char **own; /* [n_threads] */
    int n_threads;
};

void bf16_free(struct bf16 *b) {
    if (!b) return;
    bf16_kernels_free(b->kernels);
    for (int t = 0; b->own && t < b->n_threads; t++) free(b->own[t]);
    free(b->own);
    free(b->shared);
    free(b);
}

int bf16_new(struct bf16 **out, int n_threads, struct mf_err *err) {
    struct bf16 *b = calloc(1, sizeof *b);
    if (!b) return mf_err_set(err, EX_OSERR, "out of memory");
    b->n_threads = n_threads;
    if (bf16_kernels_new(&b->kernels, n_threads, err) < 0) {
        bf16_free(b);
        return -1;
    }
    size_t number = bf16_number(b->kernels);
    b->shared = aligned_alloc(64, SHARED * number);
    b->own = calloc((size_t)n_threads, sizeof *b->own);
    bool whole = b->shared && b->own;
    for (int t = 0; whole && t < n_threads; t++)
        whole = (b->own[t] = aligned_alloc(64, OWN * number)) != NULL;
    if (!whole) {
        bf16_free(b);
        return mf_err_set(err, EX_OSERR, "out of memory for products in bf16");
    }
    *out = b;
    return 0;
}

size_t bf16_memory(int n_threads) {
    size_t number = onednn_useful() ? sizeof(uint16_t) : sizeof(float);
    return LIBRARY + SHARED * number + (size_t)n_threads * (OWN * number + KERNELS);
}

bool bf16_holds(size_t side) {
    return side <= OWN / LEAST;
}

bool bf16_takes(size_t N, size_t O, size_t I, float beta) {
    return N >= LEAST && O >= THIN && I >= THIN && bf16_holds(O) && bf16_holds(I) && (beta == 0 || beta == 1);
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* The rows of the next block: a power of two, LEAST or more, `most` at most; or those that are left. */
static size_t next_rows(size_t left, size_t most) {
    size_t rows = MOST_ROWS;
    while (rows > left || rows > most) rows /= 2;
    return rows >= LEAST ? rows : left;
}

struct bf16_kernels *bf16_kernels(const struct bf16 *b) {
    return b->kernels;
}

void *bf16_own(const struct bf16 *b, int thread) {
    return b->own[thread];
}

size_t bf16_own_bytes(const struct bf16 *b) {
    return OWN * bf16_number(b->kernels);
}

/* --- loading what is shared --- */

struct loading {
    const struct bf16 *b;
    const float *from;
    size_t ld, n;
};

static void load_part(void *context, size_t begin, size_t end, int thread) {
    const struct loading *l = context;
    (void)thread;
    bf16_load(l->b->kernels, l->b->shared + begin * l->n * bf16_number(l->b->kernels),
              l->from + begin * l->ld, l->ld, end - begin, l->n);
}

static void load_shared(const struct bf16 *b, struct mf_pool *pool, const float *from, size_t ld, size_t rows,
                        size_t n) {
    struct loading l = {b, from, ld, n};
    mf_pool_run(pool, rows, 1, load_part, &l);
}

/* --- through a weight: y = x w^T, dx = dy w --- */

/* c [N,columns] = a [N,inner] w, with loaded rows of the weight: as they are, or turned. */
struct through {
    struct bf16 *b;
    float *c;
    const float *a;
    const void *w;
    size_t ld_c, ld_a, ld_w, inner, columns;
    bool turn, add;
};

static void through_part(void *context, size_t begin, size_t end, int thread) {
    const struct through *t = context;
    struct bf16 *b = t->b;
    for (size_t n = begin, rows; n < end; n += rows) {
        rows = next_rows(end - n, OWN / t->inner);
        const struct bf16_shape shape = {.M = rows,
                                         .N = t->columns,
                                         .K = t->inner,
                                         .ld_b = t->ld_w,
                                         .ld_c = t->ld_c,
                                         .turn_b = t->turn,
                                         .add = t->add};
        bf16_load(b->kernels, b->own[thread], t->a + n * t->ld_a, t->ld_a, rows, t->inner);
        bf16_multiply(b->kernels, &shape, t->c + n * t->ld_c, b->own[thread], t->w, thread);
    }
}

/* Does a product take the weight as it is held? */
static bool as_held(const struct bf16 *b, struct weight w) {
    return w.narrow && bf16_number(b->kernels) == sizeof *w.narrow;
}

/* Rows of a weight, loaded if they have to be; the step from row to row is then in *ld. */
static const void *load_weight(const struct bf16 *b, struct mf_pool *pool, struct weight w, size_t *ld,
                               size_t rows, size_t I) {
    size_t ld_w = *ld;
    if (as_held(b, w)) return w.narrow;
    *ld = I;
    if (w.rows)
        load_shared(b, pool, w.rows, ld_w, rows, I);
    else
        for (size_t r = 0; r < rows; r++)
            mf_bf16_widen((float *)(void *)b->shared + r * I, w.narrow + r * ld_w, I);
    return b->shared;
}

/* All rows at once where none have to be loaded: oneDNN is fastest where none of its matrices has gaps. */
void bf16_forward(struct bf16 *b, struct mf_pool *pool, float *y, size_t ld_y, const float *x, size_t ld_x,
                  struct weight w, size_t ld_w, size_t N, size_t O, size_t I, float beta) {
    for (size_t o = 0, rows; o < O; o += rows) {
        rows = as_held(b, w) ? O : smaller(O - o, SHARED / I);
        struct through t = {b, y + o, x, NULL, ld_y, ld_x, ld_w, I, rows, true, beta != 0};
        t.w = load_weight(b, pool, weight_at(w, o * ld_w), &t.ld_w, rows, I);
        mf_pool_run(pool, N, LEAST, through_part, &t);
    }
}

void bf16_backward_input(struct bf16 *b, struct mf_pool *pool, float *dx, size_t ld_dx, const float *dy,
                         size_t ld_dy, struct weight w, size_t ld_w, size_t N, size_t O, size_t I,
                         float beta) {
    for (size_t o = 0, rows; o < O; o += rows) {
        rows = smaller(O - o, smaller(INNER, SHARED / I));
        struct through t = {b, dx, dy + o, NULL, ld_dx, ld_dy, ld_w, rows, I, false, beta != 0 || o > 0};
        t.w = load_weight(b, pool, weight_at(w, o * ld_w), &t.ld_w, rows, I);
        mf_pool_run(pool, N, LEAST, through_part, &t);
    }
}

/* --- the gradient of a weight: dw += dy^T x --- */

struct gradient {
    struct bf16 *b;
    float *dw;
    const float *dy;
    size_t ld_dw, ld_dy, rows, I; /* of x, which is loaded */
};

static void gradient_part(void *context, size_t begin, size_t end, int thread) {
    const struct gradient *g = context;
    struct bf16 *b = g->b;
    for (size_t o = begin, columns; o < end; o += columns) {
        columns = smaller(end - o, OWN / g->rows);
        const struct bf16_shape shape = {.M = columns,
                                         .N = g->I,
                                         .K = g->rows,
                                         .ld_b = g->I,
                                         .ld_c = g->ld_dw,
                                         .turn_a = true,
                                         .add = true};
        bf16_load(b->kernels, b->own[thread], g->dy + o, g->ld_dy, g->rows, columns);
        bf16_multiply(b->kernels, &shape, g->dw + o * g->ld_dw, b->own[thread], b->shared, thread);
    }
}

void bf16_backward_weight(struct bf16 *b, struct mf_pool *pool, float *dw, size_t ld_dw, const float *dy,
                          size_t ld_dy, const float *x, size_t ld_x, size_t N, size_t O, size_t I) {
    size_t rows;
    for (size_t n = 0; n < N; n += rows) {
        rows = next_rows(N - n, SHARED / I);
        struct gradient g = {b, dw, dy + n * ld_dy, ld_dw, ld_dy, rows, I};
        load_shared(b, pool, x + n * ld_x, ld_x, rows, I);
        mf_pool_run(pool, O, 16, gradient_part, &g);
    }
}
