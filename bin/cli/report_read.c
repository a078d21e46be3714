/* Reading a report back. */
#include <string.h>
#include "cli/report.h"
#include "io/json_file.h"

#define REPORT_LIMIT ((size_t)256 << 20)

json_t *mf_report_read(const char *path, struct mf_err *err) {
    json_t *report = mf_json_read(path, REPORT_LIMIT, JSON_ALLOW_NUL, err);
    if (!report || json_integer_value(json_object_get(report, "version")) == 1) return report;
    json_decref(report);
    mf_err_set(err, EX_DATAERR, "%s: not a report of version 1",
               path && strcmp(path, "-") != 0 ? path : "standard input");
    return NULL;
}
