/* A model as the plain tensors that other programs know: those of Hugging Face's LlamaForCausalLM (one FFN a
 * layer) or MixtralForCausalLM (experts), by their names (formats/hf.md).
 *
 * The list of tensors is made when the model is opened; their numbers are read row by row, so that no matrix
 * has to be in memory. */
#ifndef MF_EXPORT_PLAIN_H
#define MF_EXPORT_PLAIN_H

#include <jansson.h>
#include <stdbool.h>
#include "base/err.h"
#include "io/tensor.h"
#include "model/shape.h"
#include "text/specials.h"

struct mf_plain;

/* Opens an assembled model, or a shared bundle with its own FFN (expert NULL) or an expert's. What has one
 * FFN a layer is dense. EX_NOINPUT; EX_DATAERR: as mf_moe_open (model/moe.h), or what a plain model cannot
 * say: a model of family reference, a router whose weights are a softmax over all experts. */
int mf_plain_open(struct mf_plain **plain, const char *model, const char *expert, struct mf_err *err);
void mf_plain_close(struct mf_plain *plain); /* accepts NULL */

/* Borrowed; the shape is that of the plain tensors. */
const struct mf_shape *mf_plain_shape(const struct mf_plain *p);
const struct mf_specials *mf_plain_specials(const struct mf_plain *p);
const char *mf_plain_name(const struct mf_plain *p);      /* the file, for messages */
const char *mf_plain_tokenizer(const struct mf_plain *p); /* SHA-256 of its tokenizer.json; "" if unknown */
size_t mf_plain_experts(const struct mf_plain *p);        /* 0: dense */
size_t mf_plain_top_k(const struct mf_plain *p);          /* weights: softmax over the chosen */

/* An assembled model's metadata (formats/model.md); of bundles an object with `tokenizer_sha256`,
 * `shared_sha256` and, where an expert was given, `experts`, in the same form. */
const json_t *mf_plain_metadata(const struct mf_plain *p);

/* What a tensor is: kind, its layer, its expert (0 where there is none). */
enum mf_plain_kind {
    MF_PLAIN_EMBEDDING, /* [V,D] */
    MF_PLAIN_ATTN_NORM, /* [D] */
    MF_PLAIN_Q,         /* [H d,D] */
    MF_PLAIN_K,         /* [K d,D] */
    MF_PLAIN_V,         /* [K d,D] */
    MF_PLAIN_Q_BIAS,    /* [H d] */
    MF_PLAIN_K_BIAS,    /* [K d] */
    MF_PLAIN_V_BIAS,    /* [K d] */
    MF_PLAIN_Q_NORM,    /* [d] */
    MF_PLAIN_K_NORM,    /* [d] */
    MF_PLAIN_O,         /* [D,H d] */
    MF_PLAIN_FFN_NORM,  /* [D] */
    MF_PLAIN_ROUTER,    /* [E,D]; not where dense */
    MF_PLAIN_GATE,      /* [F,D] w1 */
    MF_PLAIN_DOWN,      /* [D,F] w2 */
    MF_PLAIN_UP,        /* [F,D] w3 */
    MF_PLAIN_OUT_NORM,  /* [D] */
    MF_PLAIN_HEAD,      /* [V,D]; not where tied */
};
struct mf_plain_role {
    enum mf_plain_kind kind;
    size_t layer, expert;
};

/* The tensors in file order: the embedding; of each layer the attention, the router, the FFN or the experts
 * one after the other; the output norm and the head. F32, without data; borrowed. Matrices of a rotary head
 * are in Hugging Face's order, in which columns i and i + d/2 turn together. */
size_t mf_plain_count(const struct mf_plain *p);
const struct mf_tensor *mf_plain_tensor(const struct mf_plain *p, size_t i);
struct mf_plain_role mf_plain_role(const struct mf_plain *p, size_t i);

/* The length of a row: a vector is one row. */
size_t mf_plain_columns(const struct mf_plain *p, size_t i);
size_t mf_plain_row_count(const struct mf_plain *p, size_t i);

/* Do the numbers of a tensor choose experts, so that BF16 is too coarse for them? */
bool mf_plain_precise(const struct mf_plain *p, size_t i);

/* Is there a prefix router among the tensors, so that F32 is what they should be computed in? */
bool mf_plain_exact(const struct mf_plain *p);

/* Rows [first, first + count) of a tensor into `rows` [count, columns]. EX_IOERR; EX_DATAERR: a NaN or
 * infinity. May be called from several threads. */
int mf_plain_rows(const struct mf_plain *p, size_t i, size_t first, size_t count, float *rows,
                  struct mf_err *err);

#endif
