/* The tokenizer as other programs use it: a prompt has no end yet, so nothing may stand behind it. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "export/hf_internal.h"
#include "io/json_file.h"
#include "io/sha256.h"

#define FILE_LIMIT ((size_t)256 << 20)

/* Takes from a template of TemplateProcessing the tokens behind its last text; did it have any? */
static bool cut_template(json_t *parts) {
    size_t n = json_array_size(parts), keep = n;
    while (keep > 0 && !json_object_get(json_array_get(parts, keep - 1), "Sequence")) keep--;
    if (keep == 0 || keep == n) return false;
    while (n > keep) json_array_remove(parts, --n);
    return true;
}

/* The same of a post-processor and of those that it is a sequence of. */
static bool cut_processor(json_t *processor) {
    json_t *list = json_object_get(processor, "processors"), *one;
    size_t i;
    bool changed = cut_template(json_object_get(processor, "single"));
    if (cut_template(json_object_get(processor, "pair"))) changed = true;
    json_array_foreach(list, i, one) if (cut_processor(one)) changed = true;
    return changed;
}

/* A token as the file spells it, or NULL. Borrowed. */
static const char *spelling(const json_t *root, int64_t id) {
    const json_t *added = json_object_get(root, "added_tokens"), *item, *value,
                 *vocab = json_object_get(json_object_get(root, "model"), "vocab");
    const char *text;
    size_t i;
    if (id < 0) return NULL;
    json_array_foreach(added, i, item) {
        if (json_integer_value(json_object_get(item, "id")) == id)
            return json_string_value(json_object_get(item, "content"));
    }
    json_object_foreach((json_t *)(uintptr_t)vocab, text, value) {
        if (json_integer_value(value) == id) return text;
    }
    return NULL;
}

static json_t *config_of(const struct mf_hf *hf, const json_t *root) {
    const struct mf_specials *s = mf_plain_specials(hf->plain);
    json_t *config =
        json_pack("{ss,sb,sI}", "tokenizer_class", "PreTrainedTokenizerFast", "clean_up_tokenization_spaces",
                  0, "model_max_length", (json_int_t)mf_plain_shape(hf->plain)->S);
    const struct {
        const char *key, *text;
    } tokens[] = {{"bos_token", spelling(root, s->bos)},
                  {"eos_token", spelling(root, s->eos)},
                  {"pad_token", spelling(root, s->pad)}};
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        if (tokens[i].text) json_object_set_new(config, tokens[i].key, json_string(tokens[i].text));
    json_object_set_new(config, "add_bos_token", json_boolean(s->bos >= 0));
    json_object_set_new(config, "add_eos_token", json_false());
    return config;
}

static int check_hash(const struct mf_hf *hf, const void *bytes, size_t size, struct mf_err *err) {
    char hash[65];
    const char *wanted = mf_plain_tokenizer(hf->plain);
    mf_sha256_of(bytes, size, hash);
    if (strcmp(hash, wanted) == 0) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: tokenizer is %.12s, not %.12s as in %s", hf->tokenizer, hash,
                      *wanted ? wanted : "(unknown)", mf_plain_name(hf->plain));
}

/* The file as it is where nothing of it has to change. */
static int write_files(const struct mf_hf *hf, json_t *root, const void *bytes, size_t size,
                       struct mf_folder *folder, struct mf_err *err) {
    const char *path = mf_folder_file(folder, "tokenizer.json");
    bool changed = cut_processor(json_object_get(root, "post_processor"));
    int status = changed ? mf_json_write(path, json_incref(root), JSON_INDENT(1), err)
                         : mf_out_whole(path, bytes, size, err);
    if (status < 0) return -1;
    return mf_json_write(mf_folder_file(folder, "tokenizer_config.json"), config_of(hf, root), JSON_INDENT(2),
                         err);
}

int hf_tokenizer(const struct mf_hf *hf, struct mf_folder *folder, struct mf_err *err) {
    unsigned char *bytes;
    size_t size;
    json_error_t error;
    if (mf_read_all(hf->tokenizer, FILE_LIMIT, &bytes, &size, err) < 0) return -1;
    int status = check_hash(hf, bytes, size, err);
    json_t *root =
        status < 0 ? NULL : mf_json_parse((char *)bytes, size, JSON_ALLOW_NUL, MF_JSON_LARGE, &error);
    if (status == 0 && !json_is_object(root))
        status = mf_err_set(err, EX_DATAERR, "%s: not a tokenizer", hf->tokenizer);
    if (status == 0) status = write_files(hf, root, bytes, size, folder, err);
    json_decref(root);
    free(bytes);
    return status;
}
