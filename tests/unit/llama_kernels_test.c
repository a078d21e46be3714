/* A small model of the kernels of family llama, for two comparisons: each row by itself behind a cache is
 * that row of the whole; and, with arguments, the logits of PyTorch (tests/oracle/llama.bats):
 *
 *     llama_kernels_test MODEL.safetensors TOKENS.mf LOGITS.f32
 */
#include "llama_fixture.h"

#include <jansson.h>

#include "eval/dataset.h"
#include "model/rope_scaling.h"

/* --- a cache --- */

/* A prompt at once, then a row at a time: the logits are those of all rows together. */
static void check_cache(struct heads heads, bool sparse) {
    enum { N = 21, PROMPT = 6, V = 40, D = 22 };
    const size_t whole[] = {0, N}, prompt[] = {0, PROMPT}, single[] = {0, 1};
    struct llama m = {.heads = heads, .V = V, .D = D, .F = 13, .L = 2, .S = 24, .E = 3, .top_k = 2};
    m.eps = 1e-5f;
    m.sparse = sparse;
    begin(&m, 1e4, &(struct rope_stretch){0});
    uint32_t tokens[N];
    for (size_t n = 0; n < N; n++) tokens[n] = (uint32_t)(n * 17 % V);
    float *all = make_poison(N * V), *some = make_poison(N * V);
    run(&m, all, tokens, &(struct seqs){1, whole}, 0);
    double *expected = to_double(all, N * V);
    run(&m, some, tokens, &(struct seqs){1, prompt}, 0);
    for (size_t n = PROMPT; n < N; n++) run(&m, some + n * V, tokens + n, &(struct seqs){1, single}, n);
    assert_close("logits", some, expected, N * V, 1e-4); /* two layers of sums in another order */
    FREE_ALL(all, some, expected);
    end(&m);
}

static void test_cache(void **state) {
    (void)state;
    check_cache((struct heads){5, 1, 2}, false);
    check_cache((struct heads){6, 3, 10}, false);
    check_cache((struct heads){4, 2, 6}, true);
}

/* --- the logits of a file --- */

static size_t size_in(const json_t *config, const char *key) {
    const json_t *value = json_object_get(config, key);
    return value ? (size_t)json_integer_value(value) : 0;
}

static void load(struct llama *m, const char *path) {
    struct mf_err err;
    if (mf_safetensors_open(&m->file, path, &err) < 0) fail_msg("%s", err.text);
    json_t *c = mf_metadata_json(mf_safetensors_metadata(m->file), "config");
    assert_non_null(c);
    m->V = size_in(c, "vocab_size"), m->D = size_in(c, "d_model"), m->F = size_in(c, "d_ff");
    m->L = size_in(c, "n_layers"), m->S = size_in(c, "context");
    m->E = size_in(c, "n_experts"), m->top_k = size_in(c, "top_k");
    m->heads = (struct heads){size_in(c, "n_heads"), size_in(c, "n_kv_heads"), size_in(c, "head_dim")};
    if (m->heads.d == 0 && m->heads.H > 0) m->heads.d = m->D / m->heads.H;
    m->eps = (float)json_number_value(json_object_get(c, "norm_eps"));
    m->sparse = has(m, "model.layers.0.block_sparse_moe.gate.weight");
    struct rope_stretch stretch = {0};
    if (mf_rope_scaling_parse(&stretch, json_object_get(c, "rope_scaling"), path, &err) < 0)
        fail_msg("%s", err.text);
    begin(m, json_number_value(json_object_get(c, "rope_theta")), &stretch);
    json_decref(c);
}

/* Logits of every token that has another behind it, in windows of the context's length. */
static void write_logits(void **state) {
    char **argv = *state;
    struct llama m = {0};
    struct mf_dataset *source;
    struct mf_token_doc doc;
    struct mf_err err;
    load(&m, argv[1]);
    float *logits = make_poison(m.S * m.V);
    FILE *out = fopen(argv[3], "wb");
    assert_non_null(out);
    const struct mf_specials specials = {.pad = 0, .bos = 2, .eos = 3};
    if (mf_dataset_open(&source, argv[2], m.V, "", &specials, argv[1], &err) < 0) fail_msg("%s", err.text);
    while (mf_dataset_next(source, &doc, &err) > 0)
        for (size_t at = 0; at + 1 < doc.n; at += m.S) {
            const size_t rows = doc.n - 1 - at < m.S ? doc.n - 1 - at : m.S, start[] = {0, rows};
            run(&m, logits, doc.tokens + at, &(struct seqs){1, start}, 0);
            assert_int_equal(fwrite(logits, m.V * sizeof *logits, rows, out), rows);
        }
    assert_int_equal(fclose(out), 0);
    mf_dataset_close(source);
    free(logits);
    end(&m);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cache)};
    const struct CMUnitTest file[] = {cmocka_unit_test_prestate(write_logits, argv)};
    matmul_setup();
    return argc == 4 ? cmocka_run_group_tests(file, NULL, NULL) : cmocka_run_group_tests(tests, NULL, NULL);
}
