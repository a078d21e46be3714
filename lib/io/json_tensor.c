/* Tensors in JSON, and JSON objects that must not repeat a key. */
#include "io/json_tensor.h"

#include <string.h>
#include "io/json_file.h"

int mf_tensor_from_json(struct mf_tensor *t, const char *name, const json_t *entry, const char *file,
                        struct mf_err *err) {
    *t = (struct mf_tensor){0};
    size_t n = strlen(name);
    if (n == 0) return mf_err_set(err, EX_DATAERR, "%s: a tensor without a name", file);
    if (n >= MF_TENSOR_NAME)
        return mf_err_set(err, EX_DATAERR, "%s: the tensor name '%.40s...' is longer than %d bytes", file,
                          name, MF_TENSOR_NAME - 1);
    memcpy(t->name, name, n + 1);
    if (!json_is_object(entry))
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s: not an object", file, name);
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!dtype) return mf_err_set(err, EX_DATAERR, "%s: tensor %s: no dtype", file, name);
    if (mf_dtype_parse(dtype, &t->dtype) < 0)
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s: dtype '%s' is not F32, BF16, F16 or I64", file,
                          name, dtype);
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape)) return mf_err_set(err, EX_DATAERR, "%s: tensor %s: no shape", file, name);
    if (json_array_size(shape) > MF_TENSOR_DIMS)
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s: more than %d dimensions", file, name,
                          MF_TENSOR_DIMS);
    t->n_dims = (int)json_array_size(shape);
    for (int i = 0; i < t->n_dims; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return mf_err_set(err, EX_DATAERR, "%s: tensor %s: the shape holds something that is not a size",
                              file, name);
        t->shape[i] = (size_t)json_integer_value(size);
    }
    if (mf_tensor_check(t) < 0)
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s: the shape is too large", file, name);
    return 0;
}

json_t *mf_tensor_shape_json(const struct mf_tensor *t) {
    json_t *shape = json_array();
    for (int i = 0; i < t->n_dims; i++) json_array_append_new(shape, json_integer((json_int_t)t->shape[i]));
    return shape;
}

/* The first key that an object repeats, for text that is valid JSON but for that. NULL when its own keys are
 * distinct. A key is what stands before a colon at depth 1. Owned (json_decref). */
static json_t *doubled_key(const char *bytes, size_t size) {
    json_t *seen = json_object(), *doubled = NULL, *last = NULL;
    int depth = 0;
    for (size_t at = 0; at < size && !doubled;) {
        char c = bytes[at];
        if (c == '"') {
            size_t end = mf_json_string_end(bytes, size, at);
            json_decref(last);
            last = depth == 1 ? json_loadb(bytes + at, end - at, JSON_DECODE_ANY, NULL) : NULL;
            at = end;
            continue;
        }
        if (c == '{' || c == '[') depth++;
        if (c == '}' || c == ']') depth--;
        if (c == ':' && depth == 1 && last) {
            if (json_object_get(seen, json_string_value(last))) doubled = json_incref(last);
            json_object_set_new(seen, json_string_value(last), json_true());
        }
        at++;
    }
    json_decref(last);
    json_decref(seen);
    return doubled;
}

json_t *mf_json_object(const char *bytes, size_t size, const char *file, const char *what,
                       struct mf_err *err) {
    json_error_t error;
    json_t *object = mf_json_parse(bytes, size, JSON_REJECT_DUPLICATES, MF_JSON_SMALL, &error);
    if (object && json_is_object(object)) return object;
    if (object) {
        json_decref(object);
        mf_err_set(err, EX_DATAERR, "%s: %s is not a JSON object", file, what);
        return NULL;
    }
    json_t *doubled = NULL;
    if (json_error_code(&error) == json_error_duplicate_key) doubled = doubled_key(bytes, size);
    if (doubled)
        mf_err_set(err, EX_DATAERR, "%s: %s has the name '%s' twice", file, what, json_string_value(doubled));
    else
        mf_err_set(err, EX_DATAERR, "%s: %s is not a JSON object: %s", file, what, error.text);
    json_decref(doubled);
    return NULL;
}
