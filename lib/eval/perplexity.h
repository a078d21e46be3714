/* How well a model predicts documents: sums of losses over tokens, and what people read off them. */
#ifndef MF_EVAL_PERPLEXITY_H
#define MF_EVAL_PERPLEXITY_H

#include <jansson.h>
#include "eval/windows.h"

/* Sums over documents; two of them add up field by field. */
struct mf_measure {
    double nats;                  /* losses of the scored tokens */
    uint64_t tokens;              /* scored */
    uint64_t documents;           /* with at least one of them */
    uint64_t bytes;               /* of text in them; 0 when lengths are not known */
    double nats2, cross, tokens2; /* over documents: sums of nats^2, nats * tokens, tokens^2 */
};

void mf_measure_add(struct mf_measure *m, double nats, uint64_t tokens, uint64_t bytes); /* one document's */
void mf_measure_join(struct mf_measure *m, const struct mf_measure *other);

double mf_measure_loss(const struct mf_measure *m);       /* nats per token; NaN without tokens */
double mf_measure_perplexity(const struct mf_measure *m); /* exp of it */
double mf_measure_bits(const struct mf_measure *m);       /* bits per byte; NaN without bytes */

/* The standard error of nats per token over documents, which are of different length: the ratio estimator
 * (Cochran, Sampling Techniques, 1977, section 6.4). NaN for fewer than two documents. That of the perplexity
 * is this times the perplexity, to first order. */
double mf_measure_error(const struct mf_measure *m);

/* The nats per token that `part`, measured on some documents of a random sample, has on all of them, where
 * another model has `all`: that model's and the mean difference of the two on these documents, `behind`. This
 * is the difference estimator of double sampling (Cochran, chapter 12); *error is its standard error, which
 * is that of the part's own mean for the documents that were measured, of the difference for the others. */
double mf_measure_estimate(const struct mf_measure *part, const struct mf_measure *behind,
                           const struct mf_measure *all, double *error);

/* {"perplexity", "error", "nats", "loss", "tokens", "documents", "bits_per_byte"}; what is not known is null.
 * New. */
json_t *mf_measure_json(const struct mf_measure *m);

/* All documents and each domain's. Release with mf_perplexity_clear. */
struct mf_perplexity {
    struct mf_measure all;
    struct mf_measure *domains; /* [n_domains], in the dataset's order; names: mf_dataset_domain */
    size_t n_domains;
};

struct mf_perplexity_options {
    size_t batch;                              /* windows in one forward pass */
    size_t stride;                             /* windows.h; 0: windows side by side */
    const uint32_t *lengths;                   /* [V] bytes of each token's text, or NULL */
    const struct mf_moe_hooks *hooks;          /* of every forward pass, or NULL */
    void *context;                             /* for the three below, each of which may be NULL */
    void (*token)(void *context, double loss); /* each scored token, in order, before its document */
    void (*document)(void *context, const char *id, size_t id_size, size_t domain,
                     const struct mf_measure *m);
    void (*progress)(void *context, uint64_t tokens); /* scored so far, after every batch */
};

/* Measures the rest of `dataset` and adds it to *result, which is zero at first. `work` must have room for
 * batch * S rows. The result does not depend on the batch and the number of threads beyond rounding in fp32:
 * losses are added in double in the order of the documents. EX_DATAERR as for reading, or when a loss is
 * non-finite (EX_SOFTWARE); EX_IOERR. On failure nothing is to be cleared. */
int mf_perplexity(struct mf_moe *moe, struct mf_moe_work *work, struct mf_dataset *dataset,
                  const struct mf_perplexity_options *options, struct mf_perplexity *result,
                  struct mf_err *err);

void mf_perplexity_clear(struct mf_perplexity *p);

/* The measure of all with a list "domains" of {"domain", ...}, those without tokens left out. New. */
json_t *mf_perplexity_json(const struct mf_perplexity *p, const struct mf_dataset *dataset);

#endif
