/* How fast memory can be read: bandwidth_bench THREADS prints GB/s, the median of some passes over 512 MB. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/clock.h"
#include "base/pool.h"
#include "base/simd.h"
#include "base/strings.h"

enum { TIMES = 15, LANES = 64, PIECE = 1 << 16 };
#define COUNT ((size_t)128 << 20)

struct pass {
    const float *data;
    float sums[256]; /* one a thread; kept so that the reads are not left out */
};

/* Sixty-four sums side by side: the adds keep up with any memory. */
MF_CLONES static void read_part(void *context, size_t begin, size_t end, int thread) {
    struct pass *p = context;
    float sums[LANES] = {0}, sum = 0;
    for (size_t i = begin; i + LANES <= end; i += LANES) {
        for (size_t j = 0; j < LANES; j += 16) __builtin_prefetch(p->data + i + j + 2048);
        for (size_t j = 0; j < LANES; j++) sums[j] += p->data[i + j];
    }
    for (size_t j = 0; j < LANES; j++) sum += sums[j];
    p->sums[thread] += sum;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    struct mf_err err;
    struct mf_pool *pool;
    struct pass p = {0};
    double speeds[TIMES];
    int64_t threads;
    if (argc != 2 || mf_parse_int(argv[1], &threads) < 0 || threads < 1 || threads > 256) return EXIT_FAILURE;
    float *data = aligned_alloc(2 << 20, COUNT * sizeof *data);
    if (!data || mf_pool_new(&pool, (int)threads, &err) < 0) return EXIT_FAILURE;
    madvise(data, COUNT * sizeof *data, MADV_HUGEPAGE); /* as the weights lie */
    memset(data, 0, COUNT * sizeof *data);              /* real pages */
    p.data = data;
    for (int k = 0; k < TIMES; k++) {
        double begin = mf_now();
        mf_pool_share(pool, COUNT, PIECE, read_part, &p);
        speeds[k] = 1e-9 * COUNT * sizeof *data / (mf_now() - begin);
    }
    qsort(speeds, TIMES, sizeof *speeds, by_value);
    printf("%.1f\n", speeds[TIMES / 2]);
    mf_pool_free(pool);
    free(data);
    return p.sums[0] == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
