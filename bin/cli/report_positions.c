/* Losses by the place of a token in its document: how much a model knows after a few words, when a router has
 * hardly seen what the text is about. */
#include "cli/report_internal.h"

#include "eval/perplexity.h"
#include "io/utf8.h"

/* The last place of each range, from 1 on; the last range has no end. */
static const size_t last[REPORT_RANGES - 1] = {8, 32, 128, 256};

void report_positions_token(void *context, double loss) {
    struct report_maker *m = context;
    struct report_document *document = &m->document;
    size_t range = 0;
    document->n++;
    while (range < REPORT_RANGES - 1 && document->n > last[range]) range++;
    document->nats[range] += loss;
    document->tokens[range]++;
}

void report_positions_add(struct report_comparison *c, const struct report_document *document,
                          const double *of_model) {
    for (size_t r = 0; r < REPORT_RANGES; r++) {
        mf_measure_add(&c->ranges[r], document->nats[r], document->tokens[r], 0);
        if (of_model)
            mf_measure_add(&c->behind_ranges[r], document->nats[r] - of_model[r], document->tokens[r], 0);
    }
}

json_t *report_positions_json(const struct report_comparison *c) {
    json_t *list = json_array();
    for (size_t r = 0; r < REPORT_RANGES; r++) {
        const struct mf_measure *behind = &c->behind_ranges[r];
        if (c->ranges[r].tokens == 0) continue;
        json_t *one = json_object(), *measure = mf_measure_json(&c->ranges[r]);
        json_object_set_new(one, "from", json_integer(r ? (json_int_t)last[r - 1] + 1 : 1));
        if (r < REPORT_RANGES - 1) json_object_set_new(one, "to", json_integer((json_int_t)last[r]));
        json_object_update(one, measure);
        json_object_del(one, "bits_per_byte");
        json_decref(measure);
        if (behind->tokens > 0) {
            json_object_set_new(one, "behind", mf_real_json(mf_measure_loss(behind)));
            json_object_set_new(one, "behind_error", mf_real_json(mf_measure_error(behind)));
        }
        json_array_append_new(list, one);
    }
    return list;
}
