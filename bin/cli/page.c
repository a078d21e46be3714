/* What page/report.html shows of a report beyond what stands in it. */
#include "cli/page.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "cli/template.h"

double mf_page_number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

json_t *mf_page_real(double value) {
    return isfinite(value) ? json_real(value) : NULL;
}

json_t *mf_page_kept(json_t *value) {
    if (!value) mf_no_memory();
    return value;
}

void mf_page_set(json_t *object, const char *key, json_t *value) {
    if (!value)
        json_object_del(object, key);
    else if (json_object_set_new(object, key, value) < 0 && json_is_object(object))
        mf_no_memory();
}

void mf_page_append(json_t *list, json_t *value) {
    if (json_array_append_new(list, value) < 0) mf_no_memory();
}

json_t *mf_page_flag(bool value) {
    return value ? json_true() : NULL;
}

json_t *mf_page_whole(size_t value) {
    return mf_page_kept(json_integer((json_int_t)value));
}

bool mf_page_is_none(const char *domain) {
    return domain && strcmp(domain, "(none)") == 0;
}

/* --- routing: tables of rows and experts --- */

/* Columns of a table: of more experts there are several, one below the other, that a page of paper has room
 * for. */
#define COLUMNS 16

static double share_of(const json_t *row, size_t e) {
    const json_t *value = json_array_get(json_object_get(row, "shares"), e);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static json_t *numbers(size_t from, size_t to) {
    json_t *list = mf_page_pack("[]");
    for (size_t e = from; e < to; e++) mf_page_append(list, mf_page_whole(e));
    return list;
}

/* A share, 0 to 1, as its percentage and its part of the largest; the shares of many experts are small. */
static json_t *cell(double share, double max, size_t E, bool dead) {
    if (dead) return mf_page_pack("{s:b}", "dead", 1);
    if (!isfinite(share)) return json_null();
    return mf_page_pack("{s:o,s:o*}", "percent",
                        json_sprintf("%.*f%%", E > COLUMNS && share < .0995, 100 * share), "heat",
                        mf_page_real(max > 0 ? share / max : 0));
}

/* Rows are layers, where an expert without a share is dead, or domains. */
static json_t *tables(const json_t *rows, size_t E, bool layers) {
    json_t *list = mf_page_pack("[]"), *row;
    double max = 0;
    size_t i, from, to, e;
    json_array_foreach(rows, i, row) for (e = 0; e < E; e++) max = fmax(max, share_of(row, e));
    for (from = 0; from < E; from = to) {
        json_t *body = mf_page_pack("[]"), *cells;
        to = E - from > COLUMNS ? from + COLUMNS : E;
        json_array_foreach(rows, i, row) {
            mf_page_append(body, mf_page_pack("{s:o,s:O*,s:O*,s:O*,s:b}", "cells", cells = mf_page_pack("[]"),
                                              "layer", json_object_get(row, "layer"), "domain",
                                              json_object_get(row, "domain"), "balance",
                                              json_object_get(row, "balance"), "last", to == E));
            for (e = from; e < to; e++)
                mf_page_append(cells, cell(share_of(row, e), max, E, layers && share_of(row, e) == 0));
        }
        mf_page_append(list, mf_page_pack("{s:o,s:o,s:o,s:b}", "from", mf_page_whole(from), "columns",
                                          numbers(from, to), "rows", body, "last", to == E));
    }
    return list;
}

/* The mean over layers of a domain's shares of first choices. */
static json_t *domain_row(const json_t *layers, const char *domain, size_t E) {
    json_t *shares = mf_page_pack("[]"), *layer;
    for (size_t e = 0, i; e < E; e++) {
        double sum = 0, n = 0;
        json_array_foreach(layers, i, layer) {
            const json_t *list = json_object_get(json_object_get(layer, "domains"), domain);
            const json_t *share = json_array_get(list, e);
            sum += json_number_value(share);
            n += json_is_number(share);
        }
        mf_page_append(shares, n > 0 ? json_real(sum / n) : json_null());
    }
    return mf_page_pack("{s:s,s:o}", "domain", domain, "shares", shares);
}

/* NULL where no domain is known. */
static json_t *domain_tables(const json_t *layers, size_t E) {
    json_t *known = json_object_get(json_array_get(layers, 0), "domains"), *ignored,
           *rows = mf_page_pack("[]");
    const char *name = json_object_iter_key(json_object_iter(known));
    bool none = json_object_size(known) == 1 && mf_page_is_none(name);
    json_object_foreach(known, name, ignored) if (!none) mf_page_append(rows, domain_row(layers, name, E));
    json_t *list = json_array_size(rows) ? tables(rows, E, false) : NULL;
    json_decref(rows);
    return list;
}

static void prepare_routing(json_t *report) {
    json_t *routing = json_object_get(report, "routing"), *layers = json_object_get(routing, "layers"),
           *layer;
    size_t E = json_array_size(json_object_get(routing, "experts")), L = json_array_size(layers), dead = 0, i;
    double agreement = 0;
    json_array_foreach(layers, i, layer) {
        dead += json_array_size(json_object_get(layer, "dead"));
        agreement += mf_page_number(layer, "agreement") / (double)L;
    }
    mf_page_set(report, "experts", numbers(0, E));
    mf_page_set(report, "several", mf_page_flag(E > 1));
    mf_page_set(routing, "several", mf_page_flag(E > 1));
    mf_page_set(routing, "number", mf_page_whole(E));
    mf_page_set(routing, "agreement", mf_page_real(agreement));
    mf_page_set(routing, "dead", dead ? mf_page_whole(dead) : NULL);
    mf_page_set(routing, "places", mf_page_whole(E * L));
    mf_page_set(routing, "wide", mf_page_flag(E > COLUMNS / 2));
    mf_page_set(routing, "layer_tables", L ? tables(layers, E, true) : NULL);
    mf_page_set(routing, "domain_tables", domain_tables(layers, E));
}

/* --- samples --- */

/* Of tokens [text, expert or null] a third member marks those where the expert changes. Of one expert nothing
 * is said. */
static void prepare_pieces(json_t *list, bool one, const json_t **expert) {
    json_t *piece;
    size_t i;
    json_array_foreach(list, i, piece) {
        if (one && json_array_size(piece) > 1) json_array_set_new(piece, 1, json_null());
        const json_t *own = json_array_get(piece, 1);
        if (!json_is_integer(own) || json_equal(own, *expert)) continue;
        json_array_insert_new(piece, 2, json_true());
        *expert = own;
    }
}

static void prepare_samples(json_t *report) {
    json_t *sample;
    size_t i;
    bool one = json_array_size(json_object_get(report, "experts")) == 1;
    json_array_foreach(json_object_get(report, "samples"), i, sample) {
        const json_t *expert = NULL;
        prepare_pieces(json_object_get(sample, "prompt_pieces"), one, &expert);
        prepare_pieces(json_object_get(sample, "pieces"), one, &expert);
    }
}

/* --- stages --- */

static void prepare_stages(json_t *report) {
    json_t *stage;
    double max = 0, longest = 0, sum = 0;
    size_t i;
    json_array_foreach(json_object_get(report, "stages"), i, stage) {
        double peak = mf_page_number(stage, "peak_memory"), bound = mf_page_number(stage, "bound");
        max = fmax(max, fmax(peak, bound));
        longest = fmax(longest, mf_page_number(stage, "seconds"));
        sum += fmax(mf_page_number(stage, "seconds"), 0);
        mf_page_set(stage, "over", mf_page_flag(peak > bound));
        mf_page_set(stage, "again", mf_page_flag(mf_page_number(stage, "attempts") > 1));
    }
    bool any = max > 0 && longest > 0;
    mf_page_set(report, "memory_end", any ? mf_page_real(1.02 * max) : NULL);
    mf_page_set(report, "time_end", mf_page_real(longest));
    mf_page_set(report, "seconds", mf_page_real(sum));
}

static void prepare_calibration(json_t *calibration) {
    double before = mf_page_number(calibration, "loss_before"),
           after = mf_page_number(calibration, "loss_after");
    bool both = isfinite(before) && isfinite(after), level = both && fabs(before - after) < .00005;
    bool none = !both && json_is_false(json_object_get(calibration, "calibrated"));
    mf_page_set(calibration, "level", mf_page_flag(level));
    mf_page_set(calibration, "changed", mf_page_flag(both && !level));
    mf_page_set(calibration, "none", mf_page_flag(none));
}

size_t mf_page_prepare(json_t *report) {
    mf_page_prepare_measures(report);
    prepare_routing(report);
    prepare_samples(report);
    prepare_stages(report);
    prepare_calibration(json_object_get(report, "calibration"));
    return mf_page_prepare_curves(report);
}

int mf_page_make(char **page, size_t *size, json_t *report, const char *drawings, struct mf_err *err) {
    extern const char mf_file_report_html[], mf_file_style_css[]; /* bin/cli/page/ */
    mf_page_draw(report, drawings);
    mf_page_set(report, "style", mf_page_kept(json_string(mf_file_style_css)));
    return mf_template_fill(page, size, "report.html", mf_file_report_html, report, err);
}
