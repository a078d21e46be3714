/* Bundles, models and bases. */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "assemble/assemble.h"
#include "cli/show.h"
#include "export/quant.h"
#include "import/base.h"
#include "io/gguf.h"
#include "model/moe.h"
#include "train/checkpoint.h"

/* --- bundles and models --- */

static const struct mf_shape micro = {
    .V = 280, .D = 4, .H = 1, .L = 1, .F = 4, .S = CONTEXT}; /* as in fuzz.sh */

int read_bundle(const char *path) {
    struct mf_err err = {0};
    struct mf_bundle *b;
    struct mf_component component;
    size_t index;
    unsigned char bytes[100];
    if (mf_component_open(&component, path, "expert", &err) == 0) mf_component_close(&component);
    if (check(mf_bundle_open(&b, path, NULL, &err), &err) < 0) return -1;
    int more;
    while ((more = mf_bundle_next(b, &index, &err)) > 0) {
        size_t size = mf_tensor_bytes(mf_bundle_tensor(b, index));
        more = mf_bundle_read(b, bytes, size < sizeof bytes ? size : sizeof bytes, &err);
        if (more < 0) break;
    }
    mf_bundle_close(b);
    return check(more, &err);
}

int read_checkpoint(const char *path) {
    struct mf_err err = {0};
    struct mf_train_state state;
    struct mf_tensor tensors[16];
    struct mf_moments moments[16];
    float parameters[256], m[256] = {0}, v[256] = {0};
    if (mf_ffn_size(&micro) > 256) abort();
    size_t count = mf_ffn_tensors(&micro, MF_FFN_EXPERT, 0, parameters, tensors);
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)((float *)tensors[i].data - parameters);
        moments[i] = (struct mf_moments){m + at, v + at};
    }
    const struct mf_train_arrays arrays = {tensors, count, moments};
    json_t *identity = json_object();
    int result = check(mf_checkpoint_read(path, identity, &state, &arrays, &err), &err);
    json_decref(identity);
    return result;
}

static struct mf_pool *the_pool(void) {
    static struct mf_pool *pool;
    struct mf_err err;
    if (!pool && mf_pool_new(&pool, 1, &err) < 0) abort();
    return pool;
}

/* Opens and runs it. */
static int run_model(const char *path, const char *expert) {
    static const size_t start[] = {0, 5, 6};
    const struct seqs seqs = {2, start};
    uint32_t tokens[6] = {2, 100, 101, 102, 3, 2}, targets[6] = {100, 101, 102, 3, 0, 0};
    double losses[6];
    const float *hidden;
    struct mf_err err = {0};
    struct mf_moe *moe;
    struct mf_moe_work *work = NULL;
    struct mf_pool *pool = the_pool();
    int result = check(mf_moe_open(&moe, path, expert, &(struct mf_moe_budget){0}, &err), &err);
    if (result < 0) return -1;
    for (size_t i = 0; i < 6; i++) tokens[i] %= moe->shape.V, targets[i] %= moe->shape.V;
    if (moe->shape.S >= 5) {
        result = mf_moe_work_new(&work, moe, 6, products_fp32(pool), &err);
        if (result == 0) result = mf_moe_forward(moe, work, tokens, &seqs, NULL, NULL, &hidden, &err);
        if (result == 0) result = mf_moe_losses(moe, work, hidden, targets, 6, losses, &err);
    }
    mf_moe_work_free(work);
    mf_moe_close(moe);
    return check(result, &err);
}

int read_model(const char *path) {
    return run_model(path, NULL);
}

static int assemble(enum mf_assembly_kind kind, const struct mf_spool *bundles, size_t n) {
    static struct mf_config config;
    static const struct mf_settings settings = {.seed = -1};
    struct mf_err err = {0};
    struct mf_assembly a;
    struct mf_out *out;
    if (!config.model.d_model && mf_config_load(&config, &settings, &err) < 0) abort();
    config.model.top_k = 1;
    int result = mf_assembly_plan(&a, kind, &config, bundles, n, NULL, 0, &err);
    if (result == 0) {
        if (mf_out_open(&out, "/dev/null", &err) < 0) abort();
        result = mf_assembly_write(&a, the_pool(), out, &err);
        mf_out_abandon(out);
    }
    mf_assembly_free(&a);
    return check(result, &err);
}

int read_shared(const char *path) {
    const struct mf_spool bundle = {.path = path, .name = path, .fd = -1};
    return assemble(MF_ASSEMBLE_DENSE, &bundle, 1);
}

/* With the shared bundle it was trained against. */
int read_expert(const char *path) {
    const char *shared = getenv("MF_FUZZ_SHARED");
    if (!shared) abort();
    const struct mf_spool bundles[] = {{.path = shared, .name = shared, .fd = -1},
                                       {.path = path, .name = path, .fd = -1}};
    int result = assemble(MF_ASSEMBLE_MIXTURE, bundles, 2);
    if (assemble(MF_ASSEMBLE_AVERAGE, bundles, 2) < 0) result = -1;
    return run_model(shared, path) < 0 ? -1 : result;
}

static int take_value(void *context, const json_t *value, struct mf_err *err) {
    (void)err;
    *(size_t *)context += json_is_string(value) ? json_string_length(value) : 1;
    return 0;
}

/* All that is in it, and the numbers of tensors of the types that we know. */
int read_gguf(const char *path) {
    struct mf_err err = {0};
    struct mf_gguf *g;
    size_t sum = 0;
    unsigned char bytes[136];
    float numbers[32];
    if (check(mf_gguf_open(&g, path, &err), &err) < 0) return -1;
    for (size_t i = 0; i < mf_gguf_key_count(g); i++) {
        const struct mf_gguf_key *key = mf_gguf_key(g, i);
        if (mf_gguf_find_key(g, key->name) != (int64_t)i) abort();
        if (mf_gguf_values(g, key, UINT64_MAX, take_value, &sum, &err) < 0) abort();
    }
    for (size_t i = 0; i < mf_gguf_tensor_count(g); i++) {
        const struct mf_gguf_tensor *t = mf_gguf_tensor(g, i);
        const struct mf_gguf_block *block = mf_gguf_block(t->type);
        if (mf_gguf_find_tensor(g, t->name) != (int64_t)i) abort();
        size_t size = t->bytes < block->bytes ? (size_t)t->bytes : block->bytes;
        if (block->values > 32 || size == 0) continue;
        if (mf_gguf_read(g, i, t->bytes - size, bytes, size, &err) < 0) abort();
        mf_quant_widen(numbers, bytes, block->values, t->type);
    }
    mf_gguf_close(g);
    return 0;
}

/* --- bases --- */

/* Through all that mf-import does, up to bytes that nobody keeps. */
int read_base_file(const char *path) {
    struct mf_err err = {0};
    struct mf_base *base;
    struct mf_base_tokenizer tokenizer;
    struct mf_out *out;
    if (check(mf_base_open(&base, path, 0, &err), &err) < 0) return -1;
    if (mf_out_open(&out, "/dev/null", &err) < 0) abort();
    int result = mf_base_write_tokenizer(base, out, &tokenizer, &err);
    if (result == 0) result = mf_base_write(base, &tokenizer, out, &err);
    mf_out_abandon(out);
    mf_base_close(base);
    return check(result, &err);
}

static bool holds(const char *bytes, size_t n, const char *word) {
    return memmem(bytes, n, word, strlen(word)) != NULL;
}

/* A file of a folder whose others are good ones: which one it is, it says itself. */
int read_base(const char *path) {
    static char folder[] = "/tmp/mf-fuzz-base.XXXXXX";
    static const char *const names[] = {"config.json", "tokenizer.json", "model.safetensors.index.json",
                                        "model-00001-of-00002.safetensors",
                                        "model-00002-of-00002.safetensors"};
    const char *good = getenv("MF_FUZZ_BASE");
    char bytes[32768], name[300], target[300];
    FILE *f = fopen(path, "r");
    if (!good || !f || (strchr(folder, 'X') && !mkdtemp(folder))) abort();
    size_t n = fread(bytes, 1, sizeof bytes, f), which = holds(bytes, n, "\"hidden_size\"")    ? 0
                                                         : holds(bytes, n, "\"added_tokens\"") ? 1
                                                         : holds(bytes, n, "\"weight_map\"")   ? 2
                                                                                               : 3;
    fclose(f);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        snprintf(target, sizeof target, "%s/%s", good, names[i]);
        if ((unlink(name) < 0 && errno != ENOENT) || symlink(i == which ? path : target, name) < 0) abort();
    }
    return read_base_file(folder);
}

int read_shown(const char *path) {
    int result = 0;
    for (int form = MF_SHOW_JSON; form <= MF_SHOW_STATS; form++) {
        const struct mf_show how = {(enum mf_show_form)form, -1, false};
        struct mf_err err = {0};
        struct mf_out *out;
        if (mf_out_open(&out, "/dev/null", &err) < 0) abort();
        if (check(mf_show_file(out, path, &how, &err), &err) < 0) result = -1;
        mf_out_abandon(out);
    }
    return result;
}
