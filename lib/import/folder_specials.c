/* A folder's special tokens: by config.json, then generation_config.json, then the spelling in
 * tokenizer_config.json. */
#include <stdlib.h>
#include "base/strings.h"
#include "import/base_internal.h"
#include "io/json_file.h"

/* An id, or the first of a list of them; what is no number leaves *id. */
static void take_id(const json_t *object, const char *key, int64_t *id) {
    const json_t *value = json_object_get(object, key);
    if (json_is_array(value)) value = json_array_get(value, 0);
    if (*id < 0 && json_is_integer(value)) *id = json_integer_value(value);
}

/* The spelling of a token: a text, or an object that has it. */
static void take_token(const json_t *object, const char *key, char **token) {
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
    if (text && !*token) *token = mf_format("%s", text);
}

/* A file of settings beside config.json; NULL where there is none, or it cannot be read: only hints are in
 * it. New. */
static json_t *read_beside(const struct mf_base *b, const char *name) {
    struct mf_err unused = {0};
    char *path = mf_format("%s/%s", b->path, name);
    json_t *object = mf_json_read(path, BASE_JSON, 0, &unused);
    free(path);
    return object;
}

void base_read_specials(struct mf_base *b, const json_t *config) {
    json_t *generation = read_beside(b, "generation_config.json"),
           *tokenizer = read_beside(b, "tokenizer_config.json");
    take_id(config, "bos_token_id", &b->bos);
    take_id(config, "eos_token_id", &b->eos);
    take_id(generation, "bos_token_id", &b->bos);
    take_id(generation, "eos_token_id", &b->eos);
    take_token(tokenizer, "bos_token", &b->bos_token);
    take_token(tokenizer, "eos_token", &b->eos_token);
    json_decref(generation);
    json_decref(tokenizer);
}
