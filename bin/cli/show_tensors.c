/* The tensors of bundles and models: as JSON, as a table, and as numbers about their values, through one
 * buffer. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/json_file.h"
#include "io/json_tensor.h"
#include "cli/show_internal.h"

#define BUFFER ((size_t)64 << 10) /* bytes read at a time; a multiple of every dtype's size */

/* Where a tensor's bytes come from: exactly one of the two. */
struct source {
    struct mf_bundle *bundle;
    const struct mf_safetensors *model;
};

static int read_source(const struct source *s, size_t i, uint64_t offset, void *buffer, size_t size,
                       struct mf_err *err) {
    if (s->bundle) return mf_bundle_read(s->bundle, buffer, size, err);
    return mf_safetensors_read(s->model, i, offset, buffer, size, err);
}

/* Little-endian numbers as doubles. */
static void decode(const unsigned char *bytes, size_t n, enum mf_dtype dtype, double *values) {
    size_t size = mf_dtype_size(dtype);
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = 0;
        for (size_t k = size; k-- > 0;) bits = bits << 8 | bytes[i * size + k];
        uint32_t word = (uint32_t)bits;
        uint16_t half = (uint16_t)bits;
        float f;
        memcpy(&f, &word, sizeof f);
        if (dtype == MF_BF16) mf_bf16_widen(&f, &half, 1);
        if (dtype == MF_F16) mf_f16_widen(&f, &half, 1);
        values[i] = dtype == MF_I64 ? (double)(int64_t)bits : (double)f;
    }
}

static int measure(const struct source *s, size_t i, const struct mf_tensor *t, struct mf_spread *spread,
                   struct mf_err *err) {
    unsigned char *bytes = malloc(BUFFER);
    double *values = malloc(BUFFER / 2 * sizeof *values); /* for the smallest dtype */
    if (!bytes || !values) mf_no_memory();
    uint64_t total = mf_tensor_bytes(t), at = 0;
    int result = 0;
    while (at < total && result == 0) {
        size_t part = total - at < BUFFER ? (size_t)(total - at) : BUFFER, n = part / mf_dtype_size(t->dtype);
        result = read_source(s, i, at, bytes, part, err);
        if (result < 0) break;
        decode(bytes, n, t->dtype, values);
        mf_spread_add(spread, values, n);
        at += part;
    }
    free(values);
    free(bytes);
    return result;
}

/* The line of a model's tensor; a bundle's manifest has one ready. */
static json_t *tensor_json(const struct source *s, size_t i, const struct mf_tensor *t) {
    if (s->bundle)
        return json_incref(json_array_get(json_object_get(mf_bundle_meta(s->bundle), "tensors"), i));
    return json_pack("{s:s, s:s, s:o, s:I}", "name", t->name, "dtype", mf_dtype_name(t->dtype), "shape",
                     mf_tensor_shape_json(t), "bytes", (json_int_t)mf_tensor_bytes(t));
}

static int show_tensor(struct mf_out *out, const struct source *s, const struct mf_show *show, size_t i,
                       struct mf_totals *totals, struct mf_err *err) {
    const struct mf_tensor *t =
        s->bundle ? mf_bundle_tensor(s->bundle, i) : mf_safetensors_tensor(s->model, i);
    char shape[64];
    const struct mf_shown_tensor shown = {t->name, mf_dtype_name(t->dtype), mf_tensor_shape(t, shape),
                                          mf_tensor_count(t), mf_tensor_bytes(t)};
    struct mf_spread spread = {0};
    mf_totals_add(totals, &shown);
    if (show->form == MF_SHOW_JSON) return mf_json_line(out, tensor_json(s, i, t), err);
    if (show->form == MF_SHOW_TABLE) return mf_show_row(out, &shown, err);
    if (measure(s, i, t, &spread, err) < 0) return -1;
    totals->bad += spread.bad;
    return mf_show_stats(out, &shown, &spread, err);
}

int mf_show_bundle(struct mf_out *out, struct mf_bundle *b, const struct mf_show *show, struct mf_err *err) {
    const struct source source = {.bundle = b};
    struct mf_totals totals = {0};
    if (show->form == MF_SHOW_JSON) {
        json_t *manifest = json_copy((json_t *)(uintptr_t)mf_bundle_meta(b));
        json_object_del(manifest, "tensors");
        if (mf_json_line(out, manifest, err) < 0) return -1;
    } else if (mf_out_printf(out, err, "bundle %s  sha256 %s\n", mf_bundle_kind(b), mf_bundle_hash(b)) < 0 ||
               mf_show_title(out, show->form, err) < 0) {
        return -1;
    }
    while (mf_show_more(show, &totals)) {
        size_t i;
        int result = mf_bundle_next(b, &i, err);
        if (result < 0) return -1;
        if (result == 0) break;
        if (show_tensor(out, &source, show, i, &totals, err) < 0) return -1;
    }
    return mf_show_totals(out, &totals, show->form, err);
}

int mf_show_model(struct mf_out *out, const struct mf_safetensors *st, const struct mf_show *show,
                  struct mf_err *err) {
    const struct source source = {.model = st};
    struct mf_totals totals = {0};
    int result = show->form == MF_SHOW_JSON
                     ? mf_json_line(out, json_copy((json_t *)(uintptr_t)mf_safetensors_metadata(st)), err)
                     : mf_show_title(out, show->form, err);
    for (size_t i = 0; i < mf_safetensors_count(st) && mf_show_more(show, &totals) && result == 0; i++)
        result = show_tensor(out, &source, show, i, &totals, err);
    return result < 0 ? -1 : mf_show_totals(out, &totals, show->form, err);
}
