/* Products with the two thin matrices. */
#include "nn/low_rank.h"

#include "nn/vector.h"

/* u [N,R] = scale x a^T */
static void inside(struct products how, float *u, const float *x, size_t ld_x, const struct low_rank *w,
                   size_t N) {
    matmul_forward_block(how, u, w->R, x, ld_x, w->a, w->ld_a, N, w->R, w->I, 0);
    vector_scale(u, w->scale, N * w->R);
}

void low_rank_backward_inside(struct products how, float *du, const float *dy, size_t ld_dy,
                              const struct low_rank *w, size_t N) {
    matmul_backward_input_block(how, du, w->R, dy, ld_dy, w->b, w->R, N, w->O, w->R, 0);
    vector_scale(du, w->scale, N * w->R);
}

void low_rank_forward(struct products how, float *y, size_t ld_y, const float *x, size_t ld_x,
                      const struct low_rank *w, size_t N, float *u) {
    inside(how, u, x, ld_x, w, N);
    matmul_forward_block(how, y, ld_y, u, w->R, w->b, w->R, N, w->O, w->R, 1);
}

void low_rank_backward_input(struct products how, float *dx, size_t ld_dx, const float *du,
                             const struct low_rank *w, size_t N) {
    matmul_backward_input_block(how, dx, ld_dx, du, w->R, w->a, w->ld_a, N, w->R, w->I, 1);
}

void low_rank_backward_weight(struct products how, float *da, float *db, const float *dy, size_t ld_dy,
                              const float *x, size_t ld_x, const float *du, const struct low_rank *w,
                              size_t N, float *u) {
    inside(how, u, x, ld_x, w, N);
    matmul_backward_weight_block(how, db, w->R, dy, ld_dy, u, w->R, N, w->O, w->R);
    matmul_backward_weight_block(how, da, w->ld_a, du, w->R, x, ld_x, N, w->R, w->I);
}

void low_rank_add(float *w, size_t first, size_t count, const struct low_rank *change) {
    size_t I = change->I, R = change->R;
    for (size_t done = 0, n; done < count; done += n) {
        size_t o = (first + done) / I, i = (first + done) % I;
        n = I - i < count - done ? I - i : count - done;
        for (size_t r = 0; r < R; r++)
            vector_add(w + done, change->a + r * change->ld_a + i, change->scale * change->b[o * R + r], n);
    }
}
