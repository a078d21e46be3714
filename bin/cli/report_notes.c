/* How a model was made, from what the stages wrote down while they ran. */
#include "cli/report_notes.h"

#include <string.h>
#include "base/clock.h"
#include "cli/program.h"
#include "io/json_fields.h"
#include "io/json_file.h"
#include "io/stream.h"
#include "io/utf8.h"

/* Evaluation keeps below this with the default configuration, whatever the number of experts. */
#define OWN_BOUND 100000000

#define NOTE_LIMIT ((size_t)16 << 20) /* bytes of a calibration or a stage */

const char *mf_report_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int mf_report_training(const char *path, json_t *trainings, int64_t *peak, struct mf_err *err) {
    struct mf_stream_reader *r;
    const struct mf_record *rec;
    json_t *loss = json_array(), *validation = json_array(), *one = json_object();
    int64_t step = 0, memory = 0, max = 0;
    double value, speed = 0;
    int got = 0;
    json_object_set_new(one, "file", mf_utf8_json(mf_report_name(path), strlen(mf_report_name(path))));
    json_object_set_new(one, "loss", loss);
    json_object_set_new(one, "validation", validation);
    json_array_append_new(trainings, one);
    if (mf_stream_open(&r, path, "metrics", err) < 0) return -1;
    while ((got = mf_stream_next(r, &rec, err)) > 0) {
        if (mf_record_int(rec, "step", &step, err) < 0 ||
            mf_record_real(rec, "tokens_per_s", &speed, err) < 0 ||
            mf_record_int(rec, "peak_memory", &memory, err) < 0)
            got = -1;
        if (got > 0 && (got = mf_record_real(rec, "loss", &value, err)) > 0)
            json_array_append_new(loss, json_pack("[I,o]", (json_int_t)step, mf_real_json(value)));
        int there = got < 0 ? -1 : mf_record_real(rec, "val_loss", &value, err);
        if (there > 0)
            json_array_append_new(validation, json_pack("[I,o]", (json_int_t)step, mf_real_json(value)));
        if (there < 0) got = -1;
        if (got < 0) break;
        if (memory > max) max = memory;
    }
    mf_stream_close(r);
    json_object_set_new(one, "steps", json_integer((json_int_t)step));
    json_object_set_new(one, "tokens_per_s", mf_real_json(speed));
    json_object_set_new(one, "peak_memory", json_integer((json_int_t)max));
    if (max > *peak) *peak = max;
    return got < 0 ? -1 : 0;
}

/* As mf-calibrate writes them (formats/report.md). */
static const struct mf_json_field calibration_fields[] = {
    {"calibrated", MF_JSON_FLAG, 0},
    {"loss_before", MF_JSON_REAL, MF_JSON_NULL},
    {"loss_after", MF_JSON_REAL, MF_JSON_NULL},
    {"changes", MF_JSON_LIST, 0},
    {"notes", MF_JSON_LIST, 0},
    {0},
};
static const struct mf_json_field change_fields[] = {
    {"what", MF_JSON_TEXT, 0},
    {"loss", MF_JSON_REAL, 0},
    {"kept", MF_JSON_FLAG, 0},
    {0},
};

/* As mf-time does. */
static const struct mf_json_field stage_fields[] = {
    {"seconds", MF_JSON_AMOUNT, 0},
    {"cpu_seconds", MF_JSON_AMOUNT, 0},
    {"peak_memory", MF_JSON_AMOUNT, 0},
    {"bound", MF_JSON_AMOUNT, MF_JSON_NULL},
    {"attempts", MF_JSON_COUNT, 0},
    {"status", MF_JSON_COUNT, 0},
    {0},
};

static int check_calibration(const json_t *calibration, const char *path, struct mf_err *err) {
    size_t i;
    json_t *note;
    if (mf_json_fields(calibration, calibration_fields, path, "not a report of mf-calibrate", err) < 0 ||
        mf_json_rows(json_object_get(calibration, "changes"), change_fields, path,
                     "not a report of mf-calibrate: changes", err) < 0)
        return -1;
    json_array_foreach(json_object_get(calibration, "notes"), i, note) {
        if (!json_is_string(note))
            return mf_err_set(err, EX_DATAERR, "%s: not a report of mf-calibrate: notes must be text", path);
    }
    return 0;
}

int mf_report_calibration(const char *path, json_t *report, struct mf_err *err) {
    json_t *calibration = path ? mf_json_read(path, NOTE_LIMIT, 0, err) : NULL;
    if (!calibration) return path ? -1 : 0;
    int status = check_calibration(calibration, path, err);
    if (status == 0) json_object_set(report, "calibration", calibration);
    json_decref(calibration);
    return status;
}

int mf_report_stage(const char *path, json_t *stages, struct mf_err *err) {
    json_t *stage = mf_json_read(path, NOTE_LIMIT, 0, err);
    const char *name = mf_report_name(path);
    size_t size = strlen(name);
    if (!stage) return -1;
    int status = mf_json_fields(stage, stage_fields, path, "not a record of mf-time", err);
    if (size > 5 && strcmp(name + size - 5, ".json") == 0) size -= 5;
    if (status == 0) {
        json_object_set_new(stage, "stage", mf_utf8_json(name, size));
        json_array_append(stages, stage);
    }
    json_decref(stage);
    return status;
}

void mf_report_own_stage(double start, json_t *stages) {
    json_array_append_new(stages, json_pack("{s:s, s:f, s:f, s:I, s:I, s:i, s:i}", "stage", "report",
                                            "seconds", mf_now() - start, "cpu_seconds", mf_cpu_seconds(),
                                            "peak_memory", (json_int_t)mf_peak_memory(), "bound",
                                            (json_int_t)OWN_BOUND, "attempts", 1, "status", 0));
}

json_t *mf_report_warnings(const json_t *stages) {
    json_t *list = json_array(), *stage;
    size_t i;
    json_array_foreach(stages, i, stage) {
        json_t *name = json_object_get(stage, "stage"), *bound = json_object_get(stage, "bound");
        double peak = json_number_value(json_object_get(stage, "peak_memory"));
        if (!json_is_number(bound) || !(peak > json_number_value(bound))) continue;
        json_array_append_new(list,
                              json_pack("{s:O, s:o}", "stage", name, "text",
                                        json_sprintf("took %.0f MB of memory, above its bound of %.0f MB",
                                                     peak / 1e6, json_number_value(bound) / 1e6)));
    }
    return list;
}

void mf_report_warn(const char *program, const json_t *warnings) {
    size_t i;
    json_t *warning;
    struct mf_err line;
    json_array_foreach(warnings, i, warning) {
        mf_err_set(&line, 0, "%s %s", json_string_value(json_object_get(warning, "stage")),
                   json_string_value(json_object_get(warning, "text")));
        mf_fail(program, &line);
    }
}

json_t *mf_report_memory(int64_t training) {
    json_t *memory = json_object();
    json_object_set_new(memory, "eval_peak", json_integer((json_int_t)mf_peak_memory()));
    if (training) json_object_set_new(memory, "training_peak", json_integer((json_int_t)training));
    return memory;
}
