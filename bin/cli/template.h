/* Text with places to fill in, in a small dialect of Mustache: bin/cli/page/report.html says at its head what
 * a template may hold. */
#ifndef MF_CLI_TEMPLATE_H
#define MF_CLI_TEMPLATE_H

#include <jansson.h>
#include "base/err.h"

/* A template filled from `row`, an object; new text with a zero byte behind it. What is filled in is escaped
 * as HTML, with control characters but line end and tab shown as symbols. EX_SOFTWARE, naming template and
 * line, where the template is wrong. */
int mf_template_fill(char **filled, size_t *size, const char *name, const char *text, const json_t *row,
                     struct mf_err *err);

/* What a path of keys "a.b.0" leads to in an object or list, "." itself, or NULL. */
json_t *mf_template_find(const json_t *row, const char *path);

#endif
