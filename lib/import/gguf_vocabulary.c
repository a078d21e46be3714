/* A tokenizer.json out of a GGUF file's tokens and merges: the same text gives the same ids. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "import/base_internal.h"
#include "text/families.h"

#define BYTE_LEVEL(regex)                                                                                    \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":" regex "}"

#define SEQUENCE(first, second) "{\"type\":\"Sequence\",\"pretokenizers\":[" first "," second "]}"

#define DIGITS "{\"type\":\"Digits\",\"individual_digits\":true}"

/* What llama.cpp's names of pre-tokenizers stand for: a whole pre_tokenizer, or the pattern of a Split before
 * ByteLevel. */
static const struct words {
    const char *name, *normalizer, *pre_tokenizer;
    enum mf_family pattern; /* without a pre_tokenizer */
    bool ignore_merges;
} kinds[] = {
    {"gpt-2", "null", BYTE_LEVEL("true"), MF_FAMILIES, false},
    {"smollm", "null", SEQUENCE(DIGITS, BYTE_LEVEL("true")), MF_FAMILIES, false},
    {"llama-bpe", "null", NULL, MF_FAMILY_LLAMA3, true},
    {"qwen2", "{\"type\":\"NFC\"}", NULL, MF_FAMILY_QWEN, false},
};

enum { CONTROL = 3, USER_DEFINED = 4, UNUSED = 5 }; /* llama.cpp's kinds of tokens that are no normal ones */

struct writing {
    const struct mf_base *base;
    FILE *file;
    unsigned char *types; /* of the tokens */
    size_t count, at;
    bool first, added; /* nothing was written yet; the added ones are written, not the others */
};

static const struct mf_gguf_key *key_of(const struct mf_base *b, const char *name) {
    int64_t i = mf_gguf_find_key(b->gguf, name);
    return i < 0 ? NULL : mf_gguf_key(b->gguf, (size_t)i);
}

/* Is a key this text? *text gets it, cut, for a message. */
static int take_text(void *context, const json_t *value, struct mf_err *err) {
    (void)err;
    snprintf(context, 64, "%s", json_is_string(value) ? json_string_value(value) : "?");
    return 0;
}

static int text_of(const struct mf_base *b, const char *name, char text[64], struct mf_err *err) {
    const struct mf_gguf_key *key = key_of(b, name);
    snprintf(text, 64, "?");
    return key && !key->list ? mf_gguf_values(b->gguf, key, 1, take_text, text, err) : 0;
}

static int find_kind(const struct mf_base *b, const struct words **kind, struct mf_err *err) {
    char model[64], pre[64];
    if (text_of(b, "tokenizer.ggml.model", model, err) < 0 || text_of(b, "tokenizer.ggml.pre", pre, err) < 0)
        return -1;
    if (strcmp(model, "gpt2") != 0)
        return base_refuse(b, err,
                           "has a tokenizer of model '%s', not gpt2 (byte-level BPE): take the Hugging Face "
                           "folder",
                           model);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, pre) == 0) *kind = &kinds[i];
    if (*kind) return 0;
    return base_refuse(
        b, err,
        "has a tokenizer with the pre-tokenizer '%s', not gpt-2, smollm, llama-bpe or qwen2: take "
        "the Hugging Face folder",
        pre);
}

/* --- lists --- */

static int take_type(void *context, const json_t *value, struct mf_err *err) {
    struct writing *w = context;
    (void)err;
    w->types[w->at++] = (unsigned char)(json_integer_value(value) & 127);
    return 0;
}

static void put(struct writing *w, const json_t *value) {
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    fprintf(w->file, "%s%s", w->first ? "" : ",\n", text ? text : "\"\"");
    w->first = false;
    free(text);
}

static int put_token(void *context, const json_t *value, struct mf_err *err) {
    struct writing *w = context;
    size_t id = w->at++;
    int type = w->types[id];
    bool added = type == CONTROL || type == USER_DEFINED;
    (void)err;
    if (type == UNUSED || added != w->added) return 0;
    if (!added) {
        put(w, value);
        fprintf(w->file, ":%zu", id);
        return 0;
    }
    json_t *entry = json_pack("{sI,sO,sb,sb,sb,sb,sb}", "id", (json_int_t)id, "content", value, "single_word",
                              0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", type == CONTROL);
    put(w, entry);
    json_decref(entry);
    return 0;
}

static int put_merge(void *context, const json_t *value, struct mf_err *err) {
    (void)err;
    put(context, value);
    return 0;
}

/* A list of the file, each value by `take`. */
static int each(struct writing *w, const char *name, enum mf_gguf_value type, mf_gguf_take *take,
                struct mf_err *err) {
    const struct mf_gguf_key *key = key_of(w->base, name);
    if (!key || !key->list || key->type != type)
        return base_refuse(w->base, err, "has no %s: take the Hugging Face folder", name);
    w->at = 0;
    w->first = true;
    return mf_gguf_values(w->base->gguf, key, key->count, take, w, err);
}

static int read_types(struct writing *w, struct mf_err *err) {
    const struct mf_gguf_key *tokens = key_of(w->base, "tokenizer.ggml.tokens"),
                             *types = key_of(w->base, "tokenizer.ggml.token_type");
    w->count = tokens && tokens->list ? (size_t)tokens->count : 0;
    if (types && types->list && types->count != w->count)
        return base_refuse(w->base, err, "has %zu tokens and %zu types of them", w->count,
                           (size_t)types->count);
    w->types = calloc(w->count + 1, sizeof *w->types);
    if (!w->types) mf_no_memory();
    return each(w, "tokenizer.ggml.token_type", MF_GGUF_I32, take_type, err);
}

static void put_words(FILE *f, const struct words *kind) {
    if (kind->pre_tokenizer) {
        fputs(kind->pre_tokenizer, f);
        return;
    }
    json_t *pattern = json_string(mf_family_pattern(kind->pattern));
    char *text = json_dumps(pattern, JSON_ENCODE_ANY);
    fprintf(
        f,
        SEQUENCE("{\"type\":\"Split\",\"pattern\":{\"Regex\":%s},\"behavior\":\"Isolated\",\"invert\":false}",
                 BYTE_LEVEL("false")),
        text ? text : "\"\"");
    free(text);
    json_decref(pattern);
}

static int write_json(struct writing *w, const struct words *kind, struct mf_err *err) {
    FILE *f = w->file;
    fputs("{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[\n", f);
    w->added = true;
    if (each(w, "tokenizer.ggml.tokens", MF_GGUF_STRING, put_token, err) < 0) return -1;
    fprintf(f, "],\"normalizer\":%s,\"pre_tokenizer\":", kind->normalizer);
    put_words(f, kind);
    fputs(",\"post_processor\":null,\n", f);
    fprintf(f,
            "\"decoder\":%s,\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
            "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
            "\"byte_fallback\":false,\"ignore_merges\":%s,\"vocab\":{\n",
            BYTE_LEVEL("true"), kind->ignore_merges ? "true" : "false");
    w->added = false;
    if (each(w, "tokenizer.ggml.tokens", MF_GGUF_STRING, put_token, err) < 0) return -1;
    fputs("},\"merges\":[\n", f);
    if (each(w, "tokenizer.ggml.merges", MF_GGUF_STRING, put_merge, err) < 0) return -1;
    fputs("]}}\n", f);
    return 0;
}

int base_gguf_words(const struct mf_base *b, unsigned char **bytes, size_t *size, struct mf_err *err) {
    const struct words *kind = NULL;
    struct writing w = {.base = b};
    char *text = NULL;
    if (find_kind(b, &kind, err) < 0) return -1;
    w.file = open_memstream(&text, size);
    if (!w.file) mf_no_memory();
    int status = read_types(&w, err);
    if (status == 0) status = write_json(&w, kind, err);
    if (fclose(w.file) != 0) mf_no_memory();
    free(w.types);
    if (status < 0) free(text);
    *bytes = (unsigned char *)text;
    return status;
}
