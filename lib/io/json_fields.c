/* Types of the fields of JSON objects. */
#include "io/json_fields.h"

#include <stdbool.h>

static const char *const wanted[] = {
    [MF_JSON_TEXT] = "text",
    [MF_JSON_FLAG] = "true or false",
    [MF_JSON_INTEGER] = "a whole number",
    [MF_JSON_COUNT] = "a whole number from 0 on",
    [MF_JSON_REAL] = "a number",
    [MF_JSON_AMOUNT] = "a number from 0 on",
    [MF_JSON_LIST] = "a list",
};

static bool fits(const json_t *value, enum mf_json_kind kind) {
    switch (kind) {
    case MF_JSON_TEXT:
        return json_is_string(value);
    case MF_JSON_FLAG:
        return json_is_boolean(value);
    case MF_JSON_INTEGER:
        return json_is_integer(value);
    case MF_JSON_COUNT:
        return json_is_integer(value) && json_integer_value(value) >= 0;
    case MF_JSON_REAL:
        return json_is_number(value);
    case MF_JSON_AMOUNT:
        return json_is_number(value) && json_number_value(value) >= 0;
    case MF_JSON_LIST:
        return json_is_array(value);
    }
    return false;
}

int mf_json_fields(const json_t *object, const struct mf_json_field *fields, const char *file,
                   const char *what, struct mf_err *err) {
    if (!json_is_object(object)) return mf_err_set(err, EX_DATAERR, "%s: %s: not a JSON object", file, what);
    for (const struct mf_json_field *f = fields; f->key; f++) {
        const json_t *value = json_object_get(object, f->key);
        bool other = json_is_null(value) ? f->may == MF_JSON_NULL : !value && f->may == MF_JSON_ABSENT;
        if (!other && !fits(value, f->kind))
            return mf_err_set(err, EX_DATAERR, "%s: %s: %s must be %s%s", file, what, f->key, wanted[f->kind],
                              f->may == MF_JSON_NULL ? " or null" : "");
    }
    return 0;
}

int mf_json_rows(const json_t *list, const struct mf_json_field *fields, const char *file, const char *what,
                 struct mf_err *err) {
    size_t i;
    json_t *row;
    if (!json_is_array(list)) return mf_err_set(err, EX_DATAERR, "%s: %s: not a list", file, what);
    json_array_foreach(list, i, row) {
        if (mf_json_fields(row, fields, file, what, err) < 0) return -1;
    }
    return 0;
}
