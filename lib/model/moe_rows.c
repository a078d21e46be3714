/* The rows of one expert: which they are, and their way from all rows and back. */
#include <string.h>
#include "model/moe_internal.h"
#include "nn/vector.h"

#define EXPERT_ROWS ((size_t)512) /* rows that go through an expert together */

size_t moe_expert_rows(size_t max_rows) {
    return max_rows < EXPERT_ROWS ? max_rows : EXPERT_ROWS;
}

void moe_group(struct mf_moe_work *w, size_t begin, size_t slots, size_t E) {
    memset(w->first, 0, (E + 1) * sizeof *w->first);
    for (size_t i = begin; i < begin + slots; i++) w->first[w->experts[i] + 1]++;
    for (size_t e = 0; e < E; e++) w->first[e + 1] += w->first[e];
    for (size_t i = begin; i < begin + slots; i++) w->slots[w->first[w->experts[i]]++] = i;
    for (size_t e = E; e > 0; e--) w->first[e] = w->first[e - 1];
    w->first[0] = 0;
}

bool moe_next_slots(const struct mf_moe_work *w, size_t e, struct moe_slots *s) {
    const size_t *end = w->slots + w->first[e + 1];
    s->of = s->of ? s->of + s->n : w->slots + w->first[e];
    size_t left = (size_t)(end - s->of);
    s->n = left < s->most ? left : s->most;
    return s->n > 0;
}

struct job {
    const struct moe_slots *slots;
    float *to;
    const float *from, *weights, *bias;
    size_t columns;
};

static void gather(void *context, size_t begin, size_t end, int thread) {
    const struct job *j = context;
    const struct moe_slots *s = j->slots;
    size_t C = j->columns;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        memcpy(j->to + i * C, j->from + (s->of[i] / s->top_k - s->first) * C, C * sizeof *j->to);
}

void moe_gather(struct mf_pool *pool, const struct moe_slots *slots, float *to, const float *from,
                size_t columns) {
    struct job job = {slots, to, from, .columns = columns};
    mf_pool_run(pool, slots->n, 1, gather, &job);
}

/* An expert has a row at most once, so rows are independent. */
static void scatter(void *context, size_t begin, size_t end, int thread) {
    const struct job *j = context;
    const struct moe_slots *s = j->slots;
    size_t C = j->columns;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        float *to = j->to + (s->of[i] / s->top_k - s->first) * C;
        float weight = j->weights ? j->weights[s->of[i]] : 1;
        vector_add(to, j->from + i * C, weight, C);
        if (j->bias) vector_add(to, j->bias, weight, C);
    }
}

void moe_scatter(struct mf_pool *pool, const struct moe_slots *slots, float *to, const float *from,
                 size_t columns, const float *weights, const float *bias) {
    struct job job = {slots, to, from, weights, bias, columns};
    mf_pool_run(pool, slots->n, 1, scatter, &job);
}
