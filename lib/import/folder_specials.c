/* A folder's special tokens: by config.json, then generation_config.json, then the spelling in
 * tokenizer_config.json. */
#include <stdlib.h>
#include <unistd.h>
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

/* A file of settings beside config.json, new; NULL where there is none, or it is no JSON: only hints are in
 * it. But what the disk does not give is not to be forgotten. */
static int read_beside(const struct mf_base *b, const char *name, json_t **object, struct mf_err *err) {
    struct mf_err why = {0};
    char *path = mf_format("%s/%s", b->path, name);
    bool there = access(path, F_OK) == 0;
    *object = there ? mf_json_read(path, BASE_JSON, 0, &why) : NULL;
    free(path);
    return mf_err_forgive(&why, EX_DATAERR, err);
}

int base_read_specials(struct mf_base *b, const json_t *config, struct mf_err *err) {
    json_t *generation, *tokenizer;
    if (read_beside(b, "generation_config.json", &generation, err) < 0) return -1;
    if (read_beside(b, "tokenizer_config.json", &tokenizer, err) < 0) {
        json_decref(generation);
        return -1;
    }
    take_id(config, "bos_token_id", &b->bos);
    take_id(config, "eos_token_id", &b->eos);
    take_id(generation, "bos_token_id", &b->bos);
    take_id(generation, "eos_token_id", &b->eos);
    take_token(tokenizer, "bos_token", &b->bos_token);
    take_token(tokenizer, "eos_token", &b->eos_token);
    json_decref(generation);
    json_decref(tokenizer);
    return 0;
}
