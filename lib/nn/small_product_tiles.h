/* The tiles of small_product.c, included once for each kind of processor (so without a guard), after
 *   NAME, TARGET    the function to define, and its attribute
 *   LANES           floats of a register
 *   ROWS, VECTORS   of a tile: rows, and registers of columns */

#define JOINED_(a, b) a##b
#define JOINED(a, b)  JOINED_(a, b)
#define LANE          JOINED(NAME, _lanes)

typedef float LANE __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* `vectors` is a constant where this is inlined, so that `sum` is registers. */
TARGET MF_INLINE void JOINED(NAME, _one)(const struct small_product *p, size_t m, size_t n,
                                         const size_t vectors) {
    LANE sum[ROWS][VECTORS];
    const float *a = p->a + m * p->step_m, *b = p->b + n;
    float *c = p->c + m * p->ld_c + n;
    MF_UNROLL for (size_t i = 0; i < ROWS; i++) {
        MF_UNROLL for (size_t j = 0; j < vectors; j++) {
            sum[i][j] = p->adds ? *(const LANE *)(c + i * p->ld_c + j * LANES) : (LANE){0};
        }
    }
    for (size_t k = 0; k < p->K; k++, a += p->step_k, b += p->ld_b)
        MF_UNROLL for (size_t i = 0; i < ROWS; i++) {
            MF_UNROLL for (size_t j = 0; j < vectors; j++) {
                sum[i][j] += a[i * p->step_m] * *(const LANE *)(b + j * LANES);
            }
        }
    MF_UNROLL for (size_t i = 0; i < ROWS; i++) {
        MF_UNROLL for (size_t j = 0; j < vectors; j++) * (LANE *)(c + i * p->ld_c + j * LANES) = sum[i][j];
    }
}

TARGET static void NAME(const struct small_product *p) {
    size_t wide = p->N - p->N % (VECTORS * LANES);
    for (size_t n = 0; n < wide; n += VECTORS * LANES)
        for (size_t m = 0; m < p->M; m += ROWS) JOINED(NAME, _one)(p, m, n, VECTORS);
    for (size_t n = wide; n < p->N; n += LANES)
        for (size_t m = 0; m < p->M; m += ROWS) JOINED(NAME, _one)(p, m, n, 1);
}

#undef JOINED_
#undef JOINED
#undef LANE
#undef NAME
#undef TARGET
#undef LANES
#undef ROWS
#undef VECTORS
