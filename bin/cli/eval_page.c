/* mf-eval page: a report as one HTML page. */
#include "cli/eval_commands.h"

#include <stdlib.h>
#include "cli/options.h"
#include "cli/gnuplot.h"
#include "cli/page.h"
#include "cli/report.h"
#include "io/file.h"

static const char notes[] =
    "Reads what mf-eval report wrote and writes one HTML page of it: the perplexity beside its baselines and by domain,\n"
    "samples coloured by expert, routing, loss curves (drawn by gnuplot), memory and time of the stages. The page needs\n"
    "no script and no network, fits a phone, and can be printed. What the report does not hold is left out.\n"
    "\n"
    "example:\n"
    "  mf-eval page -o report.html report.json\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 not a report, 66 input cannot be opened, 69 gnuplot cannot be\n"
    "started or does not draw, 73 or 74 cannot write.\n";

/* NULL drawings where there is nothing to draw. */
static int draw(const json_t *report, char **drawings, struct mf_err *err) {
    char *script = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&script, &size);
    if (!f) return mf_err_sys(err, EX_OSERR, "cannot make a script");
    size_t charts = mf_page_curves_script(f, report);
    int status = fclose(f) == 0 ? 0 : mf_err_sys(err, EX_OSERR, "cannot make a script");
    if (status == 0 && charts > 0) status = mf_gnuplot(script, size, charts, drawings, err);
    free(script);
    return status;
}

static int write_page(const json_t *report, const char *output, struct mf_err *err) {
    char *drawings = NULL, *text = NULL;
    size_t size = 0;
    if (draw(report, &drawings, err) < 0) return -1;
    FILE *f = open_memstream(&text, &size);
    if (f) mf_page_write(f, report, drawings);
    int status = f && fclose(f) == 0 ? 0 : mf_err_sys(err, EX_OSERR, "cannot make a page");
    if (status == 0) status = mf_out_whole(output, text, size, err);
    free(drawings);
    free(text);
    return status;
}

int mf_eval_page(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_common common;
    struct mf_strs operands = {0};
    const char *output = NULL, *path = NULL;
    const struct mf_option options[] = {
        {"output", 'o', MF_OPT_STRING, &output, "FILE", "write to FILE instead of standard output", 0, 0},
        {0}};
    const struct mf_usage usage = {"mf-eval page", "show a report as one HTML page",
                                   "mf-eval page [OPTION]... [REPORT.json]", options, notes};
    int status = mf_options_parse(&usage, &common, &operands, argc, argv, &err);
    if (status == 0) status = mf_options_operand(&operands, "report", &path, &err);
    if (status == 0) {
        json_t *report = mf_report_read(path, &err);
        status = report ? write_page(report, output, &err) : -1;
        json_decref(report);
    }
    return mf_options_end("mf-eval page", status, &common, &operands, &err);
}
