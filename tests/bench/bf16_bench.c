/* What oneDNN's product of bf16 matrices with fp32 sums reaches by itself: bf16_bench THREADS prints GFLOP/s,
 * the median of some seconds, and oneDNN's name of what computed it; or "none" where the processor has no
 * bf16 units (AVX512-BF16, AMX).
 *
 * y = x w^T, all 2048 x 2048 and row by row in memory, so that nothing is packed before. As in our pool each
 * thread computes its rows of y by a product of its own, and oneDNN starts no threads. */
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/pool.h"
#include "base/strings.h"

enum { N = 2048, TIMES = 200, THREADS = 64 };

void omp_set_num_threads(int); /* clang has no omp.h of its own */

struct product {
    uint16_t *x, *w;
    float *y;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct {
        dnnl_primitive_t matmul;
        dnnl_exec_arg_t arguments[3];
    } of[THREADS]; /* the rows of one thread each */
    char name[64];
    dnnl_status_t status[THREADS];
};

static dnnl_status_t describe(dnnl_memory_desc_t *m, size_t rows, size_t columns, size_t row, size_t column,
                              dnnl_data_type_t type) {
    dnnl_dims_t sizes = {(dnnl_dim_t)rows, (dnnl_dim_t)columns},
                strides = {(dnnl_dim_t)row, (dnnl_dim_t)column};
    return dnnl_memory_desc_init_by_strides(m, 2, sizes, type, strides);
}

/* The product of the rows [begin, end) of x. */
static dnnl_status_t make(struct product *p, size_t begin, size_t end, int thread) {
    dnnl_memory_desc_t x, w, y;
    dnnl_matmul_desc_t d;
    dnnl_primitive_desc_t chosen;
    const char *name;
    dnnl_exec_arg_t *a = p->of[thread].arguments;
    a[0].arg = DNNL_ARG_SRC;
    a[1].arg = DNNL_ARG_WEIGHTS;
    a[2].arg = DNNL_ARG_DST;
    dnnl_status_t s = describe(&x, end - begin, N, N, 1, dnnl_bf16);
    if (!s) s = describe(&w, N, N, 1, N, dnnl_bf16);
    if (!s) s = describe(&y, end - begin, N, N, 1, dnnl_f32);
    if (!s) s = dnnl_matmul_desc_init(&d, &x, &w, NULL, &y);
    if (!s) s = dnnl_primitive_desc_create(&chosen, &d, NULL, p->engine, NULL);
    if (s) return s;
    s = dnnl_primitive_desc_query(chosen, dnnl_query_impl_info_str, 0, &name);
    if (!s && thread == 0) snprintf(p->name, sizeof p->name, "%s", name);
    if (!s) s = dnnl_primitive_create(&p->of[thread].matmul, chosen);
    dnnl_primitive_desc_destroy(chosen);
    if (!s) s = dnnl_memory_create(&a[0].memory, &x, p->engine, p->x + begin * N);
    if (!s) s = dnnl_memory_create(&a[1].memory, &w, p->engine, p->w);
    if (!s) s = dnnl_memory_create(&a[2].memory, &y, p->engine, p->y + begin * N);
    return s;
}

static void multiply(void *context, size_t begin, size_t end, int thread) {
    struct product *p = context;
    dnnl_status_t s = 0;
    if (!p->of[thread].matmul) {
        omp_set_num_threads(1); /* a setting of the calling thread */
        s = make(p, begin, end, thread);
    }
    if (!s) s = dnnl_primitive_execute(p->of[thread].matmul, p->stream, 3, p->of[thread].arguments);
    p->status[thread] = s;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* GFLOP/s, or -1. The first time is left out: what computes a product is made then. */
static double measure(struct product *p, struct mf_pool *pool) {
    double speeds[TIMES];
    for (int k = -1; k < TIMES; k++) {
        double begin = mf_now();
        mf_pool_run(pool, N, 16, multiply, p);
        if (k >= 0) speeds[k] = 2e-9 * N * N * N / (mf_now() - begin);
        for (int thread = 0; thread < mf_pool_threads(pool); thread++)
            if (p->status[thread]) return -1;
    }
    qsort(speeds, TIMES, sizeof *speeds, by_value);
    return speeds[TIMES / 2];
}

int main(int argc, char **argv) {
    struct mf_err err;
    struct mf_pool *pool;
    int64_t threads;
    if (argc != 2 || mf_parse_int(argv[1], &threads) < 0 || threads < 1 || threads > THREADS)
        return EXIT_FAILURE;
    if ((dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) != dnnl_cpu_isa_avx512_core_bf16) {
        puts("none");
        return EXIT_SUCCESS;
    }
    if (mf_pool_new(&pool, (int)threads, &err) < 0) return EXIT_FAILURE;
    struct product p = {0};
    uint16_t *halves = malloc((2 * sizeof *p.x + sizeof *p.y) * N * N);
    if (!halves) return EXIT_FAILURE;
    for (size_t i = 0; i < 2 * (size_t)N * N; i++)
        halves[i] = (uint16_t)(0x3f80 + i % 7); /* 1 and a little more */
    p.x = halves;
    p.w = halves + (size_t)N * N;
    p.y = (float *)(void *)(halves + 2 * (size_t)N * N);
    double speed = -1;
    if (!dnnl_engine_create(&p.engine, dnnl_cpu, 0) && !dnnl_stream_create(&p.stream, p.engine, 0))
        speed = measure(&p, pool);
    if (speed > 0) printf("%.1f %s\n", speed, p.name);
    mf_pool_free(pool);
    free(halves);
    return speed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
