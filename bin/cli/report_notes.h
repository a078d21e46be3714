/* The parts of a report that were written down while the model was made (formats/report.md). */
#ifndef MF_CLI_REPORT_NOTES_H
#define MF_CLI_REPORT_NOTES_H

#include <jansson.h>
#include <stdint.h>
#include "base/err.h"

/* Appends the curve of a metrics stream to `trainings`; *peak grows to its largest memory. EX_NOINPUT,
 * EX_DATAERR. */
int mf_report_training(const char *path, json_t *trainings, int64_t *peak, struct mf_err *err);

/* Appends a record of mf-time to `stages`, named by its file. EX_NOINPUT, EX_DATAERR. */
int mf_report_stage(const char *path, json_t *stages, struct mf_err *err);

/* Appends this process, which began at `start` (mf_now). */
void mf_report_own_stage(double start, json_t *stages);

/* What people should know of the stages: a list, new, of {"stage", "text"}, one for each that took more
 * memory than its bound. */
json_t *mf_report_warnings(const json_t *stages);

/* Prints them on standard error, a line each. */
void mf_report_warn(const char *program, const json_t *warnings);

/* Puts mf-calibrate's report into `report`; nothing for NULL. EX_NOINPUT, EX_DATAERR. */
int mf_report_calibration(const char *path, json_t *report, struct mf_err *err);

/* The largest memory of this process and, when not 0, of the trainings; new. */
json_t *mf_report_memory(int64_t training);

/* The file's name without its folders. */
const char *mf_report_name(const char *path);

#endif
