/* A report (formats/report.md) as one HTML page that needs nothing else: no script, no network. How it looks
 * is written in bin/cli/page/: report.html, style.css and, for the curves, curves.gnuplot. */
#ifndef MF_CLI_PAGE_H
#define MF_CLI_PAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

/* Adds to a report what the two below need besides: comparisons, scales, tables. Returns how many charts
 * gnuplot has to draw. */
size_t mf_page_prepare(json_t *report);

/* New: gnuplot's script (gnuplot.h). Of the report it holds finite numbers alone. */
int mf_page_script(char **script, size_t *size, const json_t *report, struct mf_err *err);

/* New: the page. `drawings`: what gnuplot drew by that script, or NULL for a page without. */
int mf_page_make(char **page, size_t *size, json_t *report, const char *drawings, struct mf_err *err);

/* NaN when it is absent or not a number. */
double mf_page_number(const json_t *object, const char *key);

/* --- its parts --- */

/* What is measured: the model among its baselines, by domain, by place in the document (page_measures.c). */
void mf_page_prepare_measures(json_t *report);

/* Adds to each training its name and what can be drawn of it, and to the report all charts. */
size_t mf_page_prepare_curves(json_t *report);

/* Adds to each chart its drawing. */
void mf_page_draw(const json_t *report, const char *drawings);

/* json_pack, json_object_set_new and json_array_append_new that end the process when memory is out
 * (base/memory.h). To set NULL removes the member; nothing is set in what is no object. */
#define mf_page_pack(...) mf_page_kept(json_pack(__VA_ARGS__))
json_t *mf_page_kept(json_t *value);
void mf_page_set(json_t *object, const char *key, json_t *value);
void mf_page_append(json_t *list, json_t *value);

/* A new number; NULL for NaN and infinities. True, or NULL. */
json_t *mf_page_real(double value);
json_t *mf_page_whole(size_t value);
json_t *mf_page_flag(bool value);

/* Whether this stands for documents without a domain. */
bool mf_page_is_none(const char *domain);

#endif
