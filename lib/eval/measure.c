/* Sums of losses and the numbers that come from them. */
#include "eval/perplexity.h"

#include <math.h>
#include "io/utf8.h"

void mf_measure_add(struct mf_measure *m, double nats, uint64_t tokens, uint64_t bytes) {
    double n = (double)tokens;
    if (tokens == 0) return;
    m->nats += nats;
    m->tokens += tokens;
    m->documents++;
    m->bytes += bytes;
    m->nats2 += nats * nats;
    m->cross += nats * n;
    m->tokens2 += n * n;
}

void mf_measure_join(struct mf_measure *m, const struct mf_measure *other) {
    m->nats += other->nats;
    m->tokens += other->tokens;
    m->documents += other->documents;
    m->bytes += other->bytes;
    m->nats2 += other->nats2;
    m->cross += other->cross;
    m->tokens2 += other->tokens2;
}

double mf_measure_loss(const struct mf_measure *m) {
    return m->tokens ? m->nats / (double)m->tokens : NAN;
}

double mf_measure_perplexity(const struct mf_measure *m) {
    return exp(mf_measure_loss(m));
}

double mf_measure_bits(const struct mf_measure *m) {
    return m->bytes ? m->nats / log(2) / (double)m->bytes : NAN;
}

double mf_measure_error(const struct mf_measure *m) {
    if (m->documents < 2) return NAN;
    double n = (double)m->documents, r = mf_measure_loss(m);
    double residual = m->nats2 - 2 * r * m->cross + r * r * m->tokens2; /* sum of (nats - r tokens)^2 */
    if (residual < 0) residual = 0;
    return sqrt(n / (n - 1) * residual) / (double)m->tokens;
}

double mf_measure_estimate(const struct mf_measure *part, const struct mf_measure *behind,
                           const struct mf_measure *all, double *error) {
    double own = mf_measure_error(part), difference = mf_measure_error(behind);
    *error = own;
    if (part->documents >= all->documents) return mf_measure_loss(part);
    double measured = (double)part->documents / (double)all->documents;
    *error = sqrt(measured * own * own + (1 - measured) * difference * difference);
    return mf_measure_loss(all) + mf_measure_loss(behind);
}

json_t *mf_measure_json(const struct mf_measure *m) {
    double perplexity = mf_measure_perplexity(m);
    json_t *json = json_object();
    json_object_set_new(json, "perplexity", mf_real_json(perplexity));
    json_object_set_new(json, "error", mf_real_json(perplexity * mf_measure_error(m)));
    json_object_set_new(json, "nats", mf_real_json(m->nats));
    json_object_set_new(json, "loss", mf_real_json(mf_measure_loss(m)));
    json_object_set_new(json, "tokens", json_integer((json_int_t)m->tokens));
    json_object_set_new(json, "documents", json_integer((json_int_t)m->documents));
    json_object_set_new(json, "bits_per_byte", mf_real_json(mf_measure_bits(m)));
    return json;
}
