/* A report (formats/report.md) as one HTML page that needs nothing else: no script, no network.
 *
 * Each part writes one section of the page, or nothing when the report has no such data. Text that comes from
 * the report is always escaped. */
#ifndef MF_CLI_PAGE_H
#define MF_CLI_PAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* The whole page. `drawings`: what gnuplot drew by the script below, or NULL for a page without. */
void mf_page_write(FILE *f, const json_t *report, const char *drawings);

/* Writes gnuplot's script (gnuplot.h) for the loss curves and returns how many charts it draws. Of the report
 * it holds finite numbers alone. */
size_t mf_page_curves_script(FILE *f, const json_t *report);

/* --- its sections --- */

void mf_page_headline(FILE *f, const json_t *report);
void mf_page_domains(FILE *f, const json_t *report);
void mf_page_curves(FILE *f, const json_t *report, const char *drawings);
void mf_page_routing(FILE *f, const json_t *report);
void mf_page_samples(FILE *f, const json_t *report);
void mf_page_stages(FILE *f, const json_t *report);

/* --- what they share --- */

extern const char mf_page_style[];

/* UTF-8 text with the characters of HTML escaped, and control characters but line end and tab shown as
 * symbols. */
void mf_page_text(FILE *f, const char *text, size_t size);
void mf_page_string(FILE *f, const json_t *string); /* nothing for what is no string */

/* NaN when it is absent or no number. */
double mf_page_number(const json_t *object, const char *key);

/* A number with so many digits behind the point, or shortened when it is a million or more; `text` is given
 * back: mf_page_real((char[MF_PAGE_REAL]){0}, value, 2). */
#define MF_PAGE_REAL 32
const char *mf_page_real(char text[MF_PAGE_REAL], double value, int digits);

/* A number of things, "193,205". */
void mf_page_count(FILE *f, double count);

/* The member at the end of a path of keys "a.b.c", or NULL. */
const json_t *mf_page_find(const json_t *object, const char *path);

/* Whether this stands for documents without a domain. */
bool mf_page_no_domain(const char *domain);

/* The style class of an expert, 0 to 7. */
int mf_page_colour(long long expert);

#endif
