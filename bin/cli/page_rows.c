/* Numbers as rows of a label, a mark on a scale, and the number itself: the headline, domains, stages. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "cli/page.h"

static double limit(double value, double low, double high) {
    return !(value > low) ? low : value > high ? high : value;
}

/* Rows are a table to those who do not see it; the marks say nothing that the number does not. */
#define ROWS(label) "<div class=\"rows\" role=\"table\" aria-label=\"" label "\">\n"
#define ROW_(class) "<div class=\"row" class "\" role=\"row\"><span role=\"rowheader\">"
#define ROW         ROW_("")
#define MARKS       "</span><span class=\"track\" aria-hidden=\"true\">"
#define VALUE       "</span><span role=\"cell\">"

/* --- the headline: the model among its baselines --- */

struct baseline {
    char name[96];
    double perplexity, error; /* its standard error; NaN: not known */
    double margin; /* two standard errors of the loss that it is behind the model; NaN: not known */
};

/* `measure` is given in full where there is one. */
static struct baseline baseline(const char *name, double perplexity, const json_t *measure) {
    struct baseline b = {.perplexity = perplexity,
                         .error = mf_page_number(measure, "error"),
                         .margin = 2 * mf_page_number(measure, "behind_error")};
    snprintf(b.name, sizeof b.name, "%s", name);
    return b;
}

/* The model first, then what it is measured against, best first. */
static size_t collect(const json_t *report, struct baseline **list) {
    const json_t *experts = mf_page_find(report, "measures.experts"), *item;
    const json_t *numbers = mf_page_find(report, "perplexity");
    size_t n = 0, i;
    struct baseline *b = calloc(json_array_size(experts) + 3, sizeof *b);
    if (!b) mf_no_memory();
    b[n++] = baseline("This model", mf_page_number(numbers, "test"), mf_page_find(report, "measures.test"));
    b[n++] = baseline("Dense", mf_page_number(numbers, "dense"), mf_page_find(report, "measures.dense"));
    json_array_foreach(experts, i, item) {
        char name[32];
        snprintf(name, sizeof name, "Expert %zu", i);
        b[n++] = baseline(name, mf_page_number(item, "perplexity"), item);
    }
    b[n++] =
        baseline("Unigram", mf_page_number(numbers, "unigram"), mf_page_find(report, "measures.unigram"));
    size_t kept = 1;
    for (i = 1; i < n; i++)
        if (isfinite(b[i].perplexity)) b[kept++] = b[i];
    *list = b;
    return kept;
}

static int by_perplexity(const void *a, const void *b) {
    double x = ((const struct baseline *)a)->perplexity, y = ((const struct baseline *)b)->perplexity;
    return (x > y) - (x < y);
}

/* A baseline inside a sentence. */
static void in_words(FILE *f, const struct baseline *b) {
    if (strcmp(b->name, "Dense") == 0)
        fputs("the dense foundation", f);
    else if (strcmp(b->name, "Unigram") == 0)
        fputs("the unigram model", f);
    else
        fprintf(f, "e%s alone", b->name + 1);
}

/* The sentence the page opens with. */
static void verdict(FILE *f, const struct baseline *b, size_t n) {
    if (!isfinite(b[0].perplexity) || n < 2) {
        fprintf(f, "<p class=\"verdict\">%s</p>\n",
                n < 2 ? "Measured alone: there is no baseline to compare with."
                      : "The perplexity could not be measured.");
        return;
    }
    double ratio = b[0].perplexity / b[1].perplexity, better = 100 * (1 - ratio);
    bool level = fabs(log(ratio)) <= b[1].margin;
    fprintf(f, "<p class=\"verdict\"><span class=\"%s\">%s.</span> Perplexity is %s%% %s, ",
            level        ? "level"
            : better > 0 ? "good"
                         : "bad",
            level        ? "Level with the best baseline"
            : better > 0 ? "Better than every baseline"
                         : "Not better than every baseline",
            mf_page_real((char[MF_PAGE_REAL]){0}, fabs(better), 1),
            better > 0 ? "below the next best" : "above the best");
    in_words(f, &b[1]);
    if (level) fputs(", which may be chance", f);
    fputs(".</p>\n", f);
    if (isfinite(b[1].margin))
        fprintf(f,
                "<p class=\"note\">The difference is measured document by document; its standard error is "
                "%.1f%%.</p>\n",
                50 * b[1].margin * ratio);
}

static void plus_minus(FILE *f, double error) {
    if (isfinite(error)) fprintf(f, " <small>± %s</small>", mf_page_real((char[MF_PAGE_REAL]){0}, error, 1));
}

static void fact(FILE *f, const char *name, int digits, double value, double error) {
    if (!isfinite(value)) return;
    fprintf(f, "<div><dt>%s</dt><dd>%s", name, mf_page_real((char[MF_PAGE_REAL]){0}, value, digits));
    plus_minus(f, error);
    fputs("</dd></div>\n", f);
}

static void count_fact(FILE *f, const char *name, double count) {
    if (!isfinite(count)) return;
    fprintf(f, "<div><dt>%s</dt><dd>", name);
    mf_page_count(f, count);
    fputs("</dd></div>\n", f);
}

static void facts(FILE *f, const json_t *report) {
    const json_t *test = mf_page_find(report, "measures.test");
    fputs("<dl class=\"facts\">\n", f);
    fact(f, "perplexity", 1, mf_page_number(test, "perplexity"), mf_page_number(test, "error"));
    fact(f, "bits per byte", 3, mf_page_number(test, "bits_per_byte"), NAN);
    count_fact(f, "test documents", mf_page_number(test, "documents"));
    count_fact(f, "test tokens", mf_page_number(test, "tokens"));
    fputs("</dl>\n", f);
}

/* What people should know of the stages. */
static void warnings(FILE *f, const json_t *report) {
    size_t i;
    json_t *warning;
    json_array_foreach(json_object_get(report, "warnings"), i, warning) {
        fputs("<p class=\"note\"><strong class=\"bad\">", f);
        mf_page_string(f, json_object_get(warning, "stage"));
        fputs("</strong> ", f);
        mf_page_string(f, json_object_get(warning, "text"));
        fputs(".</p>\n", f);
    }
}

/* Where not all of the test stream is measured. */
static void sampled(FILE *f, const json_t *report) {
    const json_t *sample = json_object_get(report, "sample");
    double tokens = mf_page_number(sample, "tokens"), all = mf_page_number(sample, "of_tokens");
    if (!(tokens < all)) return;
    fputs("<p class=\"note\">Measured on a sample of the test documents: ", f);
    mf_page_count(f, tokens);
    fputs(" of ", f);
    mf_page_count(f, all);
    fputs(" tokens, ", f);
    mf_page_count(f, mf_page_number(sample, "documents"));
    fputs(" of ", f);
    mf_page_count(f, mf_page_number(sample, "of_documents"));
    fputs(" documents, the same for every model. <code>eval.max_tokens</code> sets its size; 0 is all.</p>\n",
          f);
}

static void baselines(FILE *f, const struct baseline *b, size_t n) {
    double low = b[0].perplexity, high = low;
    for (size_t i = 1; i < n; i++) {
        low = fmin(low, b[i].perplexity);
        high = fmax(high, b[i].perplexity);
    }
    low = log(low) - .06 * log(high / low) - .02; /* the dots stand clear of the ends */
    high = log(high) + .06 * (log(high) - low) + .02;
    fputs("<figure id=\"baselines\">\n<figcaption class=\"note\">Perplexity on the test documents, on a "
          "logarithmic scale; further left is better.</figcaption>\n" ROWS("Perplexity of the baselines"),
          f);
    for (size_t i = 0; i < n; i++) {
        double at = 100 * (log(b[i].perplexity) - low) / (high - low);
        fprintf(f, ROW_("%s") "%s" MARKS "<i class=\"dot\" style=\"left:%.2f%%\"></i>" VALUE "%s",
                i == 0 ? " first" : "", b[i].name, at,
                mf_page_real((char[MF_PAGE_REAL]){0}, b[i].perplexity, 1));
        plus_minus(f, b[i].error);
        double more = 100 * (b[i].perplexity / b[0].perplexity - 1);
        if (i > 0)
            fprintf(f, " <small>%s%s%%</small>", more < 0 ? "" : "+",
                    mf_page_real((char[MF_PAGE_REAL]){0}, more, 1));
        fputs("</span></div>\n", f);
    }
    fputs(
        "</div>\n<p class=\"note\">Dense is the shared foundation with its own FFN. Each expert is measured "
        "alone with the foundation. Unigram knows how often each token occurs and nothing else. Percentages "
        "are against this model. ± is one standard error over documents.</p>\n</figure>\n",
        f);
}

void mf_page_headline(FILE *f, const json_t *report) {
    struct baseline *b;
    size_t n = collect(report, &b);
    if (n > 1) qsort(b + 1, n - 1, sizeof *b, by_perplexity);
    fputs("<header>\n<h1>Report: ", f);
    mf_page_string(f, json_object_get(report, "model"));
    fputs("</h1>\n", f);
    verdict(f, b, n);
    facts(f, report);
    sampled(f, report);
    warnings(f, report);
    fputs("</header>\n", f);
    if (n > 1 && isfinite(b[0].perplexity)) baselines(f, b, n);
    free(b);
}

/* --- domains --- */

static const json_t *same_domain(const json_t *list, const json_t *domain) {
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item) if (json_equal(json_object_get(item, "domain"), domain)) return item;
    return NULL;
}

static void domain_row(FILE *f, const json_t *item, const json_t *dense, double most) {
    const json_t *name = json_object_get(item, "domain");
    double value = mf_page_number(item, "perplexity"), error = mf_page_number(item, "error");
    double other = mf_page_number(dense, "perplexity");
    fputs(ROW, f);
    mf_page_string(f, name);
    fprintf(f, MARKS "<i class=\"bar\" style=\"width:%.2f%%\"></i>", 100 * value / most);
    if (isfinite(other)) fprintf(f, "<i class=\"tick\" style=\"left:%.2f%%\"></i>", 100 * other / most);
    if (isfinite(error)) {
        double from = limit(value - error, 0, most), to = limit(value + error, 0, most);
        fprintf(f, "<i class=\"err\" style=\"left:%.2f%%;width:%.2f%%\"></i>", 100 * from / most,
                100 * (to - from) / most);
    }
    fprintf(f, VALUE "%s", mf_page_real((char[MF_PAGE_REAL]){0}, value, 1));
    plus_minus(f, error);
    if (isfinite(other))
        fprintf(f, "<br><small>dense %s</small>", mf_page_real((char[MF_PAGE_REAL]){0}, other, 1));
    fputs("</span></div>\n", f);
}

void mf_page_domains(FILE *f, const json_t *report) {
    const json_t *list = mf_page_find(report, "measures.test.domains"), *item;
    const json_t *dense = mf_page_find(report, "measures.dense.domains");
    double most = 0;
    size_t i;
    item = json_object_get(json_array_get(list, 0), "domain");
    if (json_array_size(list) == 1 && mf_page_no_domain(json_string_value(item))) return;
    json_array_foreach(list, i, item) {
        double error = mf_page_number(item, "error");
        most = fmax(most, mf_page_number(item, "perplexity") + (isfinite(error) ? error : 0));
        most = fmax(most, mf_page_number(same_domain(dense, json_object_get(item, "domain")), "perplexity"));
    }
    if (!(most > 0)) return;
    fputs(
        "<section>\n<h2>Perplexity by domain</h2>\n<figure id=\"domains\">\n<figcaption class=\"note\">Lower "
        "is better. The error is one standard error over documents.</figcaption>\n<ul "
        "class=\"key\"><li><span "
        "class=\"track\"><i class=\"bar\"></i></span>this model</li><li><span class=\"track\"><i "
        "class=\"err\"></i></span>standard error</li>",
        f);
    if (json_array_size(dense))
        fputs("<li><span class=\"track\"><i class=\"tick\"></i></span>dense foundation</li>", f);
    fputs("</ul>\n" ROWS("Perplexity by domain"), f);
    json_array_foreach(list, i, item) if (isfinite(mf_page_number(item, "perplexity")))
        domain_row(f, item, same_domain(dense, json_object_get(item, "domain")), most * 1.02);
    fputs("</div>\n</figure>\n</section>\n", f);
}

/* --- stages --- */

static void write_time(FILE *f, double seconds) {
    long long whole = (long long)limit(seconds, 0, 1e15);
    if (seconds < .95)
        fprintf(f, "%.0f ms", 1000 * seconds);
    else if (seconds < 10)
        fprintf(f, "%.1f s", seconds);
    else if (seconds < 59.5)
        fprintf(f, "%.0f s", seconds);
    else if (seconds < 3600)
        fprintf(f, "%lld min %02lld s", whole / 60, whole % 60);
    else
        fprintf(f, "%lld h %02lld min", whole / 3600, whole / 60 % 60);
}

static void memory_row(FILE *f, const json_t *stage, double most) {
    double peak = mf_page_number(stage, "peak_memory"), bound = mf_page_number(stage, "bound");
    bool over = peak > bound;
    if (!isfinite(peak)) return;
    fputs(ROW, f);
    mf_page_string(f, json_object_get(stage, "stage"));
    fprintf(f, MARKS "<i class=\"bar%s\" style=\"width:%.2f%%\"></i>", over ? " over" : "",
            100 * peak / most);
    if (isfinite(bound)) fprintf(f, "<i class=\"tick\" style=\"left:%.2f%%\"></i>", 100 * bound / most);
    fprintf(f, VALUE "%.0f", peak / 1e6);
    if (isfinite(bound))
        fprintf(f, " <small>%s %.0f MB</small>", over ? "over" : "of", bound / 1e6);
    else
        fputs(" <small>MB</small>", f);
    fputs("</span></div>\n", f);
}

static void time_row(FILE *f, const json_t *stage, double most) {
    double seconds = mf_page_number(stage, "seconds"), attempts = mf_page_number(stage, "attempts");
    if (!isfinite(seconds)) return;
    fputs(ROW, f);
    mf_page_string(f, json_object_get(stage, "stage"));
    fprintf(f, MARKS "<i class=\"bar\" style=\"width:%.2f%%\"></i>" VALUE, 100 * seconds / most);
    write_time(f, seconds);
    if (attempts > 1) fprintf(f, "<br><small>in %.0f attempts</small>", attempts);
    fputs("</span></div>\n", f);
}

void mf_page_stages(FILE *f, const json_t *report) {
    const json_t *list = json_object_get(report, "stages"), *stage;
    double memory = 0, longest = 0, sum = 0;
    size_t i;
    json_array_foreach(list, i, stage) {
        memory = fmax(memory, fmax(mf_page_number(stage, "peak_memory"), mf_page_number(stage, "bound")));
        longest = fmax(longest, mf_page_number(stage, "seconds"));
        sum += limit(mf_page_number(stage, "seconds"), 0, INFINITY);
    }
    if (!(memory > 0) || !(longest > 0)) return;
    fputs(
        "<section>\n<h2>Memory and time</h2>\n<div class=\"maps\">\n<figure id=\"memory\">\n<figcaption><h3>"
        "Peak memory of each stage</h3><span class=\"note\">Resident, in MB, with the bound that the default "
        "configuration keeps to.</span></figcaption>\n<ul class=\"key\"><li><span class=\"track\"><i "
        "class=\"bar\"></i></span>used</li><li><span class=\"track\"><i "
        "class=\"tick\"></i></span>bound</li></ul>\n" ROWS("Peak memory of each stage"),
        f);
    json_array_foreach(list, i, stage) memory_row(f, stage, memory * 1.02);
    fputs("</div>\n</figure>\n<figure id=\"time\">\n<figcaption><h3>Time of each stage</h3><span "
          "class=\"note\">",
          f);
    write_time(f, sum);
    fputs(" in all, one stage after the other.</span></figcaption>\n" ROWS("Time of each stage"), f);
    json_array_foreach(list, i, stage) time_row(f, stage, longest);
    fputs("</div>\n</figure>\n</div>\n</section>\n", f);
}
