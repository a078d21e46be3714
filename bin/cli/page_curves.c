/* The loss curves of every training, drawn by gnuplot. */
#include <math.h>
#include <string.h>
#include "cli/gnuplot.h"
#include "cli/page.h"

/* What all charts have in common. Marks of an axis divide it into two to five; a curve of many points is
 * drawn as the means of neighbours. The style sheet has the colours and the last word on fonts; here they are
 * for the room that text takes. */
static const char settings[] =
    "set terminal svg size 300,200 dynamic noenhanced font 'sans,12'\n"
    "set lmargin at screen .115; set rmargin at screen .96; set bmargin at screen .19; set tmargin at screen .85\n"
    "set border 0\n"
    "set tics nomirror scale 0\n"
    "set format x '%.0f'; set format y '%h'\n"
    "set grid ytics lt 1\n"
    "set key at screen -.02, screen 1 left top horizontal Left reverse samplen 1.5 width -3.5 maxrows 1\n"
    "set xlabel 'steps' offset 0,.9\n"
    "marks(r) = (u = 10.**floor(log10(r)), r/u < 2 ? u/2 : r/u < 5 ? u : 2*u)\n"
    "near(x) = steps/200.*floor(200*x/steps + .5)\n";

struct chart {
    const json_t *loss, *validation; /* lists of [step, loss] */
    double steps, low, high;         /* x from 0 to steps; y from low to high */
    size_t left_out;                 /* points that are none */
};

/* One [step, loss]. False for what cannot be drawn: no numbers, or beyond those of any training. */
static bool point(const json_t *list, size_t i, double *step, double *loss) {
    const json_t *pair = json_array_get(list, i);
    const json_t *x = json_array_get(pair, 0), *y = json_array_get(pair, 1);
    if (!json_is_number(x) || !json_is_number(y)) return false;
    *step = json_number_value(x);
    *loss = json_number_value(y);
    return *step >= 0 && *step < 1e12 && fabs(*loss) < 1e6;
}

/* The last loss of a list; NaN without one. */
static double last(const json_t *list) {
    double step, loss;
    for (size_t i = json_array_size(list); i > 0; i--)
        if (point(list, i - 1, &step, &loss)) return loss;
    return NAN;
}

/* The first steps fall so steeply that they would leave no room for the others: only the last ones' losses
 * count, but for one that is the only one. */
static void widen(struct chart *c, const json_t *list) {
    double step, loss, end = 0;
    if (point(list, json_array_size(list) - 1, &step, &loss)) end = step;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!point(list, i, &step, &loss)) {
            c->left_out++;
            continue;
        }
        c->steps = fmax(c->steps, step);
        if (step < .05 * end) continue;
        c->low = fmin(c->low, loss);
        c->high = fmax(c->high, loss);
    }
}

/* Whether there is something to draw. */
static bool chart_of(struct chart *c, const json_t *training) {
    *c = (struct chart){.loss = json_object_get(training, "loss"),
                        .validation = json_object_get(training, "validation"),
                        .low = INFINITY,
                        .high = -INFINITY};
    widen(c, c->loss);
    widen(c, c->validation);
    if (!(c->low <= c->high) || !(c->steps > 0)) return false;
    double room = fmax(.04 * (c->high - c->low), .05);
    c->low -= room;
    c->high += room;
    return true;
}

/* --- for gnuplot --- */

static void data(FILE *f, const char *name, const json_t *list) {
    double step, loss;
    fprintf(f, "$%s << END\n", name);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (point(list, i, &step, &loss)) fprintf(f, "%.12g %.9g\n", step, loss);
    fputs("END\n", f);
}

/* One without points stands in the key no more than
 * on the chart, but is the first or second all the same. */
static void curve(FILE *f, const char *name, const json_t *list, const char *title, bool marks) {
    size_t n = json_array_size(list);
    if (!isfinite(last(list))) {
        fputs("NaN notitle", f);
        return;
    }
    fprintf(f, "$%s using (near($1)):2 smooth unique with ", name);
    if (marks || n == 1)
        fprintf(f, "linespoints pt 7 ps .5 pointinterval %zu", n / 24 + 1);
    else
        fputs("lines", f);
    fprintf(f, " title '%s %.2f'", title, last(list));
}

size_t mf_page_curves_script(FILE *f, const json_t *report) {
    const json_t *list = json_object_get(report, "training"), *training;
    struct chart c;
    size_t i, charts = 0;
    fputs(settings, f);
    json_array_foreach(list, i, training) {
        if (!chart_of(&c, training)) continue;
        data(f, "loss", c.loss);
        data(f, "validation", c.validation);
        fprintf(f, "steps = %.12g; low = %.9g; high = %.9g\n", c.steps, c.low, c.high);
        fputs("set xrange [0:steps]; set xtics ceil(marks(steps)) offset 0,.3\n"
              "set yrange [low:high]; set ytics marks(high - low) offset .8,0\nplot ",
              f);
        curve(f, "loss", c.loss, "training", false);
        fputs(", ", f);
        curve(f, "validation", c.validation, "held out", true);
        putc('\n', f);
        charts++;
    }
    return charts;
}

/* --- for the page --- */

/* The file's name without what all have. */
static void name(FILE *f, const json_t *training) {
    const char *file = json_string_value(json_object_get(training, "file"));
    const char *end = file ? strstr(file, ".metrics") : NULL;
    if (file) mf_page_text(f, file, end && end > file ? (size_t)(end - file) : strlen(file));
}

static void title(FILE *f, const struct chart *c, const json_t *training) {
    fputs("Loss of ", f);
    name(f, training);
    fprintf(f, " over %.0f steps, in nats per token", c->steps);
    if (isfinite(last(c->loss))) fprintf(f, "; training ends at %.2f", last(c->loss));
    if (isfinite(last(c->validation))) fprintf(f, "; held out ends at %.2f", last(c->validation));
}

/* A figure; returns the drawings after its own. */
static const char *figure(FILE *f, const json_t *training, size_t number, const char *drawings, bool marks) {
    struct chart c;
    double speed = mf_page_number(training, "tokens_per_s");
    fputs("<figure class=\"curve\">\n<figcaption><h3>", f);
    name(f, training);
    fputs("</h3></figcaption>\n", f);
    if (!chart_of(&c, training)) {
        fputs("<p class=\"note\">No step was recorded.</p>\n</figure>\n", f);
        return drawings;
    }
    fprintf(f,
            "<svg viewBox=\"0 0 300 200\" role=\"img\" aria-labelledby=\"curve%zu\">\n<title "
            "id=\"curve%zu\">",
            number, number);
    title(f, &c, training);
    fputs("</title>\n", f);
    if (drawings) drawings = mf_gnuplot_inline(f, drawings, marks);
    fputs("</svg>\n", f);
    if (isfinite(speed)) {
        fputs("<p class=\"note\">", f);
        mf_page_count(f, speed);
        fputs(" tokens a second</p>\n", f);
    }
    if (c.left_out)
        fprintf(f, "<p class=\"note\">Losses left out, as no numbers or beyond a million: %zu</p>\n",
                c.left_out);
    fputs("</figure>\n", f);
    return drawings;
}

void mf_page_curves(FILE *f, const json_t *report, const char *drawings) {
    const json_t *list = json_object_get(report, "training"), *training;
    double before = mf_page_number(mf_page_find(report, "calibration"), "loss_before");
    double after = mf_page_number(mf_page_find(report, "calibration"), "loss_after");
    const char *rest = drawings;
    size_t i;
    if (!json_array_size(list)) return;
    fputs("<section>\n<h2>Training</h2>\n<p class=\"note\">Loss in nats per token; thin grey while training, "
          "with dots on held-out documents. Each chart has its own scale, which may cut off the first "
          "steps.</p>\n<div class=\"charts\" "
          "id=\"curves\">\n",
          f);
    json_array_foreach(list, i, training) rest = figure(f, training, i, rest, rest == drawings);
    fputs("</div>\n", f);
    if (isfinite(before) && fabs(before - after) < .00005)
        fprintf(f, "<p>Calibration left the held-out loss of the joined model at %.4f.</p>\n", after);
    else if (isfinite(before) && isfinite(after))
        fprintf(f, "<p>Calibration took the held-out loss of the joined model from %.4f to %.4f.</p>\n",
                before, after);
    else if (json_is_false(json_object_get(mf_page_find(report, "calibration"), "calibrated")))
        fputs("<p>The joined model was not calibrated: there was too little held-out text to fit to.</p>\n",
              f);
    fputs("</section>\n", f);
}
