/* A base opened, and written as a bundle. */
#include "import/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/memory.h"
#include "base/strings.h"
#include "import/base_internal.h"
#include "io/bundle.h"
#include "model/component.h"

int(base_refuse)(const struct mf_base *b, struct mf_err *err, const char *format, ...) {
    char what[400];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return mf_err_set(err, EX_DATAERR, "%s: %s", b->path, what);
}

int base_context(struct mf_base *b, size_t asked, int64_t max, struct mf_err *err) {
    if (max < 1) return base_refuse(b, err, "does not say its context (max_position_embeddings)");
    if (asked > (size_t)max)
        return base_refuse(b, err, "a context of %zu is longer than the base's %lld", asked, (long long)max);
    b->shape.S = asked ? asked : max < MF_BASE_CONTEXT ? (size_t)max : MF_BASE_CONTEXT;
    return 0;
}

/* --- the list of tensors --- */

void base_list(struct mf_base *b) {
    const struct mf_component shared = {.shape = b->shape};
    b->tensors = mf_component_tensors(&shared, false, &b->count);
    b->places = calloc(b->count, sizeof *b->places);
    if (!b->places) mf_no_memory();
}

int base_check_places(const struct mf_base *b, struct mf_err *err) {
    for (size_t i = 0; i + 1 < b->count; i++)
        if (!b->places[i].there) return base_refuse(b, err, "missing tensor %s", b->tensors[i].name);
    return 0;
}

/* --- opening --- */

/* A file that does not even begin as a GGUF file may have been meant as either kind. */
static int check_file(const struct mf_base *b, struct mf_err *err) {
    const unsigned char *magic;
    struct mf_in *in;
    if (mf_in_open(&in, b->path, err) < 0) return -1;
    int64_t n = mf_in_peek(in, &magic, 4, err);
    int status = n < 0 ? -1 : 0;
    if (n >= 0 && !mf_gguf_begins(magic, (size_t)n))
        status = base_refuse(b, err, "neither a folder with a config.json and tensors nor a GGUF file");
    mf_in_close(in);
    return status;
}

static int open_base(struct mf_base *b, size_t context, struct mf_err *err) {
    struct stat st;
    if (stat(b->path, &st) < 0) return mf_err_sys(err, EX_NOINPUT, "%s", b->path);
    if (S_ISDIR(st.st_mode)) {
        if (base_read_config(b, context, err) < 0) return -1;
        base_list(b);
        return base_open_files(b, err);
    }
    if (S_ISREG(st.st_mode) && check_file(b, err) < 0) return -1;
    if (mf_gguf_open(&b->gguf, b->path, err) < 0 || base_read_keys(b, context, err) < 0) return -1;
    base_list(b);
    return base_find_tensors(b, err);
}

int mf_base_open(struct mf_base **base, const char *path, size_t context, struct mf_err *err) {
    struct mf_base *b = calloc(1, sizeof *b);
    if (!b) mf_no_memory();
    b->path = mf_format("%s", path);
    b->bos = b->eos = -1;
    b->shape.arch = MF_LLAMA;
    if (open_base(b, context, err) < 0) {
        mf_base_close(b);
        return -1;
    }
    *base = b;
    return 0;
}

void mf_base_close(struct mf_base *b) {
    if (!b) return;
    for (size_t i = 0; i < b->n_files; i++) mf_safetensors_close(b->files[i]);
    mf_gguf_close(b->gguf);
    free(b->files);
    free(b->tensors);
    free(b->places);
    free(b->bos_token);
    free(b->eos_token);
    free(b->path);
    free(b);
}

const struct mf_shape *mf_base_shape(const struct mf_base *b) {
    return &b->shape;
}

const char *mf_base_class(const struct mf_base *b) {
    return b->class;
}

size_t mf_base_tensors(const struct mf_base *b) {
    return b->count - 1;
}

/* --- the bundle --- */

struct copying {
    const struct mf_base *base;
    unsigned char *buffer, *raw; /* [BASE_BLOCK or the longest row] */
};

/* The source of the bundle's tensors; nothing was counted yet. */
static int next_bytes(void *context, size_t i, uint64_t at, const void **bytes, size_t *size,
                      struct mf_err *err) {
    const struct copying *c = context;
    const struct mf_base *b = c->base;
    const struct mf_tensor *t = &b->tensors[i];
    const struct base_place *place = &b->places[i];
    size_t left = mf_tensor_bytes(t) - at;
    *bytes = c->buffer;
    *size = left < BASE_BLOCK ? left : BASE_BLOCK;
    if (i == b->count - 1) {
        memset(c->buffer, 0, *size);
        return 0;
    }
    int status = b->gguf
                     ? base_gguf_rows(b, i, at / (t->shape[t->n_dims - 1] * mf_dtype_size(t->dtype)),
                                      c->buffer, c->raw, size, err)
                     : mf_safetensors_read(b->files[place->file], place->index, at, c->buffer, *size, err);
    if (status < 0 || mf_finite_stored(c->buffer, *size / mf_dtype_size(t->dtype), t->dtype)) return status;
    return base_refuse(b, err, "tensor %s holds a NaN or infinity", t->name);
}

/* What the bundle says of the base: nothing that depends on where it lies. */
static json_t *origin_json(const struct mf_base *b) {
    json_t *origin = json_pack("{ss}", "class", b->class);
    if (*b->name) json_object_set_new(origin, "name", json_string(b->name));
    return origin;
}

static size_t longest_row(const struct mf_base *b) {
    size_t longest = BASE_BLOCK;
    for (size_t i = 0; i < b->count && b->gguf; i++) {
        const struct mf_tensor *t = &b->tensors[i];
        size_t row = t->shape[t->n_dims - 1] * sizeof(float);
        if (row > longest) longest = row;
    }
    return longest;
}

int mf_base_write(const struct mf_base *b, const struct mf_base_tokenizer *tokenizer, struct mf_out *out,
                  struct mf_err *err) {
    const size_t capacity = longest_row(b);
    struct copying c = {.base = b, .buffer = malloc(capacity), .raw = malloc(capacity)};
    const struct mf_bundle_source source = {next_bytes, &c};
    if (!c.buffer || !c.raw) mf_no_memory();
    json_t *meta =
        json_pack("{so,ss,so,so}", "config", mf_shape_json(&b->shape), "tokenizer_sha256", tokenizer->sha256,
                  "special_tokens", mf_specials_json(&tokenizer->specials), "base", origin_json(b));
    int status = mf_bundle_write_from(out, "shared", meta, b->tensors, b->count, &source, err);
    json_decref(meta);
    free(c.buffer);
    free(c.raw);
    return status;
}
