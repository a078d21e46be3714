/* The rule's numbers, each with its name. */
#include "model/rope_scaling.h"

#include <stddef.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct {
    const char *name;
    size_t offset;
} keys[] = {
    {"factor", offsetof(struct rope_stretch, factor)},
    {"low_freq_factor", offsetof(struct rope_stretch, low_factor)},
    {"high_freq_factor", offsetof(struct rope_stretch, high_factor)},
    {"original_max_position_embeddings", offsetof(struct rope_stretch, context)},
};

static double *number_at(struct rope_stretch *stretch, size_t i) {
    return (double *)(void *)((char *)stretch + keys[i].offset);
}

static double number_of(const struct rope_stretch *stretch, size_t i) {
    return *(const double *)(const void *)((const char *)stretch + keys[i].offset);
}

int mf_rope_scaling_check(const struct rope_stretch *stretch, const char *name, struct mf_err *err) {
    for (size_t i = 0; i < COUNT(keys); i++)
        if (!(number_of(stretch, i) > 0 && number_of(stretch, i) <= 1e9))
            return mf_err_set(err, EX_DATAERR, "%s: rope_scaling: %s must be a number above 0, up to 1e9",
                              name, keys[i].name);
    if (stretch->low_factor < stretch->high_factor) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: rope_scaling: low_freq_factor must be below high_freq_factor",
                      name);
}

json_t *mf_rope_scaling_json(const struct rope_stretch *stretch) {
    json_t *object = json_pack("{s:s}", "rope_type", "llama3");
    for (size_t i = 0; i < COUNT(keys); i++)
        json_object_set_new(object, keys[i].name, json_real(number_of(stretch, i)));
    return object;
}

int mf_rope_scaling_parse(struct rope_stretch *stretch, const json_t *object, const char *name,
                          struct mf_err *err) {
    const char *type = json_string_value(json_object_get(object, "rope_type"));
    if (!object || json_is_null(object)) return 0;
    if (!type || strcmp(type, "llama3") != 0)
        return mf_err_set(err, EX_DATAERR, "%s: rope_scaling: rope_type is '%.40s', must be 'llama3'", name,
                          type ? type : "?");
    for (size_t i = 0; i < COUNT(keys); i++)
        *number_at(stretch, i) = json_number_value(json_object_get(object, keys[i].name));
    return mf_rope_scaling_check(stretch, name, err);
}
