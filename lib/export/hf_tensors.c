/* The tensors: cut into shards by their sizes alone, then written block by block. */
#include <stdio.h>
#include <stdlib.h>
#include "base/memory.h"
#include "base/strings.h"
#include "export/hf_internal.h"
#include "io/json_file.h"
#include "io/safetensors.h"

#define BLOCK ((size_t)1 << 18) /* floats at a time, or one row */

struct writing {
    struct mf_hf *hf;
    struct mf_folder *folder;
    struct mf_tensor *tensors; /* as they are written */
    size_t count;
    json_t *metadata; /* of every file */
    float *rows;      /* [BLOCK or a row] */
    uint16_t *halves;
};

/* Vectors are small, and the router's numbers choose experts: they stay as they are. */
static enum mf_dtype dtype_of(const struct mf_hf *hf, size_t i) {
    const struct mf_tensor *t = mf_plain_tensor(hf->plain, i);
    return t->n_dims > 1 && !mf_plain_precise(hf->plain, i) ? hf->type : MF_F32;
}

/* --- one tensor --- */

static int write_block(const struct writing *w, struct mf_out *out, const struct mf_tensor *t, size_t n,
                       struct mf_err *err) {
    if (t->dtype == MF_F32) return mf_out_write(out, w->rows, n * sizeof *w->rows, err);
    (t->dtype == MF_BF16 ? mf_bf16_round : mf_f16_round)(w->halves, w->rows, n);
    for (size_t i = 0; i < n && t->dtype == MF_F16; i++)
        if ((w->halves[i] & 0x7fff) == 0x7c00)
            return mf_err_set(err, EX_DATAERR, "%s: tensor %s holds %g, too large for F16",
                              mf_plain_name(w->hf->plain), t->name, (double)w->rows[i]);
    return mf_out_write(out, w->halves, n * sizeof *w->halves, err);
}

static size_t block_rows(size_t columns) {
    return columns < BLOCK ? BLOCK / columns : 1;
}

static int write_tensor(const struct writing *w, struct mf_out *out, size_t i, struct mf_err *err) {
    const struct mf_plain *p = w->hf->plain;
    size_t columns = mf_plain_columns(p, i), rows = mf_plain_row_count(p, i), step = block_rows(columns);
    for (size_t first = 0, n; first < rows; first += n) {
        n = rows - first < step ? rows - first : step;
        if (mf_plain_rows(p, i, first, n, w->rows, err) < 0) return -1;
        if (write_block(w, out, &w->tensors[i], n * columns, err) < 0) return -1;
    }
    return 0;
}

/* --- files --- */

/* How many tensors from `first` on go into one file. */
static size_t shard_length(const struct writing *w, size_t first) {
    uint64_t bytes = 0;
    size_t i = first;
    while (i < w->count && (i == first || bytes + mf_tensor_bytes(&w->tensors[i]) <= w->hf->shard))
        bytes += mf_tensor_bytes(&w->tensors[i++]);
    return i - first;
}

static void shard_name(char name[64], size_t shard, size_t shards) {
    if (shards == 1)
        snprintf(name, 64, "model.safetensors");
    else
        snprintf(name, 64, "model-%05zu-of-%05zu.safetensors", shard + 1, shards);
}

static int write_shard(const struct writing *w, const char *name, size_t first, size_t n,
                       struct mf_err *err) {
    struct mf_out *out;
    if (mf_out_open(&out, mf_folder_file(w->folder, name), err) < 0) return -1;
    int status = mf_safetensors_header(out, w->metadata, w->tensors + first, n, err);
    for (size_t i = first; i < first + n && status == 0; i++) status = write_tensor(w, out, i, err);
    return mf_out_end(out, status, err);
}

static int write_index(const struct writing *w, json_t *map, struct mf_err *err) {
    if (w->hf->shards == 1) {
        json_decref(map);
        return 0;
    }
    json_t *index =
        json_pack("{s{sI},so}", "metadata", "total_size", (json_int_t)w->hf->bytes, "weight_map", map);
    return mf_json_write(mf_folder_file(w->folder, "model.safetensors.index.json"), index, JSON_INDENT(2),
                         err);
}

static int write_shards(const struct writing *w, struct mf_err *err) {
    json_t *map = json_object();
    char name[64];
    int status = 0;
    for (size_t i = 0, n, shard = 0; i < w->count && status == 0; i += n, shard++) {
        n = shard_length(w, i);
        shard_name(name, shard, w->hf->shards);
        for (size_t k = i; k < i + n; k++) json_object_set_new(map, w->tensors[k].name, json_string(name));
        status = write_shard(w, name, i, n, err);
    }
    if (status == 0) return write_index(w, map, err);
    json_decref(map);
    return -1;
}

/* --- all of it --- */

/* "format" is what transformers looks for; the rest names where the numbers come from. */
static json_t *metadata_of(const struct mf_plain *p) {
    static const char *const kept[] = {"tokenizer_sha256", "shared_sha256", "base", "experts", "ffn"};
    json_t *metadata = json_pack("{ss}", "format", "pt");
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        json_t *value = json_object_get(mf_plain_metadata(p), kept[i]);
        if (value) json_object_set(metadata, kept[i], value);
    }
    return metadata;
}

/* The experts' tensors have Mixtral's names here; Qwen3Moe has others for them. */
static void name_for_qwen3_moe(struct mf_tensor *t, struct mf_plain_role role) {
    static const char *const matrices[] = {
        [MF_PLAIN_GATE] = "gate_proj", [MF_PLAIN_DOWN] = "down_proj", [MF_PLAIN_UP] = "up_proj"};
    if (role.kind == MF_PLAIN_ROUTER)
        snprintf(t->name, sizeof t->name, "model.layers.%zu.mlp.gate.weight", role.layer);
    if (role.kind == MF_PLAIN_GATE || role.kind == MF_PLAIN_DOWN || role.kind == MF_PLAIN_UP)
        snprintf(t->name, sizeof t->name, "model.layers.%zu.mlp.experts.%zu.%s.weight", role.layer,
                 role.expert, matrices[role.kind]);
}

/* The dtypes and the largest row; counts bytes and shards. */
static size_t list(struct writing *w) {
    const struct mf_plain *p = w->hf->plain;
    bool qwen3_moe = hf_is_qwen3_moe(p);
    size_t widest = 0;
    for (size_t i = 0; i < w->count; i++) {
        w->tensors[i] = *mf_plain_tensor(p, i);
        if (qwen3_moe) name_for_qwen3_moe(&w->tensors[i], mf_plain_role(p, i));
        w->tensors[i].dtype = dtype_of(w->hf, i);
        w->hf->bytes += mf_tensor_bytes(&w->tensors[i]);
        if (mf_plain_columns(p, i) > widest) widest = mf_plain_columns(p, i);
    }
    for (size_t i = 0; i < w->count; i += shard_length(w, i)) w->hf->shards++;
    return widest;
}

int hf_tensors(struct mf_hf *hf, struct mf_folder *folder, struct mf_err *err) {
    struct writing w = {.hf = hf, .folder = folder, .count = mf_plain_count(hf->plain)};
    w.tensors = calloc(w.count, sizeof *w.tensors);
    if (!w.tensors) mf_no_memory();
    size_t widest = list(&w), capacity = widest > BLOCK ? widest : BLOCK;
    w.rows = calloc(capacity, sizeof *w.rows);
    w.halves = calloc(capacity, sizeof *w.halves);
    if (!w.rows || !w.halves) mf_no_memory();
    w.metadata = metadata_of(hf->plain);
    int status = write_shards(&w, err);
    json_decref(w.metadata);
    free(w.tensors);
    free(w.rows);
    free(w.halves);
    return status;
}
