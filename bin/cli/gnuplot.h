/* Charts drawn by gnuplot, a program of its own (Debian: gnuplot-nox), as SVG for the inside of a page. */
#ifndef MF_CLI_GNUPLOT_H
#define MF_CLI_GNUPLOT_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

/* Runs a script that plots `charts` times on the terminal svg. Its commands can do whatever a program can, so
 * nothing but numbers may have come from a file. *svg is new: one SVG document after the other, exactly that
 * many. EX_UNAVAILABLE when gnuplot cannot be started or does not draw them; EX_DATAERR when they are larger
 * than a page can hold. */
int mf_gnuplot(const char *script, size_t size, size_t charts, char **svg, struct mf_err *err);

/* *drawn is new: what is drawn in the first document of `svg`, without the <svg> around it. Returns what
 * follows that; NULL when there is none. Ids would be others' too: they become classes, gnuplot_plot_1 the
 * first curve's, and the definitions of marks are left out unless `marks`: once is enough for a page. Titles
 * are dropped. */
const char *mf_gnuplot_inline(char **drawn, size_t *size, const char *svg, bool marks);

#endif
