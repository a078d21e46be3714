/* Routing counts as JSON. */
#include "eval/routing.h"

#include "io/utf8.h"

/* counts [E] / total as a list. */
static json_t *shares(const uint64_t *counts, size_t E, double total) {
    json_t *list = json_array();
    for (size_t e = 0; e < E; e++)
        json_array_append_new(list, mf_real_json(total > 0 ? (double)counts[e] / total : 0));
    return list;
}

static json_t *weight_shares(const double *weights, size_t E, double rows) {
    json_t *list = json_array();
    for (size_t e = 0; e < E; e++) json_array_append_new(list, mf_real_json(weights[e] / rows));
    return list;
}

/* The experts without a slot in this layer. */
static json_t *dead(const struct mf_routing *r, size_t layer, const json_t *names) {
    json_t *list = json_array();
    for (size_t e = 0; e < r->E && r->rows > 0; e++)
        if (r->slots[layer * r->E + e] == 0)
            json_array_append_new(
                list, json_pack("{s:I, s:O}", "expert", (json_int_t)e, "name", json_array_get(names, e)));
    return list;
}

/* Of the rows that chose expert i, the share that chose j too. */
static json_t *together(const struct mf_routing *r, size_t layer) {
    json_t *rows = json_array();
    for (size_t i = 0; i < r->E; i++) {
        const uint64_t *row = r->together + (layer * r->E + i) * r->E;
        json_array_append_new(rows, shares(row, r->E, row[i] ? (double)row[i] : 1));
    }
    return rows;
}

/* For each domain that occurred, the shares of first choices. */
static json_t *domain_shares(const struct mf_routing *r, size_t layer, const struct mf_dataset *dataset) {
    json_t *table = json_object();
    for (size_t d = 0; d < r->n_domains; d++) {
        const uint64_t *counts = r->domains + (d * r->L + layer) * r->E;
        double total = 0;
        for (size_t e = 0; e < r->E; e++) total += (double)counts[e];
        if (total > 0) json_object_set_new(table, mf_dataset_domain(dataset, d), shares(counts, r->E, total));
    }
    return table;
}

static json_t *layer_json(const struct mf_routing *r, size_t i, const struct mf_dataset *dataset,
                          const json_t *names) {
    size_t E = r->E;
    double rows = (double)r->rows, k = (double)r->top_k;
    json_t *layer = json_object();
    json_object_set_new(layer, "layer", json_integer((json_int_t)i));
    json_object_set_new(layer, "shares", shares(r->slots + i * E, E, rows * k));
    json_object_set_new(layer, "first", shares(r->first + i * E, E, rows));
    json_object_set_new(layer, "weights", weight_shares(r->weights + i * E, E, rows));
    json_object_set_new(layer, "balance", mf_real_json(mf_routing_balance(r, i)));
    json_object_set_new(layer, "entropy", mf_real_json(mf_routing_entropy(r, i)));
    json_object_set_new(layer, "agreement", mf_real_json(mf_routing_agreement(r, i)));
    json_object_set_new(layer, "dead", dead(r, i, names));
    json_object_set_new(layer, "domains", domain_shares(r, i, dataset));
    json_object_set_new(layer, "together", together(r, i));
    return layer;
}

#define TOP_TOKENS 10

/* For each expert the tokens that most often have it as their first choice, over all layers. */
static json_t *top_tokens(const struct mf_routing *r) {
    json_t *experts = json_array();
    for (size_t e = 0; e < r->E; e++) {
        uint32_t top[TOP_TOKENS];
        size_t n = mf_routing_top_tokens(r, e, top, TOP_TOKENS);
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(list, json_pack("{s:I, s:I}", "token", (json_int_t)top[i], "count",
                                                  (json_int_t)r->tokens[e * r->V + top[i]]));
        json_array_append_new(experts, list);
    }
    return experts;
}

json_t *mf_routing_json(const struct mf_routing *r, const struct mf_dataset *dataset, const json_t *names) {
    json_t *json = json_object(), *layers = json_array();
    for (size_t i = 0; i < r->L; i++) json_array_append_new(layers, layer_json(r, i, dataset, names));
    json_object_set_new(json, "experts", json_copy((json_t *)(uintptr_t)names));
    json_object_set_new(json, "top_k", json_integer((json_int_t)r->top_k));
    if (r->attention) json_object_set_new(json, "attention", json_true());
    if (r->heads) json_object_set_new(json, "heads", json_true());
    json_object_set_new(json, "tokens", json_integer((json_int_t)r->rows));
    json_object_set_new(json, "layers", layers);
    json_object_set_new(json, "top_tokens", top_tokens(r));
    return json;
}
