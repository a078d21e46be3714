/* How much of a step goes through the model at once, and what memory that takes. */
#include "base/memory.h"
#include "config/config.h"
#include "train/trainer.h"

/* Rows that go through the model at once: enough to keep the products busy, few enough to keep memory small.
 * A micro-batch larger than this is cut, which changes nothing but the rounding. */
#define ROWS ((size_t)1024)

/* Without a limit given, activations that need more than this are made smaller if they can be: fewer rows at
 * once, and products made again instead of kept. */
#define ACTIVATIONS ((size_t)32 << 20)

#define WORKSPACE ((size_t)14 << 20) /* of program and libraries, OpenBLAS's buffers above all */

static void measure(struct mf_training *t, struct mf_lm_plan plan, int n_threads) {
    struct mf_train_memory *m = &t->memory;
    size_t windows = (size_t)(t->config->batch * t->config->accumulation);
    size_t backbone = mf_backbone_size(&t->shape), ffn = mf_ffn_size(&t->shape), R = t->low_rank.R;
    size_t n = R ? mf_changes_size(&t->shape, R) : (t->frozen ? 0 : backbone) + ffn; /* what learns */
    n += mf_head_size(&t->shape, t->head) + (t->attention ? mf_attention_size(&t->shape) : 0);
    size_t validation = t->validation ? (size_t)(t->config->batch * t->config->validate_batches) : 0;
    m->plan = plan;
    m->frozen = ((t->frozen ? backbone : 0) + (R || t->anchor ? ffn : 0)) *
                (plan.narrow ? sizeof(uint16_t) : sizeof(float));
    m->parameters = m->frozen + n * sizeof(float);
    m->gradients = n * sizeof(float);
    m->muon = (struct mf_muon_memory){0, 0};
    if (t->config->optimizer == MF_MUON) m->muon = mf_muon_memory(&t->shape, t->frozen, R, t->attention);
    m->optimizer = (2 * n - m->muon.matrices + m->muon.scratch) * sizeof(float);
    m->activations = mf_lm_memory(&t->shape, &m->plan, n_threads);
    m->workspace =
        WORKSPACE + (windows + validation) * t->shape.S * MF_WINDOW_ROW + mf_ranks_memory(t->ranks);
    if (plan.bf16) m->workspace += bf16_memory(n_threads);
    m->total = m->parameters + m->gradients + m->optimizer + m->activations + m->workspace;
}

/* The maximum of rows that a rank has in a step. */
static size_t rank_rows(const struct mf_training *t) {
    return (size_t)(t->config->batch * t->config->accumulation) * t->shape.S;
}

/* From the fastest way to the smallest: products made again, of all layers or under a limit of no more than
 * must be, fewer rows at once, and at last, under a limit, what is frozen in bf16, which it is from the start
 * where the backbone is, or where products round it. Leaves the first that fits, or the smallest. */
static bool find_plan(struct mf_training *t, size_t limit, int n_threads) {
    const struct mf_train_memory *m = &t->memory;
    size_t S = t->shape.S, L = t->shape.L, max = rank_rows(t) * (size_t)mf_ranks_count(t->ranks);
    if (max > ROWS) max = ROWS;
    if (max < S) max = S;
    int always = t->stored_bf16 || (t->bf16 && t->frozen), at_last = always || (limit && t->frozen);
    for (int narrow = always; narrow <= at_last; narrow++)
        for (size_t rows = max;; rows = rows / 2 > S ? rows / 2 : S) {
            for (size_t recompute = 0; recompute <= L; recompute += limit ? 1 : L) {
                measure(t,
                        (struct mf_lm_plan){rows, t->frozen, recompute, narrow, t->pad, t->low_rank,
                                            t->anchor, t->head, t->attention, t->bf16},
                        n_threads);
                if (limit ? m->total <= limit : m->activations <= ACTIVATIONS) return true;
            }
            if (rows == S) break;
        }
    return false;
}

int mf_train_plan(struct mf_training *t, size_t limit, int n_threads, struct mf_err *err) {
    struct mf_train_memory *m = &t->memory;
    bool found = find_plan(t, limit, n_threads);
    m->cut_rows = m->plan.max_rows;
    if (m->plan.max_rows > rank_rows(t)) {
        m->plan.max_rows = rank_rows(t);
        measure(t, m->plan, n_threads);
    }
    if (!found && limit) return mf_memory_refuse("the training", m->total, limit, err);
    return 0;
}
