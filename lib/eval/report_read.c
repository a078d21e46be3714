/* Reading a report back. */
#include <stdlib.h>
#include <string.h>
#include "eval/report.h"

#define REPORT_LIMIT ((size_t)256 << 20)

json_t *mf_report_read(const char *path, struct mf_err *err) {
    unsigned char *text;
    size_t size;
    json_error_t where;
    if (mf_read_all(path, REPORT_LIMIT, &text, &size, err) < 0) return NULL;
    json_t *report = json_loadb((const char *)text, size, JSON_ALLOW_NUL, &where);
    free(text);
    const char *name = path && strcmp(path, "-") != 0 ? path : "standard input";
    if (!report)
        mf_err_set(err, EX_DATAERR, "%s: line %d: %s", name, where.line, where.text);
    else if (json_integer_value(json_object_get(report, "version")) != 1) {
        mf_err_set(err, EX_DATAERR, "%s: not a report of version 1", name);
        json_decref(report);
        report = NULL;
    }
    return report;
}
