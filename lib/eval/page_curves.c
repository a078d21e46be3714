/* The loss curves of every training, each a small SVG chart. */
#include <math.h>
#include <string.h>
#include "eval/page.h"

/* Of the drawing, in its own units. */
enum { WIDTH = 350, HEIGHT = 190, LEFT = 34, RIGHT = 250, TOP = 10, BOTTOM = 164, POINTS = 200 };

struct axes {
    double steps, low, high; /* x from 0 to steps; y from low to high */
};

static double x_of(const struct axes *a, double step) {
    return LEFT + (RIGHT - LEFT) * step / a->steps;
}

static double y_of(const struct axes *a, double loss) {
    double y = BOTTOM - (BOTTOM - TOP) * (loss - a->low) / (a->high - a->low);
    return y < TOP ? TOP : y;
}

/* One [step, loss]. False for a loss that was no number. */
static bool point(const json_t *list, size_t i, double *step, double *loss) {
    const json_t *pair = json_array_get(list, i);
    const json_t *x = json_array_get(pair, 0), *y = json_array_get(pair, 1);
    if (!json_is_number(x) || !json_is_number(y)) return false;
    *step = json_number_value(x);
    *loss = json_number_value(y);
    return true;
}

/* The first steps fall so steeply that they would leave no room for the others: only the last ones' losses
 * count, but for one that is the only one. */
static void widen(struct axes *a, const json_t *list) {
    double step, loss, end = 0;
    if (point(list, json_array_size(list) - 1, &step, &loss)) end = step;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!point(list, i, &step, &loss)) continue;
        a->steps = fmax(a->steps, step);
        if (step < .05 * end) continue;
        a->low = fmin(a->low, loss);
        a->high = fmax(a->high, loss);
    }
}

/* A step of 1, 2 or 5 times a power of ten that divides `range` into about four. */
static double round_step(double range) {
    double unit = pow(10, floor(log10(range / 4))), n = range / 4 / unit;
    return unit * (n < 1.5 ? 1 : n < 3.5 ? 2 : n < 7.5 ? 5 : 10);
}

static void grid(FILE *f, const struct axes *a) {
    double step = round_step(a->high - a->low);
    if (!(step > 0)) return;
    int digits = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);
    double first = ceil(a->low / step - 1e-6);
    for (int i = 0; i < 20 && (first + i) * step <= a->high + 1e-6 * step;
         i++) { /* of huge losses all are one */
        double k = first + i, y = y_of(a, k * step);
        fprintf(f,
                "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" "
                "text-anchor=\"end\">%s</text>\n",
                LEFT, RIGHT, y, y, LEFT - 5, y + 3.5,
                mf_page_real((char[MF_PAGE_REAL]){0}, k * step, digits));
    }
    fprintf(f,
            "<text x=\"%d\" y=\"%d\">0</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.0f steps</text>\n",
            LEFT, BOTTOM + 16, RIGHT, BOTTOM + 16, a->steps);
}

/* A line through the points; many are drawn as the means of neighbours. */
static void line(FILE *f, const struct axes *a, const json_t *list, const char *class) {
    size_t n = json_array_size(list), each = (n + POINTS - 1) / POINTS;
    fprintf(f, "<polyline class=\"%s\" points=\"", class);
    for (size_t from = 0; from < n; from += each) {
        double x = 0, y = 0, step, loss, count = 0;
        for (size_t i = from; i < from + each && i < n; i++) {
            if (!point(list, i, &step, &loss)) continue;
            x += step;
            y += loss;
            count++;
        }
        if (count > 0) fprintf(f, "%.1f,%.1f ", x_of(a, x / count), y_of(a, y / count));
    }
    fputs("\"/>\n", f);
}

/* The last loss of a list; NaN without one. */
static double last(const json_t *list) {
    double step, loss;
    for (size_t i = json_array_size(list); i > 0; i--)
        if (point(list, i - 1, &step, &loss)) return loss;
    return NAN;
}

/* Names at the ends of the lines, kept apart. */
static void labels(FILE *f, const struct axes *a, double loss, double validation) {
    double at = y_of(a, loss) + 4, val = y_of(a, validation) + 4;
    if (isfinite(at) && isfinite(val) && fabs(at - val) < 14) {
        double middle = fmin((at + val) / 2, BOTTOM - 3), sign = val <= at ? 1 : -1;
        at = middle + sign * 7;
        val = middle - sign * 7;
    }
    if (isfinite(loss))
        fprintf(f, "<text x=\"%d\" y=\"%.1f\">training %s</text>\n", RIGHT + 7, at,
                mf_page_real((char[MF_PAGE_REAL]){0}, loss, 2));
    if (isfinite(validation))
        fprintf(f, "<text class=\"vlabel\" x=\"%d\" y=\"%.1f\">held out %s</text>\n", RIGHT + 7, val,
                mf_page_real((char[MF_PAGE_REAL]){0}, validation, 2));
}

/* The file's name without what all have. */
static void name(FILE *f, const json_t *training) {
    const char *file = json_string_value(json_object_get(training, "file"));
    const char *end = file ? strstr(file, ".metrics") : NULL;
    if (file) mf_page_text(f, file, end && end > file ? (size_t)(end - file) : strlen(file));
}

static void chart(FILE *f, const json_t *training, size_t number) {
    const json_t *loss = json_object_get(training, "loss"), *val = json_object_get(training, "validation");
    struct axes a = {0, INFINITY, -INFINITY};
    double step, value, speed = mf_page_number(training, "tokens_per_s");
    widen(&a, loss);
    widen(&a, val);
    fputs("<figure class=\"curve\">\n<figcaption><h3>", f);
    name(f, training);
    fputs("</h3></figcaption>\n", f);
    if (!(a.low <= a.high) || !(a.steps > 0)) {
        fputs("<p class=\"note\">No step was recorded.</p>\n</figure>\n", f);
        return;
    }
    double room = fmax(.04 * (a.high - a.low), .01);
    a.low -= room;
    a.high += room;
    fprintf(f,
            "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"curve%zu\">\n<title "
            "id=\"curve%zu\">Loss of ",
            WIDTH, HEIGHT, number, number);
    name(f, training);
    fprintf(f, " over %.0f steps, in nats per token", a.steps);
    if (isfinite(last(loss)))
        fprintf(f, "; training ends at %s", mf_page_real((char[MF_PAGE_REAL]){0}, last(loss), 2));
    if (isfinite(last(val)))
        fprintf(f, "; held out ends at %s", mf_page_real((char[MF_PAGE_REAL]){0}, last(val), 2));
    fputs("</title>\n", f);
    grid(f, &a);
    line(f, &a, loss, "loss");
    line(f, &a, val, "val");
    for (size_t i = 0; i < json_array_size(val); i++)
        if (json_array_size(val) <= 24 && point(val, i, &step, &value))
            fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>", x_of(&a, step), y_of(&a, value));
    labels(f, &a, last(loss), last(val));
    fputs("</svg>\n", f);
    if (isfinite(speed)) {
        fputs("<p class=\"note\">", f);
        mf_page_count(f, speed);
        fputs(" tokens a second</p>\n", f);
    }
    fputs("</figure>\n", f);
}

void mf_page_curves(FILE *f, const json_t *report) {
    const json_t *list = json_object_get(report, "training"), *training;
    double before = mf_page_number(mf_page_find(report, "calibration"), "loss_before");
    double after = mf_page_number(mf_page_find(report, "calibration"), "loss_after");
    size_t i;
    if (!json_array_size(list)) return;
    fputs("<section>\n<h2>Training</h2>\n<p class=\"note\">Loss in nats per token; thin grey while training, "
          "with dots on held-out documents. Each chart has its own scale, which may cut off the first "
          "steps.</p>\n<div class=\"charts\" "
          "id=\"curves\">\n",
          f);
    json_array_foreach(list, i, training) chart(f, training, i);
    fputs("</div>\n", f);
    if (isfinite(before) && fabs(before - after) < .00005)
        fprintf(f, "<p>Calibration left the held-out loss of the joined model at %.4f.</p>\n", after);
    else if (isfinite(before) && isfinite(after))
        fprintf(f, "<p>Calibration took the held-out loss of the joined model from %.4f to %.4f.</p>\n",
                before, after);
    fputs("</section>\n", f);
}
