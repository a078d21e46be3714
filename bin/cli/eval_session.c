/* Beginning and ending a command of mf-eval. */
#include "cli/eval_session.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/precision.h"
#include "io/utf8.h"
#include "io/json_file.h"
#include "io/safetensors.h"
#include "nn/matmul.h"

uint64_t mf_session_half_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / 2 : MF_SESSION_CACHE;
}

int mf_session_begin(struct mf_session *s, const char *stage, const struct mf_common *common, int64_t batch,
                     struct mf_err *err) {
    if (mf_config_load_stage(&s->config, &common->settings, stage, err) < 0) return -1;
    s->batch = (size_t)(batch > 0 ? batch : s->config.eval.batch);
    matmul_setup();
    if (mf_pool_new(&s->pool, (int)common->threads, err) < 0) return -1;
    if (mf_precision_bf16(s->config.eval.precision) && bf16_new(&s->bf16, (int)common->threads, err) < 0)
        return -1;
    s->budget = (struct mf_moe_budget){
        .cache = MF_SESSION_CACHE, .windows = s->batch, .min_windows = 1, .pool = s->pool};
    return 0;
}

static void close_model(struct mf_session *s) {
    mf_moe_work_free(s->work);
    mf_moe_close(s->moe);
    s->work = NULL;
    s->moe = NULL;
}

int mf_session_model(struct mf_session *s, const char *path, const char *expert, struct mf_err *err) {
    size_t rows;
    close_model(s);
    if (mf_moe_open(&s->moe, path, expert, &s->budget, err) < 0) return -1;
    s->batch = s->budget.windows;
    if (__builtin_mul_overflow(s->batch, s->moe->shape.S, &rows))
        return mf_err_set(err, EX_USAGE, "a batch of %zu windows is too large", s->batch);
    const struct products how = {.pool = s->pool, .bf16 = s->bf16};
    if (mf_moe_work_new(&s->work, s->moe, rows, how, err) == 0) return 0;
    return mf_err_set(err, EX_OSERR, "%s: no memory for %zu window%s of its context, %zu tokens%s", path,
                      s->batch, s->batch == 1 ? "" : "s", s->moe->shape.S,
                      s->batch > 1 ? "; a smaller eval.batch takes less" : "");
}

/* Bytes of a file; SIZE_MAX of what is none. */
static size_t file_bytes(const char *path) {
    struct stat st;
    bool file = path && strcmp(path, "-") != 0 ? stat(path, &st) == 0 : fstat(STDIN_FILENO, &st) == 0;
    return file && S_ISREG(st.st_mode) ? (size_t)st.st_size : SIZE_MAX;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Reading a tokens stream and a sample of it. */
static size_t source_memory(const char *path, int64_t max_tokens) {
    /* a token takes 2 bytes at least in a file, and 4 here; a sample is pruned at twice its size */
    size_t tokens = file_bytes(path) / 2, document = smaller(tokens, 500000), sample = 0;
    if (max_tokens > 0) sample = smaller(tokens, 2 * (size_t)max_tokens);
    return document * 8 + sample * 6;
}

size_t mf_session_tokenizer_memory(const char *path) {
    if (!path) return 0;
    size_t bytes = file_bytes(path);
    return bytes == SIZE_MAX ? 0 : ((size_t)1 << 20) + 28 * bytes; /* its JSON, then its tables */
}

void mf_session_end(struct mf_session *s) {
    mf_dataset_close(s->dataset);
    close_model(s);
    bf16_free(s->bf16);
    mf_pool_free(s->pool);
    *s = (struct mf_session){0};
}

int mf_session_source(struct mf_session *s, const char *path, int64_t max_tokens, struct mf_err *err) {
    const struct mf_moe *m = s->moe;
    if (mf_dataset_open(&s->dataset, path, m->shape.V, m->tokenizer_sha256, &m->specials, m->name, err) < 0)
        return -1;
    mf_dataset_spread(s->dataset, MF_DATASET_SPREAD);
    mf_dataset_seed(s->dataset, s->request.seed);
    return max_tokens > 0 ? mf_dataset_sample(s->dataset, (size_t)max_tokens, err) : 0;
}

int mf_session_check(struct mf_session *s, const struct mf_strs *operands, struct mf_err *err) {
    if (!s->request.model) return mf_err_set(err, EX_USAGE, "which model? (-m FILE)");
    return mf_options_operand(operands, "tokens stream", &s->request.tokens, err);
}

static size_t beside_model(const void *context, const struct mf_moe *moe, size_t windows) {
    const struct mf_session *s = context;
    const struct mf_session_request *r = &s->request;
    size_t bf16 = s->bf16 ? bf16_memory(mf_pool_threads(s->pool)) : 0;
    return bf16 + r->beside(r->context, moe, windows) + source_memory(r->tokens, r->max_tokens) +
           mf_session_tokenizer_memory(r->tokenizer);
}

static int check_router(const struct mf_moe *moe, struct mf_err *err) {
    if (mf_moe_model(moe) && strcmp(moe->router.kind, "single") != 0) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: not an assembled model: there is no router", moe->name);
}

int mf_session_open(struct mf_session *s, struct mf_err *err) {
    const struct mf_session_request *r = &s->request;
    s->budget.limit = r->memory;
    s->budget.beside = beside_model;
    s->budget.context = s;
    if (mf_session_model(s, r->model, r->expert, err) < 0) return -1;
    if (r->routed && check_router(s->moe, err) < 0) return -1;
    return mf_session_source(s, r->tokens, r->max_tokens, err);
}

int mf_session_write(const char *path, json_t *json, struct mf_err *err) {
    return mf_json_write(path, json, JSON_INDENT(1) | JSON_REAL_PRECISION(12), err);
}

json_t *mf_session_entries(const struct mf_moe *moe) {
    const struct mf_safetensors *model = mf_moe_model(moe);
    return model ? mf_metadata_json(mf_safetensors_metadata(model), "experts") : NULL;
}

/* A name for one entry of the metadata's list of experts. */
static json_t *entry_name(const json_t *entry) {
    static const char *const keys[] = {"name", "partition", "file"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(entry, keys[i]);
        if (json_is_string(value)) return json_string(json_string_value(value));
        if (json_is_integer(value))
            return json_sprintf("%s %lld", keys[i], (long long)json_integer_value(value));
    }
    return NULL;
}

json_t *mf_session_experts(const struct mf_moe *moe) {
    json_t *entries = mf_session_entries(moe), *names = json_array();
    for (size_t e = 0; e < moe->router.n_experts; e++) {
        json_t *name = entry_name(json_array_get(entries, e));
        json_array_append_new(names, name ? name : json_sprintf("expert %zu", e));
    }
    json_decref(entries);
    return names;
}
