/* mf-eval compare: what got better and worse from one report to another. */
#include "cli/eval_commands.h"

#include <stdio.h>
#include "cli/options.h"
#include "cli/report.h"

static const char notes[] =
    "Reads two reports of mf-eval report and prints one line for each number that both have: the first value, the\n"
    "second, the change, and whether it is better. A perplexity that changed by less than the two standard errors\n"
    "together counts as even.\n"
    "\n"
    "example:\n"
    "  mf-eval compare runs/before/report.json runs/demo/report.json\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 not a report, or nothing to compare, 66 input cannot be opened, 74 cannot\n"
    "write.\n";

static int compare(void *request, const struct mf_common *common, struct mf_strs *operands,
                   struct mf_err *err) {
    (void)request, (void)common;
    if (operands->count != 2) return mf_err_set(err, EX_USAGE, "give two reports");
    const char *first = operands->items[0], *second = operands->items[1];
    json_t *a = mf_report_read(first, err), *b = a ? mf_report_read(second, err) : NULL;
    int status = a && b ? 0 : -1;
    if (status == 0 && mf_report_compare(stdout, a, b) == 0)
        status = mf_err_set(err, EX_DATAERR, "%s: no number that %s has too", first, second);
    if (status == 0 && fflush(stdout) != 0) status = mf_err_sys(err, EX_IOERR, "standard output");
    json_decref(a);
    json_decref(b);
    return status;
}

int mf_eval_compare(int argc, char **argv) {
    const struct mf_option options[] = {{0}};
    const struct mf_usage usage = {"mf-eval compare", "what got better and worse between two reports",
                                   "mf-eval compare FIRST.json SECOND.json", options, notes};
    return mf_options_run(&usage, compare, NULL, argc, argv);
}
