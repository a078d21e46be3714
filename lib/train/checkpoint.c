/* Checkpoints are bundles: the parameters under their own names, the moments under `m.` and `v.` before them.
 */
#include "train/checkpoint.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/strings.h"
#include "io/bundle.h"
#include "io/json_fields.h"

static struct mf_tensor moment(const char *prefix, const struct mf_tensor *of, float *data) {
    struct mf_tensor t = *of;
    snprintf(t.name, sizeof t.name, "%s.%.*s", prefix, MF_TENSOR_NAME - 3, of->name);
    t.data = data;
    return t;
}

/* All tensors of a checkpoint: parameters, first moments, second moments; new memory. */
static struct mf_tensor *list(const struct mf_train_arrays *a, size_t *count) {
    struct mf_tensor *all = calloc(3 * a->count, sizeof *all);
    if (!all) return NULL;
    memcpy(all, a->tensors, a->count * sizeof *all);
    *count = a->count;
    if (!a->moments) return all;
    for (size_t i = 0; i < a->count; i++) all[(*count)++] = moment("m", &a->tensors[i], a->moments[i].m);
    for (size_t i = 0; i < a->count; i++)
        if (a->moments[i].v) all[(*count)++] = moment("v", &a->tensors[i], a->moments[i].v);
    return all;
}

/* PATH.N, or PATH for 0. Owned. */
static char *numbered(const char *path, int64_t n) {
    return n ? mf_format("%s.%lld", path, (long long)n) : mf_format("%s", path);
}

/* Moves checkpoint N one further: renames it, the newest gets a second name. One that is not there is fine.
 */
static int move(const char *path, int64_t n, struct mf_err *err) {
    char *from = numbered(path, n), *to = numbered(path, n + 1);
    int status = (n ? rename(from, to) : link(from, to)) == 0 || errno == ENOENT ? 0 : -1;
    if (status < 0) mf_err_sys(err, EX_IOERR, "%s", n ? from : to);
    free(from);
    free(to);
    return status;
}

/* Moves each checkpoint one further; the newest stays where it is too, until the new one takes its name. A
 * process that was killed in between has moved them already. */
static int rotate(const char *path, int64_t keep, struct mf_err *err) {
    char *first = numbered(path, 1);
    bool moved = mf_same_path(path, first);
    free(first);
    for (int64_t n = keep - 1; n >= 0 && !moved; n--)
        if (move(path, n, err) < 0) return -1;
    return 0;
}

void mf_checkpoint_unlink(const char *path, const char *suffix) {
    char place[PATH_MAX];
    int size = snprintf(place, sizeof place, "%s%s", path, suffix);
    if (size > 0 && (size_t)size < sizeof place) unlink(place);
}

void mf_checkpoint_remove(const char *path, int64_t keep) {
    mf_checkpoint_unlink(path, "");
    for (int64_t n = 1; n <= keep; n++) {
        char number[24];
        snprintf(number, sizeof number, ".%lld", (long long)n);
        mf_checkpoint_unlink(path, number);
    }
}

int mf_checkpoint_write(const char *path, int64_t keep, const json_t *identity,
                        const struct mf_train_state *s, const struct mf_train_arrays *arrays,
                        struct mf_err *err) {
    struct mf_out *out;
    size_t count;
    struct mf_tensor *tensors = list(arrays, &count);
    if (!tensors) return mf_err_set(err, EX_OSERR, "out of memory");
    json_t *state = json_pack("{sI,sI}", "step", (json_int_t)s->step, "best_step", (json_int_t)s->best_step);
    if (s->best_step >= 0) json_object_set_new(state, "best_loss", json_real(s->best_loss));
    if (!isnan(s->first_loss)) json_object_set_new(state, "first_loss", json_real(s->first_loss));
    if (s->skipped) json_object_set_new(state, "skipped", json_integer((json_int_t)s->skipped));
    json_t *meta = json_pack("{sO,so}", "identity", identity, "state", state);
    int status = mf_out_open(&out, path, err);
    if (status == 0) {
        status = mf_bundle_write(out, "checkpoint", meta, tensors, count, err);
        if (status == 0) status = rotate(path, keep, err);
        status = mf_out_end(out, status, err);
    }
    json_decref(meta);
    free(tensors);
    return status;
}

static int differs(const char *path, const char *section, const char *key, const json_t *here,
                   const json_t *there, struct mf_err *err) {
    char *ours = here ? json_dumps(here, JSON_ENCODE_ANY) : NULL,
         *theirs = there ? json_dumps(there, JSON_ENCODE_ANY) : NULL;
    mf_err_set(err, EX_DATAERR, "%s: of another training: %s%s is %.80s there, %.80s here", path, section,
               key, theirs ? theirs : "missing", ours ? ours : "missing");
    free(ours);
    free(theirs);
    return -1;
}

/* Names the first thing in which two objects differ; a setting as its users do, by `section` ("train."). */
static int compare(const char *path, const char *section, const json_t *here, const json_t *there,
                   struct mf_err *err) {
    const char *key;
    char inner[64];
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)there, key, value) {
        if (!json_object_get(here, key)) return differs(path, section, key, NULL, value, err);
    }
    json_object_foreach((json_t *)(uintptr_t)here, key, value) {
        const json_t *other = json_object_get(there, key);
        if (json_equal(value, other)) continue;
        if (!json_is_object(value) || !json_is_object(other))
            return differs(path, section, key, value, other, err);
        snprintf(inner, sizeof inner, "%.60s.", key);
        return compare(path, strcmp(key, "settings") == 0 ? "" : inner, value, other, err);
    }
    return 0;
}

static int parse_state(const char *path, const json_t *state, struct mf_train_state *s, struct mf_err *err) {
    static const struct mf_json_field fields[] = {{"step", MF_JSON_COUNT, 0},
                                                  {"best_step", MF_JSON_INTEGER, 0},
                                                  {"best_loss", MF_JSON_REAL, MF_JSON_ABSENT},
                                                  {"first_loss", MF_JSON_REAL, MF_JSON_ABSENT},
                                                  {"skipped", MF_JSON_COUNT, MF_JSON_ABSENT},
                                                  {0}};
    if (mf_json_fields(state, fields, path, "the manifest's state", err) < 0) return -1;
    s->step = json_integer_value(json_object_get(state, "step"));
    s->best_step = json_integer_value(json_object_get(state, "best_step"));
    const json_t *loss = json_object_get(state, "best_loss"), *first = json_object_get(state, "first_loss");
    s->skipped = json_integer_value(json_object_get(state, "skipped"));
    s->best_loss = loss ? json_number_value(loss) : INFINITY;
    s->first_loss = first ? json_number_value(first) : NAN;
    return 0;
}

json_t *mf_checkpoint_identity(const char *path) {
    struct mf_err err;
    struct mf_bundle *b;
    if (mf_bundle_open(&b, path, "checkpoint", &err) < 0) return NULL;
    json_t *identity = json_incref(json_object_get(mf_bundle_meta(b), "identity"));
    mf_bundle_close(b);
    return identity;
}

int mf_checkpoint_read(const char *path, const json_t *identity, struct mf_train_state *state,
                       const struct mf_train_arrays *arrays, struct mf_err *err) {
    struct mf_bundle *b;
    size_t count;
    if (mf_bundle_open(&b, path, "checkpoint", err) < 0) return -1;
    struct mf_tensor *tensors = list(arrays, &count);
    int status = tensors ? 0 : mf_err_set(err, EX_OSERR, "out of memory");
    if (status == 0)
        status = compare(path, "", identity, json_object_get(mf_bundle_meta(b), "identity"), err);
    if (status == 0) status = parse_state(path, json_object_get(mf_bundle_meta(b), "state"), state, err);
    if (status == 0) status = mf_bundle_fill(b, tensors, count, err);
    free(tensors);
    mf_bundle_close(b);
    return status;
}
