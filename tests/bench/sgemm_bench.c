/* What OpenBLAS's sgemm reaches by itself: sgemm_bench THREADS prints GFLOP/s, the median of some seconds. */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/strings.h"

enum { N = 2048, TIMES = 60 };

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    int64_t threads;
    double speeds[TIMES];
    if (argc != 2 || mf_parse_int(argv[1], &threads) < 0 || threads < 1 || threads > 256) return EXIT_FAILURE;
    openblas_set_num_threads((int)threads);
    float *a = malloc(3 * sizeof *a * N * N);
    if (!a) return EXIT_FAILURE;
    float *b = a + (size_t)N * N, *c = b + (size_t)N * N;
    for (size_t i = 0; i < (size_t)N * N; i++) {
        a[i] = (float)(i % 7) - 3;
        b[i] = (float)(i % 5) - 2;
    }
    for (int k = 0; k < TIMES; k++) {
        double begin = mf_now();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, N, N, N, 1, a, N, b, N, 0, c, N);
        speeds[k] = 2e-9 * N * N * N / (mf_now() - begin);
    }
    qsort(speeds, TIMES, sizeof *speeds, by_value);
    printf("%.1f\n", speeds[TIMES / 2]);
    free(a);
    return EXIT_SUCCESS;
}
