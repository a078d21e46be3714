/* What lm.c (the passes), lm_memory.c (what they work in), lm_weights.c (the parameters of a pass, wherever
 * they are) and lm_head.c (logits, losses, and the way back) share. */
#ifndef MF_MODEL_LM_INTERNAL_H
#define MF_MODEL_LM_INTERNAL_H

#include "base/arena.h"
#include "model/lm.h"

/* What one layer keeps for its backward; layers may share what is made again. */
struct lm_kept {
    struct mf_attention_kept attention;
    struct mf_ffn_kept ffn;
};

struct mf_lm {
    struct mf_shape shape;
    struct mf_lm_plan plan;
    struct products products;
    struct mf_arena arena;
    struct lm_kept *layers; /* [L] */
    float *x, *mean, *rstd; /* [N,D], [N], [N] after the last layer */
    float *h;               /* [N,max(D,A)], A = H d */
    float *y, *dx;          /* [N,D]; y also attention's scratch */
    float *wide;            /* [N,F] or [N,C], C = (H+2K) d */
    float *again;           /* [products,N,F] or [N,C], or NULL */
    float *logits;          /* [N,columns] or [logits_rows,V]: dx, wide and again in one */
    size_t columns;         /* of the logits that exist at once, and */
    size_t logits_rows;     /* rows, where they are needed whole: for the embedding's gradient */
    double *losses;         /* [N] */
    struct online_softmax softmax;
    float *positions;              /* mf_layer_positions */
    float *sums;                   /* scratch */
    float *low;                    /* [2,N,R] */
    float *anchor_pre;             /* [products,N,F] with plan.anchor; with `again` that */
    size_t n_head, n_layer, n_ffn; /* tensors of the tables, and of the backbone */
    size_t n_backbone;
    float *vectors, *ffn_vectors, *tail; /* of what is narrow, widened: a layer's of the backbone, of its FFN,
                                            and the output norm */
    uint32_t *own;                       /* [N] 0, 1, 2, ...: the rows of a table that holds just them */
};

/* A layer whose attention needs no backward: it and everything below it are frozen. */
static inline bool lm_lowest(const struct mf_lm *lm, size_t layer) {
    return lm->plan.frozen && !lm->plan.attention && layer == 0;
}

/* One pass: its rows, parameters and what may be NULL in it. */
struct lm_pass {
    struct mf_lm *lm;
    const struct mf_lm_weights *w, *grad; /* grad NULL: forward only */
    const struct mf_lm_batch *batch;
    struct dropout dropout;
    size_t N;
    struct mf_layer layer;
};

/* --- parameters (lm_weights.c); vectors widened stay until the next layer's --- */

struct mf_backbone_layer lm_backbone_layer(const struct lm_pass *p, size_t layer);

/* Gradients of what learns of the backbone, or of an expert's attention. */
struct mf_backbone_layer lm_backbone_gradients(const struct lm_pass *p, size_t layer);

/* A layer's FFN, and what it works beside. */
struct lm_ffn_pair {
    struct mf_ffn_layer own, anchor;
};

struct lm_ffn_pair lm_ffn_pair(const struct lm_pass *p, const struct mf_backbone_layer *backbone,
                               size_t layer);

/* Gradients of the FFN that learns. */
struct mf_ffn_layer lm_ffn_gradients(const struct lm_pass *p, const struct mf_backbone_layer *dbackbone,
                                     size_t layer);

/* The ends of the backbone; of a narrow one the output norm only. */
struct mf_backbone_ends lm_backbone_ends(const struct lm_pass *p);

/* A matrix [V,D] of the backbone: the embedding, or the head where that is another. */
struct weight lm_table_of(const struct lm_pass *p, bool head);

/* Where the rows `ids` [N] of a table are: of a narrow one, `widened` [N,D], with the rows
 * `own`; nothing for LOSS_IGNORE. */
const float *lm_rows_table(const struct lm_pass *p, float *widened, struct weight table, const uint32_t *ids);

/* --- the head (lm_head.c) --- */

/* Has the expert a whole head of its own? */
bool lm_own_head(const struct mf_lm *lm);

/* h = norm of the rows after the last layer; what it found in them is kept. */
struct mf_norm lm_output_norm(const struct lm_pass *p);

/* The sum of the losses of the rows after the last layer; with gradients, those of the head's tensors are
 * added to and dx becomes that of the rows. */
double lm_head(const struct lm_pass *p, float scale);

#endif
