/* Reports and prompts. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/page.h"
#include "cli/prompts.h"
#include "cli/report.h"
#include "cli/report_notes.h"
#include "io/utf8.h"

/* --- reports --- */

int read_report(const char *path) {
    struct mf_err err = {0};
    char *page = NULL;
    size_t size;
    json_t *report = mf_report_read(path, &err);
    if (check(report ? 0 : -1, &err) < 0) return -1;
    mf_page_prepare(report);
    if (check(mf_page_script(&page, &size, report, &err), &err) < 0) abort();
    free(page);
    if (check(mf_page_make(&page, &size, report, NULL, &err), &err) < 0) abort();
    free(page);
    json_decref(report);
    return 0;
}

/* With itself, and with a good one. */
int read_compared(const char *path) {
    const char *good = getenv("MF_FUZZ_REPORT");
    struct mf_err err = {0};
    json_t *a = mf_report_read(path, &err), *b = mf_report_read(good ? good : path, &err);
    FILE *f = fopen("/dev/null", "w");
    if (!f || !b) abort();
    if (a) mf_report_compare(f, a, a);
    if (a) mf_report_compare(f, a, b);
    if (a) mf_report_compare(f, b, a);
    fclose(f);
    json_decref(a);
    json_decref(b);
    return a ? 0 : -1;
}

/* --- prompts --- */

/* As the lines of standard input. */
int read_prompts(const char *path) {
    struct mf_err err = {0};
    struct mf_prompts *p;
    const struct mf_strs none = {0};
    const char *text;
    size_t size;
    int fd = open(path, O_RDONLY), more;
    if (fd < 0 || dup2(fd, 0) < 0) abort();
    close(fd);
    if (mf_prompts_open(&p, &none, NULL, &err) < 0) abort();
    while ((more = mf_prompts_next(p, &text, &size, &err)) > 0) {
        json_decref(mf_utf8_json(text, size));
        if (memchr(text, '\n', size)) abort();
    }
    mf_prompts_close(p);
    return check(more, &err);
}

int read_notes(const char *path) {
    struct mf_err err = {0};
    json_t *report = json_object(), *stages = json_array();
    int result = check(mf_report_calibration(path, report, &err), &err);
    check(mf_report_stage(path, stages, &err), &err);
    json_decref(report);
    json_decref(stages);
    return result;
}
