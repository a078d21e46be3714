/* What page/report.html shows of perplexities: the model among its baselines, by domain, by place in the
 * document. */
#include "cli/page.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "cli/template.h"

/* --- the model among its baselines --- */

struct baseline {
    const char *kind; /* "first" (the model), "dense", "expert", "unigram", "total" or "oracle" */
    size_t expert;
    double perplexity;
    json_t *measure; /* in full, or NULL */
};

/* What was not measured is no baseline. */
static void add(struct baseline *b, size_t *n, struct baseline one) {
    if (*n == 0 || isfinite(one.perplexity)) b[(*n)++] = one;
}

static int by_perplexity(const void *a, const void *b) {
    double x = ((const struct baseline *)a)->perplexity, y = ((const struct baseline *)b)->perplexity;
    return (x > y) - (x < y);
}

/* Is the model one expert beside the backbone? */
static bool is_single(const json_t *report) {
    return json_array_size(mf_template_find(report, "routing.experts")) == 1 &&
           !json_object_get(report, "ffn");
}

static bool is_dense(const json_t *report) {
    const char *ffn = json_string_value(json_object_get(report, "ffn"));
    return ffn && strcmp(ffn, "dense") == 0;
}

/* The number of an expert: its place in the model, or in the list where that is not said. */
static size_t number_of(const json_t *expert, size_t i) {
    const json_t *place = json_object_get(expert, "expert");
    return json_is_integer(place) && json_integer_value(place) >= 0 ? (size_t)json_integer_value(place) : i;
}

/* The model first, then what it is measured against, best first. */
static size_t collect(const json_t *report, struct baseline **list) {
    json_t *numbers = json_object_get(report, "perplexity"), *measures = json_object_get(report, "measures");
    json_t *experts = json_object_get(measures, "experts"), *expert;
    size_t n = 0, i;
    struct baseline *b = *list = calloc(json_array_size(experts) + 5, sizeof *b);
    if (!b) mf_no_memory();
#define OF(kind, key) (struct baseline){kind, 0, mf_page_number(numbers, key), json_object_get(measures, key)}
    add(b, &n, OF("first", "test"));
    add(b, &n, OF("dense", "dense"));
    json_array_foreach(experts, i, expert)
        add(b, &n,
            (struct baseline){"expert", number_of(expert, i), mf_page_number(expert, "perplexity"), expert});
    add(b, &n, OF("unigram", "unigram"));
    add(b, &n, OF("total", "dense_total"));
    add(b, &n, OF("oracle", "oracle"));
#undef OF
    qsort(b + 1, n - 1, sizeof *b, by_perplexity);
    return n;
}

/* A row that is "first", "dense", "unigram", "total" or "oracle", or has the number of an "expert". */
static json_t *row_of(const struct baseline *b) {
    return mf_page_pack("{s:o}", b->kind,
                        strcmp(b->kind, "expert") == 0 ? mf_page_whole(b->expert) : json_true());
}

/* How far the model lies from another. A difference within two standard errors of the loss may be chance. */
static json_t *distance(const struct baseline *model, const struct baseline *other) {
    double ratio = model->perplexity / other->perplexity,
           error = mf_page_number(other->measure, "behind_error");
    bool level = fabs(log(ratio)) <= 2 * error, below = ratio < 1;
    return mf_page_pack("{s:o,s:o*,s:o*,s:o*,s:b,s:b,s:b,s:b}", "next", row_of(other), "perplexity",
                        mf_page_real(other->perplexity), "percent", mf_page_real(fabs(100 * (1 - ratio))),
                        "error", mf_page_real(100 * error * ratio), "level", level, "below", below, "better",
                        !level && below, "worse", !level && !below);
}

/* The first of a kind, or of any that has less than the whole to learn from or to know; NULL if there is
 * none. */
static const struct baseline *find(const struct baseline *b, size_t n, const char *kind) {
    for (size_t i = 1; i < n; i++) {
        bool other = strcmp(b[i].kind, "total") == 0 || strcmp(b[i].kind, "oracle") == 0;
        if (kind ? strcmp(b[i].kind, kind) == 0 : !other) return &b[i];
    }
    return NULL;
}

static json_t *verdict(const struct baseline *b, size_t n) {
    const struct baseline *best = find(b, n, NULL);
    if (!best) return mf_page_pack("{s:b}", "alone", 1);
    if (!isfinite(b[0].perplexity)) return mf_page_pack("{s:b}", "unmeasured", 1);
    return distance(&b[0], best);
}

/* Of a model of experts: was it worth training them apart, and what does its router cost? */
static json_t *worth(const json_t *report, const struct baseline *b, size_t n) {
    const struct baseline *total = find(b, n, "total"), *oracle = find(b, n, "oracle");
    bool single = is_single(report), imported = json_is_true(json_object_get(report, "imported"));
    const char *what = single ? "one expert beside the backbone" : "the experts apart";
    bool trained = single || find(b, n, "expert");
    if (!isfinite(b[0].perplexity) || is_dense(report) || !(total || trained)) return NULL;
    json_t *row = mf_page_pack("{s:b,s:b,s:b,s:s,s:o*,s:o*}", "unmeasured", !total, "imported", imported,
                               "single", single, "what", what, "total", total ? distance(&b[0], total) : NULL,
                               "oracle", oracle ? distance(&b[0], oracle) : NULL);
    if (total) mf_page_set(json_object_get(row, "total"), "what", mf_page_kept(json_string(what)));
    return row;
}

/* Each at its place on a logarithmic scale from 0 to 1, clear of the ends. NULL without any. */
static json_t *baselines(const struct baseline *b, size_t n) {
    if (n < 2 || !isfinite(b[0].perplexity)) return NULL;
    json_t *rows = mf_page_pack("[]");
    double low = log(fmin(b[0].perplexity, b[1].perplexity));
    double high = log(fmax(b[0].perplexity, b[n - 1].perplexity));
    low -= .06 * (high - low) + .02;
    high += .06 * (high - low) + .02;
    for (size_t i = 0; i < n; i++) {
        json_t *row = row_of(&b[i]), *error = json_object_get(b[i].measure, "error");
        mf_page_set(row, "perplexity", mf_page_real(b[i].perplexity));
        mf_page_set(row, "error", json_incref(error));
        mf_page_set(row, "at", mf_page_real((log(b[i].perplexity) - low) / (high - low)));
        if (i > 0) mf_page_set(row, "more", mf_page_real(100 * (b[i].perplexity / b[0].perplexity - 1)));
        mf_page_append(rows, row);
    }
    return rows;
}

/* Was an expert measured on part of the model's documents? */
static bool is_fewer(const json_t *report) {
    const json_t *measures = json_object_get(report, "measures"), *expert;
    double all = mf_page_number(json_object_get(measures, "test"), "documents");
    size_t i;
    json_array_foreach(json_object_get(measures, "experts"), i,
                       expert) if (mf_page_number(expert, "documents") < all) return true;
    return false;
}

static void prepare_headline(json_t *report) {
    struct baseline *b;
    size_t n = collect(report, &b);
    json_t *sample = json_object_get(report, "sample");
    mf_page_set(report, "verdict", verdict(b, n));
    mf_page_set(report, "worth", worth(report, b, n));
    mf_page_set(report, "single", mf_page_flag(is_single(report)));
    mf_page_set(report, "each", mf_page_flag(find(b, n, "expert") != NULL));
    mf_page_set(report, "baselines", baselines(b, n));
    mf_page_set(report, "fewer", mf_page_flag(is_fewer(report)));
    mf_page_set(sample, "percent", mf_page_real(100 * mf_page_number(sample, "error")));
    mf_page_set(report, "sampled",
                mf_page_flag(mf_page_number(sample, "tokens") < mf_page_number(sample, "of_tokens")));
    free(b);
}

/* --- domains --- */

static double same_domain(const json_t *list, const json_t *like) {
    const json_t *item, *domain = json_object_get(like, "domain");
    size_t i;
    json_array_foreach(list, i, item) if (json_equal(json_object_get(item, "domain"), domain)) break;
    return mf_page_number(json_array_get(list, i), "perplexity");
}

/* Each with the dense model's perplexity, and the end of their scale where a domain is known. */
static void prepare_domains(json_t *report) {
    json_t *list = mf_template_find(report, "measures.test.domains"), *item;
    const json_t *first = json_object_get(json_array_get(list, 0), "domain");
    bool none = json_array_size(list) == 1 && mf_page_is_none(json_string_value(first));
    double max = 0;
    size_t i;
    json_array_foreach(list, i, item) {
        double dense = same_domain(mf_template_find(report, "measures.dense.domains"), item);
        max = fmax(max, mf_page_number(item, "perplexity") + fmax(mf_page_number(item, "error"), 0));
        max = fmax(max, dense);
        mf_page_set(item, "dense", mf_page_real(dense));
    }
    mf_page_set(report, "domains_end", !none && max > 0 ? mf_page_real(1.02 * max) : NULL);
}

/* --- places in a document --- */

/* The range of a measure that begins at the same place; NULL without one. */
static const json_t *same_range(const json_t *measures, const char *key, const json_t *like) {
    const json_t *range, *from = json_object_get(like, "from");
    size_t i;
    json_array_foreach(json_object_get(json_object_get(measures, key), "positions"), i,
                       range) if (json_equal(json_object_get(range, "from"), from)) return range;
    return NULL;
}

/* Adds to the first model's ranges what others have there; whether it is worse than the backbone, with less
 * than a chance of one in twenty that it is not. */
static void prepare_positions(json_t *report) {
    json_t *measures = json_object_get(report, "measures"), *range;
    json_t *list = mf_template_find(report, "measures.test.positions");
    static const char *const others[] = {"dense", "dense_total", "oracle"};
    size_t i;
    json_array_foreach(list, i, range) {
        for (size_t k = 0; k < 3; k++)
            mf_page_set(range, others[k],
                        mf_page_real(mf_page_number(same_range(measures, others[k], range), "perplexity")));
        const json_t *dense = same_range(measures, "dense", range);
        double behind = mf_page_number(dense, "behind"), error = mf_page_number(dense, "behind_error");
        mf_page_set(range, "worse", mf_page_flag(behind < -2 * error));
    }
    mf_page_set(report, "positions", mf_page_flag(json_array_size(list) > 1));
}

/* A single expert alone, and as the oracle has it, is the model: nothing to compare with. */
static void leave_out(json_t *report) {
    json_t *measures = json_object_get(report, "measures");
    mf_page_set(measures, "experts", NULL);
    mf_page_set(measures, "oracle", NULL);
    mf_page_set(json_object_get(report, "perplexity"), "oracle", NULL);
}

void mf_page_prepare_measures(json_t *report) {
    if (is_single(report)) leave_out(report);
    prepare_headline(report);
    prepare_domains(report);
    prepare_positions(report);
}
