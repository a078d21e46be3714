/* The loss curves of every training, for gnuplot to draw and for the page. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "cli/gnuplot.h"
#include "cli/page.h"
#include "cli/template.h"

/* Of a list of [step, loss] those that can be drawn: two numbers, and none beyond those of any training. */
static json_t *points(const json_t *list) {
    json_t *kept = mf_page_pack("[]"), *pair;
    size_t i;
    json_array_foreach(list, i, pair) {
        const json_t *x = json_array_get(pair, 0), *y = json_array_get(pair, 1);
        bool drawn = json_is_number(x) && json_number_value(x) >= 0 && json_number_value(x) < 1e12 &&
                     json_is_number(y) && fabs(json_number_value(y)) < 1e6;
        if (drawn) mf_page_append(kept, json_incref(pair));
    }
    return kept;
}

static double value(const json_t *points, size_t i, size_t which) {
    return json_number_value(json_array_get(json_array_get(points, i), which));
}

struct range {
    double steps, low, high; /* x from 0 to steps; y from low to high */
};

/* The first steps fall so steeply that they would leave no room for the others: only the last ones' losses
 * count, but for one that is the only one. */
static void widen(struct range *r, const json_t *points) {
    size_t n = json_array_size(points);
    for (size_t i = 0; i < n; i++) {
        r->steps = fmax(r->steps, value(points, i, 0));
        if (value(points, i, 0) < .05 * value(points, n - 1, 0)) continue;
        r->low = fmin(r->low, value(points, i, 1));
        r->high = fmax(r->high, value(points, i, 1));
    }
}

/* NULL without points. `dots` says how many points apart a dot stands: a curve of one has nothing else. */
static json_t *curve(json_t *points, bool dots) {
    size_t n = json_array_size(points);
    if (n == 0) return NULL;
    return mf_page_pack("{s:O,s:f,s:o*}", "points", points, "last", value(points, n - 1, 1), "dots",
                        dots || n == 1 ? json_integer((json_int_t)n / 24 + 1) : NULL);
}

/* What gnuplot needs of a training: numbers alone. NULL when there is nothing to draw. */
static json_t *chart(const json_t *training) {
    const json_t *all[] = {json_object_get(training, "loss"), json_object_get(training, "validation")};
    json_t *loss = points(all[0]), *validation = points(all[1]), *chart = NULL;
    struct range r = {0, INFINITY, -INFINITY};
    widen(&r, loss);
    widen(&r, validation);
    double margin = fmax(.04 * (r.high - r.low), .05);
    size_t left_out = json_array_size(all[0]) + json_array_size(all[1]) - json_array_size(loss) -
                      json_array_size(validation);
    if (r.low <= r.high && r.steps > 0)
        chart =
            mf_page_pack("{s:f,s:f,s:f,s:o*,s:o*,s:o*}", "steps", r.steps, "low", r.low - margin, "high",
                         r.high + margin, "loss", curve(loss, false), "validation", curve(validation, true),
                         "left_out", left_out ? json_integer((json_int_t)left_out) : NULL);
    json_decref(loss);
    json_decref(validation);
    return chart;
}

/* The file's name without what all have. */
static json_t *name(const json_t *training) {
    const char *file = json_string_value(json_object_get(training, "file"));
    const char *end = file ? strstr(file, ".metrics") : NULL;
    return file ? json_stringn(file, end && end > file ? (size_t)(end - file) : strlen(file)) : NULL;
}

size_t mf_page_prepare_curves(json_t *report) {
    json_t *charts = mf_page_pack("[]"), *training, *one;
    size_t i;
    json_array_foreach(json_object_get(report, "training"), i, training) {
        one = chart(training);
        mf_page_set(training, "name", name(training));
        mf_page_set(training, "number", json_integer((json_int_t)i));
        mf_page_set(training, "chart", json_incref(one));
        if (one) mf_page_append(charts, one);
    }
    mf_page_set(report, "charts", charts);
    return json_array_size(charts);
}

int mf_page_script(char **script, size_t *size, const json_t *report, struct mf_err *err) {
    extern const char mf_file_curves_gnuplot[]; /* bin/cli/page/curves.gnuplot */
    json_t *row = mf_page_pack("{s:O}", "charts", json_object_get(report, "charts"));
    int status = mf_template_fill(script, size, "curves.gnuplot", mf_file_curves_gnuplot, row, err);
    json_decref(row);
    return status;
}

void mf_page_draw(const json_t *report, const char *drawings) {
    json_t *chart;
    size_t i, size;
    json_array_foreach(json_object_get(report, "charts"), i, chart) {
        char *text = NULL;
        drawings = drawings ? mf_gnuplot_inline(&text, &size, drawings, i == 0) : NULL;
        mf_page_set(chart, "drawing", text ? json_stringn_nocheck(text, size) : NULL);
        free(text);
    }
}
