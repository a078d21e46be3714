/* mf-eval page: a report as one HTML page. */
#include "cli/eval_commands.h"

#include <stdlib.h>
#include "cli/options.h"
#include "cli/gnuplot.h"
#include "cli/page.h"
#include "cli/report.h"
#include "io/file.h"

static const char notes[] =
    "Reads a report of mf-eval report and writes one HTML page: perplexity beside its baselines and by domain, samples\n"
    "coloured by expert, routing, loss curves (drawn by gnuplot), memory and time of the stages. The page needs no\n"
    "script and no network, fits a phone, and prints well. Chapters without data in the report are left out.\n"
    "\n"
    "example:\n"
    "  mf-eval page -o report.html report.json\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 not a report, 66 input cannot be opened, 69 gnuplot cannot be\n"
    "started or does not draw, 73 or 74 cannot write.\n";

static int write_page(json_t *report, const char *output, struct mf_err *err) {
    char *script = NULL, *drawings = NULL, *page = NULL;
    size_t size, charts = mf_page_prepare(report);
    int status = 0;
    if (charts > 0) status = mf_page_script(&script, &size, report, err);
    if (charts > 0 && status == 0) status = mf_gnuplot(script, size, charts, &drawings, err);
    if (status == 0) status = mf_page_make(&page, &size, report, drawings, err);
    if (status == 0) status = mf_out_whole(output, page, size, err);
    free(script);
    free(drawings);
    free(page);
    return status;
}

static int run(void *request, const struct mf_common *common, struct mf_strs *operands, struct mf_err *err) {
    const char **output = request, *path;
    (void)common;
    if (mf_options_operand(operands, "report", &path, err) < 0) return -1;
    json_t *report = mf_report_read(path, err);
    int status = report ? write_page(report, *output, err) : -1;
    json_decref(report);
    return status;
}

int mf_eval_page(int argc, char **argv) {
    const char *output = NULL;
    const struct mf_option options[] = {MF_OUTPUT_OPTION(&output), {0}};
    const struct mf_usage usage = {"mf-eval page", "show a report as one HTML page",
                                   "mf-eval page [OPTION]... [REPORT.json]", options, notes};
    return mf_options_run(&usage, run, &output, argc, argv);
}
