/* A folder's tensors: in model.safetensors, or in the files that model.safetensors.index.json names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/memory.h"
#include "base/strings.h"
#include "import/base_internal.h"
#include "io/json_file.h"
#include "io/names.h"

#define INDEX       "model.safetensors.index.json"
#define FILES_LIMIT ((size_t)256) /* that are open at once */

/* Opens a file of the folder as its next one. */
static int open_file(struct mf_base *b, const char *name, struct mf_err *err) {
    char *path = mf_format("%s/%s", b->path, name);
    int status = mf_safetensors_open(&b->files[b->n_files], path, err);
    b->n_files += status == 0;
    free(path);
    return status;
}

/* --- the index --- */

/* A plain name in the folder itself. */
static int check_name(const struct mf_base *b, const char *name, struct mf_err *err) {
    size_t n = name ? strlen(name) : 0, end = strlen(".safetensors");
    if (n > end && strcmp(name + n - end, ".safetensors") == 0 && !strchr(name, '/') && *name != '.')
        return 0;
    return base_refuse(b, err, "%s names '%.60s', which is no .safetensors file in the folder", INDEX,
                       name ? name : "?");
}

/* Which of the opened files has the name, by those that the index listed; or n_files. */
static size_t file_of(const struct mf_base *b, const char *const *names, const char *name) {
    size_t i = 0;
    while (i < b->n_files && names[i] && strcmp(names[i], name) != 0) i++;
    return i;
}

/* Opens each file that the index names, once; every tensor must be where it says. names: [FILES_LIMIT]. */
static int open_named(struct mf_base *b, const json_t *map, const char **names, struct mf_err *err) {
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
        const char *name = json_string_value(value);
        if (check_name(b, name, err) < 0) return -1;
        size_t i = file_of(b, names, name);
        if (i == FILES_LIMIT) return base_refuse(b, err, "%s names more than %zu files", INDEX, FILES_LIMIT);
        if (i == b->n_files) {
            names[i] = name;
            if (open_file(b, name, err) < 0) return -1;
        }
        if (mf_safetensors_find(b->files[i], tensor) < 0)
            return base_refuse(b, err, "%s: missing tensor %.90s", name, tensor);
    }
    return 0;
}

static int open_index(struct mf_base *b, struct mf_err *err) {
    const char *names[FILES_LIMIT] = {0};
    char *path = mf_format("%s/%s", b->path, INDEX);
    json_t *index = mf_json_read(path, BASE_JSON, JSON_REJECT_DUPLICATES, err);
    free(path);
    if (!index) return -1;
    const json_t *map = json_object_get(index, "weight_map");
    int status = json_object_size(map) ? open_named(b, map, names, err)
                                       : base_refuse(b, err, "%s has no weight_map", INDEX);
    json_decref(index);
    return status;
}

/* --- the tensors --- */

/* The head where it is the embedding, and tables that follow from the settings, are nothing of their own. */
static bool is_repeated(const struct mf_base *b, const char *name) {
    static const char table[] = ".rotary_emb.inv_freq";
    size_t n = strlen(name), m = sizeof table - 1;
    if (n > m && strcmp(name + n - m, table) == 0) return true;
    return !b->shape.untied && strcmp(name, "lm_head.weight") == 0;
}

static bool same_shape(const struct mf_tensor *a, const struct mf_tensor *b) {
    return a->n_dims == b->n_dims && memcmp(a->shape, b->shape, (size_t)a->n_dims * sizeof *a->shape) == 0;
}

/* Puts tensor k of a file to its place in the list, of which token_counts is no part. */
static int place_tensor(struct mf_base *b, const size_t *by_name, size_t file, size_t k, struct mf_err *err) {
    const struct mf_tensor *there = mf_safetensors_tensor(b->files[file], k);
    char have[64], want[64];
    int64_t i = mf_names_find(by_name, b->count - 1, b->tensors, mf_tensor_name_of, there->name);
    if (i < 0 && is_repeated(b, there->name)) return 0;
    if (i < 0) return base_refuse(b, err, "tensor %s is none of a %s", there->name, b->class);
    struct mf_tensor *t = &b->tensors[i];
    if (b->places[i].there) return base_refuse(b, err, "tensor %s is there twice", t->name);
    if (!same_shape(there, t))
        return base_refuse(b, err, "tensor %s has shape %s, not %s", t->name, mf_tensor_shape(there, have),
                           mf_tensor_shape(t, want));
    if (there->dtype == MF_I64) return base_refuse(b, err, "tensor %s is I64, not F32, BF16 or F16", t->name);
    t->dtype = there->dtype;
    b->places[i] = (struct base_place){.there = true, .file = file, .index = k};
    return 0;
}

static int place_all(struct mf_base *b, struct mf_err *err) {
    size_t *by_name = mf_names_sort(b->tensors, b->count - 1, mf_tensor_name_of);
    int status = 0;
    for (size_t f = 0; f < b->n_files && status == 0; f++)
        for (size_t k = 0; k < mf_safetensors_count(b->files[f]) && status == 0; k++)
            status = place_tensor(b, by_name, f, k, err);
    free(by_name);
    return status == 0 ? base_check_places(b, err) : -1;
}

/* Is there the index and no single file? As transformers does, that one goes first. */
static bool has_index(const struct mf_base *b) {
    char *whole = mf_format("%s/model.safetensors", b->path), *index = mf_format("%s/%s", b->path, INDEX);
    bool answer = access(whole, F_OK) != 0 && access(index, F_OK) == 0;
    free(whole);
    free(index);
    return answer;
}

int base_open_files(struct mf_base *b, struct mf_err *err) {
    b->files = calloc(FILES_LIMIT, sizeof(struct mf_safetensors *));
    if (!b->files) mf_no_memory();
    int status = has_index(b) ? open_index(b, err) : open_file(b, "model.safetensors", err);
    return status == 0 ? place_all(b, err) : -1;
}

int mf_base_check_output(const struct mf_base *b, const char *output, const char *as, struct mf_err *err) {
    static const char *const beside[] = {"config.json", "generation_config.json", "tokenizer_config.json",
                                         "tokenizer.json", INDEX};
    int status = 0;
    if (b->gguf) return 0;
    for (size_t i = 0; i < sizeof beside / sizeof *beside && status == 0; i++) {
        char *path = mf_format("%s/%s", b->path, beside[i]);
        status = mf_out_check_input(output, as, path, err);
        free(path);
    }
    for (size_t f = 0; f < b->n_files && status == 0; f++)
        status = mf_out_check_input(output, as, mf_safetensors_name(b->files[f]), err);
    return status;
}
