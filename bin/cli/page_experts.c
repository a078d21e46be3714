/* Who does what: routing as heat maps, and samples coloured by expert. */
#include <math.h>
#include <string.h>
#include "cli/page.h"

static void chip(FILE *f, size_t expert) {
    fprintf(f, "<span class=\"chip e%d\">%zu</span>", mf_page_colour((long long)expert), expert);
}

/* --- heat maps --- */

/* Columns of a table: of more experts there are several, one below the other, that a page of paper has room
 * for. */
#define COLUMNS 16

static void open_map(FILE *f, const char *id, const char *title, const char *note) {
    fprintf(f,
            "<figure id=\"%s\">\n<figcaption><h3>%s</h3><span "
            "class=\"note\">%s</span></figcaption>\n",
            id, title, note);
}

/* A table of experts `from` to before `to`; its head stays open for another column. */
static void open_table(FILE *f, const char *title, const char *corner, size_t from, size_t to) {
    fprintf(f,
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"%s, from expert %zu\">\n"
            "<table><thead><tr><th scope=\"col\">%s</th>",
            title, from, corner);
    for (size_t e = from; e < to; e++) {
        fputs("<th scope=\"col\">", f);
        chip(f, e);
        fputs("</th>", f);
    }
}

/* A share, 0 to 1, as its percentage on its colour. The darkest is the largest of the map; the shares of many
 * experts are small. */
static void cell(FILE *f, double share, double most, size_t E, bool dead) {
    if (dead)
        fputs("<td class=\"dead\">dead</td>", f);
    else if (!isfinite(share))
        fputs("<td>–</td>", f);
    else
        fprintf(f, "<td class=\"heat\" style=\"--v:%.3f\">%.*f%%</td>", most > 0 ? share / most : 0,
                E > COLUMNS && share < .0995, 100 * share);
}

static double share_of(const json_t *list, size_t e) {
    const json_t *value = json_array_get(list, e);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static size_t end_of_table(size_t from, size_t E) {
    return E - from > COLUMNS ? from + COLUMNS : E;
}

static void layer_map(FILE *f, const json_t *layers, size_t E) {
    static const char title[] = "Layers and experts";
    const json_t *layer;
    double most = 0;
    size_t i, e;
    json_array_foreach(layers, i, layer) for (e = 0; e < E; e++) most =
        fmax(most, share_of(json_object_get(layer, "shares"), e));
    open_map(f, "layers", title, "Share of each layer's routed tokens.");
    for (size_t from = 0, to; from < E; from = to) {
        to = end_of_table(from, E);
        open_table(f, title, "layer", from, to);
        fputs(to == E ? "<th scope=\"col\">balance</th></tr></thead>\n<tbody>\n" : "</tr></thead>\n<tbody>\n",
              f);
        json_array_foreach(layers, i, layer) {
            const json_t *shares = json_object_get(layer, "shares");
            fprintf(f, "<tr><th scope=\"row\">%.0f</th>", mf_page_number(layer, "layer"));
            for (e = from; e < to; e++) cell(f, share_of(shares, e), most, E, share_of(shares, e) == 0);
            if (to == E) fprintf(f, "<td class=\"side\">%.2f</td>", mf_page_number(layer, "balance"));
            fputs("</tr>\n", f);
        }
        fputs("</tbody></table>\n</div>\n", f);
    }
    fputs("<p class=\"note\">Balance is 1 when all experts get the same, and falls towards 0 as few get "
          "most.</p>\n</figure>\n",
          f);
}

/* The mean over layers of the domain's shares of first choices. */
static double domain_share(const json_t *layers, const char *domain, size_t e) {
    const json_t *layer;
    double sum = 0, n = 0;
    size_t i;
    json_array_foreach(layers, i, layer) {
        double share = share_of(json_object_get(json_object_get(layer, "domains"), domain), e);
        if (!isfinite(share)) continue;
        sum += share;
        n++;
    }
    return n > 0 ? sum / n : NAN;
}

static void domain_map(FILE *f, const json_t *layers, size_t E) {
    static const char title[] = "Domains and experts";
    json_t *domains = json_object_get(json_array_get(layers, 0), "domains"), *ignored;
    const char *name;
    double most = 0;
    if (!json_object_size(domains)) return;
    name = json_object_iter_key(json_object_iter(domains));
    if (json_object_size(domains) == 1 && mf_page_no_domain(name)) return;
    json_object_foreach(domains, name, ignored) for (size_t e = 0; e < E; e++) most =
        fmax(most, domain_share(layers, name, e));
    open_map(f, "domain-map", title,
             "Share of each domain's tokens whose first choice it is, mean over layers.");
    for (size_t from = 0, to; from < E; from = to) {
        to = end_of_table(from, E);
        open_table(f, title, "domain", from, to);
        fputs("</tr></thead>\n<tbody>\n", f);
        json_object_foreach(domains, name, ignored) {
            fputs("<tr><th scope=\"row\">", f);
            mf_page_text(f, name, strlen(name));
            fputs("</th>", f);
            for (size_t e = from; e < to; e++) cell(f, domain_share(layers, name, e), most, E, false);
            fputs("</tr>\n", f);
        }
        fputs("</tbody></table>\n</div>\n", f);
    }
    fputs("</figure>\n", f);
}

/* The mean over layers. */
static double mean(const json_t *layers, const char *key) {
    const json_t *layer;
    double sum = 0;
    size_t i;
    json_array_foreach(layers, i, layer) sum += mf_page_number(layer, key);
    return sum / (double)json_array_size(layers);
}

void mf_page_routing(FILE *f, const json_t *report) {
    const json_t *layers = mf_page_find(report, "routing.layers");
    size_t E = json_array_size(mf_page_find(report, "routing.experts")), dead = 0, i;
    const json_t *layer;
    if (!E || !json_array_size(layers)) return;
    json_array_foreach(layers, i, layer) dead += json_array_size(json_object_get(layer, "dead"));
    double top_k = mf_page_number(mf_page_find(report, "routing"), "top_k"),
           agreement = mean(layers, "agreement");
    fprintf(f, "<section>\n<h2>Routing</h2>\n<p>Each token goes to %.0f of %zu experts in every layer. ",
            top_k, E);
    if (isfinite(agreement))
        fprintf(f, "Agreement of first choices with domains is %.2f (0 none, 1 full). ", agreement);
    if (dead)
        fprintf(f, "<b class=\"bad\">%zu of the %zu places in layers get no token at all.</b>", dead,
                E * json_array_size(layers));
    else
        fputs("No expert is dead.", f);
    fputs("</p>\n", f);
    fputs(E > COLUMNS / 2 ? "<div class=\"maps wide\">\n" : "<div class=\"maps\">\n", f);
    layer_map(f, layers, E);
    domain_map(f, layers, E);
    fputs("</div>\n</section>\n", f);
}

/* --- samples --- */

/* Pieces of text, each [text, expert or null]; the expert's number stands where it changes. */
static void pieces(FILE *f, const json_t *list, long long *current) {
    const json_t *piece;
    size_t i;
    json_array_foreach(list, i, piece) {
        const json_t *expert = json_array_get(piece, 1);
        if (!json_is_integer(expert)) {
            fputs("<span>", f);
            mf_page_string(f, json_array_get(piece, 0));
            fputs("</span>", f);
            continue;
        }
        long long e = json_integer_value(expert);
        if (e != *current) fprintf(f, "<sub>%lld</sub>", e);
        *current = e;
        fprintf(f, "<span class=\"e%d\" title=\"expert %lld\">", mf_page_colour(e), e);
        mf_page_string(f, json_array_get(piece, 0));
        fputs("</span>", f);
    }
}

static void sample(FILE *f, const json_t *one) {
    long long current = -1;
    const json_t *text = json_object_get(one, "pieces");
    fputs("<div class=\"sample\"><b>", f);
    if (json_is_array(text)) {
        pieces(f, json_object_get(one, "prompt_pieces"), &current);
        fputs("</b>", f);
        pieces(f, text, &current);
    } else {
        mf_page_string(f, json_object_get(one, "prompt"));
        fputs("</b>", f);
        mf_page_string(f, json_object_get(one, "text"));
    }
    fputs("</div>\n", f);
}

void mf_page_samples(FILE *f, const json_t *report) {
    const json_t *list = json_object_get(report, "samples"), *one;
    size_t E = json_array_size(mf_page_find(report, "routing.experts")), i;
    if (!json_array_size(list)) return;
    fputs(
        "<section>\n<h2>What it writes</h2>\n<figure id=\"samples\">\n<figcaption class=\"note\">The prompt "
        "in bold, then the model's own text. Each token has the colour of its top expert: the one with the "
        "most weight over all layers. The expert's number stands where it changes.</figcaption>\n<ul "
        "class=\"key\" aria-label=\"experts\">",
        f);
    for (size_t e = 0; e < E; e++) {
        fputs("<li>", f);
        chip(f, e);
        fputs("</li>", f);
    }
    fputs("</ul>\n", f);
    json_array_foreach(list, i, one) sample(f, one);
    fputs("</figure>\n</section>\n", f);
}
