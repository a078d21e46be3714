/* GGUF files: keys and tensors as JSON, as a table, and as numbers about their values. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/show_internal.h"
#include "export/quant.h"
#include "io/json_file.h"

#define BLOCK ((uint64_t)8192) /* numbers decoded at a time; a multiple of every type's block */
#define FIRST 4                /* values of a list that the table shows */
#define WIDTH 60               /* characters of each */

/* --- keys --- */

/* The values of one key as they are written: JSON, or short for people. */
struct writing {
    struct mf_out *out;
    bool table;
    uint64_t written;
};

static int write_text(struct writing *w, const char *text, struct mf_err *err) {
    char clean[4 * WIDTH + 1];
    if (!w->table) return mf_out_write(w->out, text, strlen(text), err);
    mf_show_clean(clean, text, strlen(text), WIDTH);
    return mf_out_write(w->out, clean, strlen(clean), err);
}

static int write_value(void *context, const json_t *value, struct mf_err *err) {
    struct writing *w = context;
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text) mf_no_memory();
    int result = w->written++ ? mf_out_write(w->out, ",", 1, err) : 0;
    if (result == 0) result = write_text(w, text, err);
    free(text);
    return result;
}

static int write_values(struct mf_out *out, const struct mf_gguf *g, const struct mf_gguf_key *key,
                        bool table, struct mf_err *err) {
    struct writing w = {.out = out, .table = table};
    uint64_t limit = table && key->count > FIRST ? FIRST : key->count;
    if (key->list && mf_out_write(out, "[", 1, err) < 0) return -1;
    if (mf_gguf_values(g, key, limit, write_value, &w, err) < 0) return -1;
    if (limit < key->count && mf_out_write(out, ",...", 4, err) < 0) return -1;
    return key->list ? mf_out_write(out, "]", 1, err) : 0;
}

/* The keys as a line of JSON, written value by value: a list may be long. */
static int write_json(struct mf_out *out, const struct mf_gguf *g, struct mf_err *err) {
    if (mf_out_write(out, "{", 1, err) < 0) return -1;
    for (size_t i = 0; i < mf_gguf_key_count(g); i++) {
        const struct mf_gguf_key *key = mf_gguf_key(g, i);
        json_t *name = json_string(key->name);
        char *text = json_dumps(name, JSON_ENCODE_ANY);
        if (!text) mf_no_memory();
        int result = mf_out_printf(out, err, "%s%s:", i ? "," : "", text);
        free(text);
        json_decref(name);
        if (result < 0 || write_values(out, g, key, false, err) < 0) return -1;
    }
    return mf_out_write(out, "}\n", 2, err);
}

static void write_type(char text[48], const struct mf_gguf_key *key) {
    snprintf(text, 48, "%s", mf_gguf_value_name(key->type));
    if (key->list) snprintf(text + strlen(text), 40, "[%llu]", (unsigned long long)key->count);
}

static int write_keys(struct mf_out *out, const struct mf_gguf *g, struct mf_err *err) {
    for (size_t i = 0; i < mf_gguf_key_count(g); i++) {
        const struct mf_gguf_key *key = mf_gguf_key(g, i);
        char type[48], name[4 * WIDTH + 1];
        write_type(type, key);
        mf_show_clean(name, key->name, strlen(key->name), WIDTH);
        if (mf_out_printf(out, err, "%-48s %-14s ", name, type) < 0 ||
            write_values(out, g, key, true, err) < 0 || mf_out_write(out, "\n", 1, err) < 0)
            return -1;
    }
    return mf_out_write(out, "\n", 1, err);
}

/* --- tensors --- */

static int measure(const struct mf_gguf *g, size_t i, struct mf_spread *spread, struct mf_err *err) {
    const struct mf_gguf_tensor *t = mf_gguf_tensor(g, i);
    const struct mf_gguf_block *block = mf_gguf_block(t->type);
    unsigned char *bytes = malloc(BLOCK * 4); /* for the largest type that is decoded */
    float *numbers = malloc(BLOCK * sizeof *numbers);
    double *values = malloc(BLOCK * sizeof *values);
    if (!bytes || !numbers || !values) mf_no_memory();
    int result = 0;
    for (uint64_t at = 0, n; at < t->count && result == 0; at += n) {
        n = t->count - at < BLOCK ? t->count - at : BLOCK;
        result = mf_gguf_read(g, i, at / block->values * block->bytes, bytes,
                              n / block->values * block->bytes, err);
        if (result < 0) break;
        mf_quant_widen(numbers, bytes, n, t->type);
        for (uint64_t k = 0; k < n; k++) values[k] = (double)numbers[k];
        mf_spread_add(spread, values, n);
    }
    free(bytes);
    free(numbers);
    free(values);
    return result;
}

static json_t *tensor_json(const struct mf_gguf_tensor *t) {
    json_t *shape = json_array();
    for (int i = 0; i < t->n_dims; i++) json_array_append_new(shape, json_integer((json_int_t)t->shape[i]));
    return json_pack("{s:s, s:s, s:o, s:I}", "name", t->name, "dtype", mf_gguf_block(t->type)->name, "shape",
                     shape, "bytes", (json_int_t)t->bytes);
}

static int show_tensor(struct mf_out *out, const struct mf_gguf *g, enum mf_show_form form, size_t i,
                       struct mf_totals *totals, struct mf_err *err) {
    const struct mf_gguf_tensor *t = mf_gguf_tensor(g, i);
    char text[64];
    const struct mf_shown_tensor shown = {t->name, mf_gguf_block(t->type)->name, mf_gguf_shape(t, text),
                                          t->count, t->bytes};
    struct mf_spread spread = {0};
    mf_totals_add(totals, &shown);
    if (form == MF_SHOW_JSON) return mf_json_line(out, tensor_json(t), err);
    if (form == MF_SHOW_TABLE) return mf_show_row(out, &shown, err);
    bool known = mf_quant_widen(NULL, NULL, 0, t->type) == 0;
    if (known && measure(g, i, &spread, err) < 0) return -1;
    totals->bad += spread.bad;
    return mf_show_stats(out, &shown, known ? &spread : NULL, err);
}

int mf_show_gguf(struct mf_out *out, const struct mf_gguf *g, const struct mf_show *show,
                 struct mf_err *err) {
    struct mf_totals totals = {0};
    int result = show->form == MF_SHOW_JSON    ? write_json(out, g, err)
                 : show->form == MF_SHOW_TABLE ? write_keys(out, g, err)
                                               : 0;
    if (result == 0 && show->form != MF_SHOW_JSON) result = mf_show_title(out, show->form, err);
    for (size_t i = 0; i < mf_gguf_tensor_count(g) && mf_show_more(show, &totals) && result == 0; i++)
        result = show_tensor(out, g, show->form, i, &totals, err);
    return result < 0 ? -1 : mf_show_totals(out, &totals, show->form, err);
}
