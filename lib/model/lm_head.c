/* The head: logits, their losses and the gradients, never with all logits in memory: chunks of the vocabulary
 * where only losses or the rows' gradients are asked for, blocks of rows where the head itself learns. */
#include <string.h>
#include "model/lm_internal.h"
#include "nn/matmul.h"

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

bool lm_own_head(const struct mf_lm *lm) {
    return lm->plan.head && mf_head_whole(&lm->shape, lm->plan.head);
}

/* What makes the logits: a matrix, and an expert's change of low rank to it. */
struct head {
    struct weight table;
    struct low_rank change; /* R 0: none */
};

static struct head head_of(const struct lm_pass *p) {
    const struct mf_lm *lm = p->lm;
    bool own = lm_own_head(lm);
    return (struct head){own ? (struct weight){p->w->head, NULL} : lm_table_of(p, true),
                         mf_head_change(&lm->shape, lm->plan.head, p->w->head)};
}

/* The head's rows of a chunk of the vocabulary, from v on, *P of them, `most` at most. */
static struct weight vocabulary_chunk(const struct lm_pass *p, struct weight head, size_t v, size_t most,
                                      size_t *P) {
    *P = smaller(p->lm->shape.V - v, most);
    return weight_at(head, v * p->lm->shape.D);
}

/* Adds to a chunk's logits, of tokens v to v+P-1, what the change makes of them. */
static void add_change(const struct lm_pass *p, const struct low_rank *whole, size_t v, size_t P) {
    struct mf_lm *lm = p->lm;
    struct low_rank part = *whole;
    if (!part.R) return;
    part.b += v * part.R;
    part.O = P;
    low_rank_forward(lm->products, lm->logits, P, lm->h, lm->shape.D, &part, p->N, lm->low);
}

/* Losses with the vocabulary in chunks, each of which meets all rows in one product. With gradients, y
 * becomes that of the normalised rows. */
static void head_in_chunks(const struct lm_pass *p, const struct head *head, float scale) {
    struct mf_lm *lm = p->lm;
    size_t N = p->N, D = lm->shape.D;
    const uint32_t *targets = p->batch->targets;
    for (size_t v = 0, P; v < lm->shape.V; v += P) {
        const struct weight w = vocabulary_chunk(p, head->table, v, lm->columns, &P);
        matmul_forward_weight(lm->products, lm->logits, P, lm->h, D, w, D, N, P, D, 0);
        add_change(p, &head->change, v, P);
        cross_entropy_chunk(lm->products.pool, &lm->softmax, lm->logits, targets, v, N, P,
                            p->grad ? lm->y : NULL, D);
        if (p->grad)
            matmul_backward_input_weight(lm->products, lm->y, D, lm->logits, P, w, D, N, P, D, v > 0);
    }
    cross_entropy_losses(&lm->softmax, lm->losses, targets, N);
    if (!p->grad) return;
    const float *table = lm_rows_table(p, lm->h, head->table, targets);
    cross_entropy_input(lm->products.pool, &lm->softmax, lm->y, targets, table,
                        lm->plan.narrow ? lm->own : targets, scale, N, D);
}

/* The head that learns: the backbone's, an expert's whole one, or the factors of its change. */
struct head_gradient {
    float *matrix; /* [V,D], or NULL: */
    float *a, *b;  /* [R,D], [V,R] */
};

static struct head_gradient head_gradient(const struct lm_pass *p) {
    const struct mf_lm *lm = p->lm;
    struct mf_backbone_ends g = mf_backbone_ends(&lm->shape, p->grad->backbone);
    if (!lm->plan.head) return (struct head_gradient){.matrix = g.head ? g.head : g.embedding};
    if (lm_own_head(lm)) return (struct head_gradient){.matrix = p->grad->head};
    return (struct head_gradient){NULL, p->grad->head, p->grad->head + lm->plan.head * lm->shape.D};
}

/* What a block of rows adds to the head's gradient, from the gradient of its logits; and y, that of its rows
 * h. */
static void head_backward(const struct lm_pass *p, const struct head *head, const struct head_gradient *g,
                          const float *h, float *y, size_t rows) {
    struct mf_lm *lm = p->lm;
    size_t D = lm->shape.D, V = lm->shape.V, most = head->table.rows ? V : lm->columns;
    if (g->matrix) matmul_backward_weight(lm->products, g->matrix, lm->logits, h, rows, V, D);
    for (size_t v = 0, P; v < V; v += P) {
        const struct weight w = vocabulary_chunk(p, head->table, v, most, &P);
        matmul_backward_input_weight(lm->products, y, D, lm->logits + v, V, w, D, rows, P, D, v > 0);
    }
    if (!head->change.R) return;
    float *du = lm->low + rows * head->change.R;
    low_rank_backward_inside(lm->products, du, lm->logits, V, &head->change, rows);
    low_rank_backward_weight(lm->products, g->a, g->b, lm->logits, V, h, D, du, &head->change, rows, lm->low);
    low_rank_backward_input(lm->products, y, D, du, &head->change, rows);
}

/* Losses and the gradients of rows and of the head, which need whole rows of logits: a block of rows at a
 * time. */
static void head_in_rows(const struct lm_pass *p, const struct head *head, float scale) {
    struct mf_lm *lm = p->lm;
    size_t N = p->N, D = lm->shape.D, V = lm->shape.V, most = head->table.rows ? V : lm->columns;
    const struct head_gradient g = head_gradient(p);
    for (size_t n = 0, rows; n < N; n += rows) {
        const float *h = lm->h + n * D;
        rows = smaller(N - n, lm->logits_rows);
        for (size_t v = 0, P; v < V; v += P) {
            const struct weight w = vocabulary_chunk(p, head->table, v, most, &P);
            matmul_forward_weight(lm->products, lm->logits + v, V, h, D, w, D, rows, P, D, 0);
        }
        if (head->change.R) low_rank_forward(lm->products, lm->logits, V, h, D, &head->change, rows, lm->low);
        cross_entropy_backward(lm->products.pool, lm->losses + n, lm->logits, p->batch->targets + n, scale,
                               rows, V);
        head_backward(p, head, &g, h, lm->y + n * D, rows);
    }
    if (g.matrix && lm->plan.pad >= 0 && !lm->plan.frozen && !lm->shape.untied)
        memset(g.matrix + (size_t)lm->plan.pad * D, 0, D * sizeof *g.matrix); /* a logit all the same */
}

struct mf_norm lm_output_norm(const struct lm_pass *p) {
    const struct mf_lm *lm = p->lm;
    const struct mf_backbone_ends w = lm_backbone_ends(p);
    const struct mf_norm norm = {lm->x, lm->mean, lm->rstd, w.out_norm_gain, w.out_norm_bias};
    mf_layer_norm(&p->layer, 2 * lm->shape.L, &norm, p->N);
    return norm;
}

double lm_head(const struct lm_pass *p, float scale) {
    struct mf_lm *lm = p->lm;
    struct mf_backbone_ends g = {0};
    size_t N = p->N, D = lm->shape.D;
    const struct head made_by = head_of(p);
    const struct mf_norm norm = lm_output_norm(p);
    if (p->grad) g = mf_backbone_ends(&lm->shape, p->grad->backbone);
    if (p->grad && lm->logits_rows)
        head_in_rows(p, &made_by, scale);
    else
        head_in_chunks(p, &made_by, scale);
    if (p->grad) {
        memset(lm->dx, 0, N * D * sizeof *lm->dx);
        mf_layer_norm_backward(&p->layer, lm->dx, &norm, g.out_norm_gain, g.out_norm_bias, lm->y, N);
    }
    double sum = 0;
    for (size_t n = 0; n < N; n++) sum += lm->losses[n];
    return sum;
}
