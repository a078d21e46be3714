/* What got better and worse from one report to another. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "cli/page.h"
#include "cli/report.h"
#include "io/utf8.h"

struct table {
    FILE *file;
    size_t rows;
};

/* One number of both reports. `error`: changes up to here are even. */
static void row(struct table *t, const char *label, double a, double b, double error, bool more_is_better,
                const char *format) {
    char first[32], second[32], change[32] = "", name[64];
    if (!isfinite(a) || !isfinite(b)) return;
    if (t->rows++ == 0) fprintf(t->file, "%-32s %12s %12s %9s\n", "", "first", "second", "change");
    snprintf(first, sizeof first, format, a);
    snprintf(second, sizeof second, format, b);
    if (a != 0)
        snprintf(change, sizeof change, "%+.1f%%", round(1000 * (b - a) / fabs(a)) / 10 + 0.0); /* no -0.0 */
    bool even = strcmp(first, second) == 0 || fabs(b - a) <= error;
    mf_utf8_line(name, sizeof name, label, strlen(label));
    fprintf(t->file, "%-32s %12s %12s %9s  %s\n", name, first, second, change,
            even                        ? "even"
            : (b > a) == more_is_better ? "better"
                                        : "worse");
}

/* Two measures' perplexity, with their errors. */
static void measure_row(struct table *t, const char *label, const json_t *a, const json_t *b) {
    double x = mf_page_number(a, "error"), y = mf_page_number(b, "error");
    double error = isfinite(x) && isfinite(y) ? sqrt(x * x + y * y) : 0;
    row(t, label, mf_page_number(a, "perplexity"), mf_page_number(b, "perplexity"), error, false, "%.2f");
}

/* The element of a list whose `key` is that of `like`, or NULL. */
static const json_t *same(const json_t *list, const char *key, const json_t *like) {
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item) {
        if (json_equal(json_object_get(item, key), json_object_get(like, key))) return item;
    }
    return NULL;
}

/* A row for each element that both lists have. */
static void measure_rows(struct table *t, const char *what, const json_t *a, const json_t *b,
                         const char *key) {
    size_t i;
    const json_t *item;
    char label[128];
    json_array_foreach(a, i, item) {
        const char *name = json_string_value(json_object_get(item, key));
        if (!name) continue;
        snprintf(label, sizeof label, "%s %s", what, name);
        measure_row(t, label, item, same(b, key, item));
    }
}

/* The mean over layers. */
static double routing(const json_t *report, const char *key) {
    const json_t *layers = json_object_get(json_object_get(report, "routing"), "layers"), *layer;
    double sum = 0;
    size_t i, n = json_array_size(layers);
    json_array_foreach(layers, i, layer) {
        const json_t *value = json_object_get(layer, key);
        sum += json_is_array(value) ? (double)json_array_size(value) : mf_page_number(layer, key);
    }
    return n ? sum / (double)n : NAN;
}

size_t mf_report_compare(FILE *file, const json_t *a, const json_t *b) {
    struct table table = {.file = file}, *t = &table;
    const json_t *x = json_object_get(a, "measures"), *y = json_object_get(b, "measures");
    const json_t *test_x = json_object_get(x, "test"), *test_y = json_object_get(y, "test");
    measure_row(t, "perplexity", test_x, test_y);
    measure_rows(t, "perplexity", json_object_get(test_x, "domains"), json_object_get(test_y, "domains"),
                 "domain");
    row(t, "bits per byte", mf_page_number(test_x, "bits_per_byte"), mf_page_number(test_y, "bits_per_byte"),
        0, false, "%.4f");
    measure_row(t, "dense perplexity", json_object_get(x, "dense"), json_object_get(y, "dense"));
    measure_row(t, "dense perplexity, same tokens", json_object_get(x, "dense_total"),
                json_object_get(y, "dense_total"));
    measure_row(t, "oracle perplexity", json_object_get(x, "oracle"), json_object_get(y, "oracle"));
    measure_rows(t, "perplexity", json_object_get(x, "experts"), json_object_get(y, "experts"), "file");
    row(t, "routing balance", routing(a, "balance"), routing(b, "balance"), 0, true, "%.3f");
    row(t, "routing agreement", routing(a, "agreement"), routing(b, "agreement"), 0, true, "%.3f");
    row(t, "dead experts a layer", routing(a, "dead"), routing(b, "dead"), 0, false, "%.1f");
    x = json_object_get(a, "memory");
    y = json_object_get(b, "memory");
    row(t, "training peak, MB", mf_page_number(x, "training_peak") / 1e6,
        mf_page_number(y, "training_peak") / 1e6, 0, false, "%.0f");
    row(t, "evaluation peak, MB", mf_page_number(x, "eval_peak") / 1e6, mf_page_number(y, "eval_peak") / 1e6,
        0, false, "%.0f");
    return t->rows;
}
