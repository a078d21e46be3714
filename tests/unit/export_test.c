/* Models as plain tensors (lib/export), made here of random numbers. */
#include <complex.h>
#include <math.h>
#include "scratch.h"
#include "nn.h"

#include "export/normed_fit.h"
#include "export/plain.h"
#include "export/score_fit.h"
#include "io/safetensors.h"
#include "model/tensors.h"
#include "nn/cholesky.h"

static const struct mf_shape llama = {.V = 23,
                                      .D = 8,
                                      .H = 4,
                                      .L = 2,
                                      .F = 20,
                                      .S = 7,
                                      .arch = MF_LLAMA,
                                      .K = 2,
                                      .d = 6,
                                      .rope_theta = 100,
                                      .norm_eps = 1e-5,
                                      .qkv_bias = true,
                                      .qk_norm = true,
                                      .untied = true};

/* All tensors of a model of E experts; returns how many. */
static size_t list_model(const struct mf_shape *shape, size_t E, struct mf_tensor *list) {
    size_t n = mf_backbone_tensors(shape, NULL, list);
    for (size_t i = 0; i < shape->L; i++)
        n += mf_table_tensors(shape, MF_TABLE_ROUTER, 0, i, 0, E, list + n, (size_t[MF_TABLE_MAX]){0});
    for (size_t e = 0; e < E; e++) n += mf_ffn_tensors(shape, MF_FFN_MOE, e, NULL, list + n);
    return n;
}

/* A tensor's numbers follow from its place in the list. */
static void write_model(const struct mf_shape *shape, size_t E, const char *router) {
    struct mf_err err;
    struct mf_out *out;
    struct mf_tensor list[200];
    size_t n = list_model(shape, E, list);
    json_t *metadata = json_pack("{ss}", "router", router), *config = mf_shape_json(shape);
    json_object_set_new(config, "n_experts", json_integer((json_int_t)E));
    json_object_set_new(config, "top_k", json_integer(1));
    mf_metadata_set_json(metadata, "config", config);
    assert_int_equal(mf_out_open(&out, "model.safetensors", &err), 0);
    assert_int_equal(mf_safetensors_header(out, metadata, list, n, &err), 0);
    for (size_t i = 0; i < n; i++) {
        float *data = make_random(mf_tensor_count(&list[i]), i + 1);
        assert_int_equal(mf_out_write(out, data, mf_tensor_bytes(&list[i]), &err), 0);
        free(data);
    }
    assert_int_equal(mf_out_commit(out, &err), 0);
    json_decref(metadata);
}

static size_t place_of(const struct mf_tensor *list, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0) return i;
    fail_msg("no tensor %s in the model", name);
    return 0;
}

/* The tensor's rows, taken in two parts, are `factor` times the numbers of the model's tensor `place`. */
static void expect_rows(const struct mf_plain *p, size_t i, size_t place, float factor) {
    struct mf_err err;
    size_t columns = mf_plain_columns(p, i), rows = mf_plain_row_count(p, i), half = rows / 2;
    float *got = make_zeros(rows * columns), *want = make_random(rows * columns, place + 1);
    assert_int_equal(mf_plain_rows(p, i, 0, half, got, &err), 0);
    assert_int_equal(mf_plain_rows(p, i, half, rows - half, got + half * columns, &err), 0);
    for (size_t j = 0; j < rows * columns; j++) assert_true(got[j] == factor * want[j]);
    free(got);
    free(want);
}

static void test_sparse(void **state) {
    (void)state;
    enum { E = 3 };
    struct mf_err err;
    struct mf_plain *p;
    struct mf_tensor list[200];
    size_t n = list_model(&llama, E, list), routers = 0;
    write_model(&llama, E, "{\"kind\": \"hidden\", \"gate_scale\": 2}");
    assert_int_equal(mf_plain_open(&p, "model.safetensors", NULL, &err), 0);
    assert_int_equal(mf_plain_experts(p), E);
    assert_int_equal(mf_plain_count(p), n);
    for (size_t i = 0; i < n; i++) {
        bool router = mf_plain_role(p, i).kind == MF_PLAIN_ROUTER;
        expect_rows(p, i, place_of(list, n, mf_plain_tensor(p, i)->name), router ? 2 : 1);
        routers += router;
    }
    assert_int_equal(routers, llama.L);
    mf_plain_close(p);
}

/* One expert is an FFN without a router, by the names of a dense model. */
static void test_dense(void **state) {
    (void)state;
    struct mf_err err;
    struct mf_plain *p;
    struct mf_tensor list[200];
    size_t n = list_model(&llama, 1, list), ffn = 0;
    write_model(&llama, 1, "{}");
    assert_int_equal(mf_plain_open(&p, "model.safetensors", NULL, &err), 0);
    assert_int_equal(mf_plain_experts(p), 0);
    assert_int_equal(mf_plain_count(p), n - llama.L);
    for (size_t i = 0; i < mf_plain_count(p); i++) {
        struct mf_plain_role role = mf_plain_role(p, i);
        assert_int_not_equal(role.kind, MF_PLAIN_ROUTER);
        if (role.kind != MF_PLAIN_DOWN) continue;
        char name[MF_TENSOR_NAME];
        snprintf(name, sizeof name, "model.layers.%zu.mlp.down_proj.weight", role.layer);
        assert_string_equal(mf_plain_tensor(p, i)->name, name);
        snprintf(name, sizeof name, "model.layers.%zu.block_sparse_moe.experts.0.w2.weight", role.layer);
        expect_rows(p, i, place_of(list, n, name), 1);
        ffn++;
    }
    assert_int_equal(ffn, llama.L);
    mf_plain_close(p);
}

static void expect_refusal(const char *reason) {
    struct mf_err err = {0};
    struct mf_plain *p;
    assert_int_equal(mf_plain_open(&p, "model.safetensors", NULL, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_null(p);
    if (!strstr(err.text, reason)) fail_msg("'%s' does not say '%s'", err.text, reason);
}

static void test_refusals(void **state) {
    (void)state;
    static const struct mf_shape reference = {.V = 23, .D = 8, .H = 2, .L = 2, .F = 20, .S = 7};
    write_model(&reference, 2, "{}");
    expect_refusal("model.arch=llama");
    write_model(&llama, 2, "{\"weights\": \"all\"}");
    expect_refusal("softmax over all experts");
}

/* --- scores that follow a line --- */

/* The naive twin: by complex numbers, a query 1 in every pair against a key a + ib, each turned to its place.
 */
static double naive_score(const double *fit, const double *frequencies, size_t d, size_t distance) {
    double complex sum = 0;
    for (size_t i = 0; i < d / 2; i++) {
        double complex query = cexp(I * frequencies[i] * (double)(distance + 3)),
                       key = (fit[i] + I * fit[d / 2 + i]) * cexp(I * frequencies[i] * 3);
        sum += query * conj(key);
    }
    return creal(sum);
}

/* What the fit makes small, as score_fit.c says it. */
static double cost_of(const double *fit, const double *frequencies, size_t d, size_t S, double start,
                      double slope) {
    double cost = 0;
    for (size_t n = 0; n < S; n++)
        cost += pow(naive_score(fit, frequencies, d, n) - start - slope * (double)n, 2);
    for (size_t i = 0; i < d; i++) cost += (double)S * 1e-12 * fit[i] * fit[i];
    return cost;
}

static void check_fit(size_t d, double theta, size_t S, double start, double slope, double bound) {
    double fit[64], frequencies[32], most = 0;
    rope_frequencies(frequencies, d, theta);
    double off = score_fit(fit, frequencies, d, S, start, slope);
    for (size_t n = 0; n < S; n++)
        most = fmax(most, fabs(naive_score(fit, frequencies, d, n) - start - slope * (double)n));
    assert_true(fabs(off - most) < 1e-9);
    if (!(off < bound)) fail_msg("head of %zu, %zu tokens: off by %g, not below %g", d, S, off, bound);
    double best = cost_of(fit, frequencies, d, S, start, slope);
    for (size_t i = 0; i < 2 * d; i++) { /* no step to either side is better */
        double kept = fit[i / 2];
        fit[i / 2] += i % 2 ? 1e-3 : -1e-3;
        assert_true(cost_of(fit, frequencies, d, S, start, slope) > best);
        fit[i / 2] = kept;
    }
}

static void test_score_fit(void **state) {
    (void)state;
    check_fit(2, 10000, 1, 8.3, 0, 1e-5);
    check_fit(8, 10000, 16, log(4096), 0, 1e-5);
    check_fit(16, 10000, 251, 0, log(0.99), 1e-4);
    check_fit(64, 100000, 2048, log(4096), 0, 2e-5);
    check_fit(64, 10000, 2048, 0, log(0.999), 1e-4);
    double fit[6], frequencies[3];
    rope_frequencies(frequencies, 6, 100);
    assert_true(score_fit(fit, frequencies, 6, 512, log(4096), 0) > 1e-3); /* all turn too far */
}

/* --- weights where queries and keys are normed --- */

/* A norm and gains as a model has them, then turned to its place. */
static double complex normed(const double *x, const float *gain, const struct normed_head *h, size_t pair,
                             size_t place) {
    double square = h->norm_eps;
    for (size_t i = 0; i < h->d; i++) square += x[i] * x[i] / (double)h->d;
    double complex turned = cexp(I * h->frequencies[pair] * (double)place);
    size_t other = pair + h->d / 2;
    return (x[pair] * (double)gain[pair] + I * x[other] * (double)gain[other]) / sqrt(square) * turned;
}

static double naive_weight(const struct normed_head *h, const double *query, const double *key,
                           size_t distance) {
    double sum = 0;
    for (size_t i = 0; i < h->d / 2; i++)
        sum += creal(normed(query, h->q_gain, h, i, distance + 3) * conj(normed(key, h->k_gain, h, i, 3)));
    return exp(sum / sqrt((double)h->d));
}

/* Over the contexts of 1 to S tokens, the largest sum of what the softmax's weights are off, as a share of
 * the tokens' weight. */
static double naive_off(const struct normed_head *h, const double *query, const double *key,
                        const double *bos_key) {
    double *got = calloc(h->S, sizeof *got), most = 0, sum = 0, tokens = 0;
    assert_non_null(got);
    for (size_t n = 0; n < h->S; n++) {
        got[n] = naive_weight(h, query, key, n);
        sum += got[n];
        tokens += pow(h->decay, (double)n);
        double bos = naive_weight(h, query, bos_key, n), total = h->bos_weight + tokens, off = 0;
        for (size_t i = 0; i <= n; i++)
            off += fabs(got[i] / (bos + sum) - pow(h->decay, (double)i) / total) / (tokens / total);
        most = fmax(most, off);
    }
    free(got);
    return most;
}

static double mean_square(const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i] / (double)n;
    return sum;
}

/* Gains around `size`, some of them negative; the one at `zero` and its pair's other one are 0. */
static void make_gains(float *gains, size_t n, double size, size_t zero, uint64_t seed) {
    float *noise = make_random(n, seed);
    for (size_t i = 0; i < n; i++)
        gains[i] = (float)((i % 7 == 3 ? -size : size) * (1 + 0.3 * tanh((double)noise[i])));
    if (zero < n / 2) gains[zero] = gains[zero + n / 2] = 0;
    free(noise);
}

static void check_normed(struct normed_head h, double theta, double size, size_t zero, double bound) {
    double frequencies[64], query[128], key[128], bos_key[128];
    float q_gain[128], k_gain[128];
    rope_frequencies(frequencies, h.d, theta);
    make_gains(q_gain, h.d, size, zero, 3);
    make_gains(k_gain, h.d, size, h.d, 4);
    h.frequencies = frequencies, h.q_gain = q_gain, h.k_gain = k_gain;
    double off = normed_fit(&h, query, key, bos_key), naive = naive_off(&h, query, key, bos_key);
    if (!(off < bound)) fail_msg("%zu columns, decay %g: off by %g, not below %g", h.d, h.decay, off, bound);
    if (!(naive < 2 * off + 1e-7)) fail_msg("off by %g, not by %g", naive, off);
    const double *all[] = {query, key, bos_key};
    for (size_t i = 0; i < 3; i++) assert_true(fabs(mean_square(all[i], h.d) + h.norm_eps - 1) < 1e-6);
}

static void test_normed_fit(void **state) {
    (void)state;
    const size_t none = 64;
    const struct normed_head all = {.d = 32, .S = 64, .norm_eps = 1e-6, .bos_weight = 4096, .decay = 1};
    struct normed_head head = all;
    check_normed(head, 10000, 1, none, 2e-5);
    check_normed(head, 10000, 1.5, 15, 2e-5); /* without the slowest pair */
    head.norm_eps = 0.1;
    check_normed(head, 10000, 1.3, none, 2e-5);
    head = all, head.decay = 0.95;
    check_normed(head, 10000, 1, none, 1e-3);
    head.bos_weight = 50;
    check_normed(head, 10000, 1, none, 2e-5);
    head = (struct normed_head){.d = 128, .S = 2048, .norm_eps = 1e-6, .bos_weight = 4096, .decay = 1};
    check_normed(head, 1e6, 1, none, 2e-5);
    head.decay = 0.98;
    check_normed(head, 1e6, 1, none, 1e-2);
    check_normed(head, 1e6, 1.5, none, 2e-5);
    head.decay = 1e-200; /* the token itself alone */
    check_normed(head, 1e6, 30, none, 1e-2);
}

/* Scores have a bound: 2 columns are none but filler, 12 reach exp(2 sqrt(12)) = 1022 of 4096. */
static void test_normed_fit_bound(void **state) {
    (void)state;
    float gains[128], zeros[12] = {0};
    double frequencies[64], query[128], key[128], bos_key[128];
    for (size_t i = 0; i < 128; i++) gains[i] = 1;
    struct normed_head head = {.d = 12,
                               .S = 64,
                               .frequencies = frequencies,
                               .q_gain = gains,
                               .k_gain = gains,
                               .norm_eps = 1e-6,
                               .bos_weight = 4096,
                               .decay = 1};
    rope_frequencies(frequencies, 12, 10000);
    assert_true(normed_fit(&head, query, key, bos_key) > 0.1);
    head.bos_weight = 100;
    assert_true(normed_fit(&head, query, key, bos_key) < 1e-4);
    head.k_gain = zeros;
    assert_true(normed_fit(&head, query, key, bos_key) > 0.1);
    head.k_gain = gains, head.d = 2;
    assert_true(normed_fit(&head, query, key, bos_key) == HUGE_VAL);
    head.d = 12, head.norm_eps = 1;
    assert_true(normed_fit(&head, query, key, bos_key) == HUGE_VAL);
}

static void test_cholesky(void **state) {
    (void)state;
    enum { N = 7 };
    double a[N * N], factor[N * N], b[N] = {1, -2, 3, 0, 5, -6, 7}, x[N];
    float *m = make_random(N * N, 9);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            a[i * N + j] = i == j;
            for (size_t k = 0; k < N; k++) a[i * N + j] += (double)m[i * N + k] * (double)m[j * N + k];
        }
    memcpy(factor, a, sizeof a);
    memcpy(x, b, sizeof b);
    assert_int_equal(cholesky_factor(factor, N), 0);
    cholesky_solve(factor, x, N);
    for (size_t i = 0; i < N; i++) {
        double sum = 0;
        for (size_t j = 0; j < N; j++) sum += a[i * N + j] * x[j];
        assert_true(fabs(sum - b[i]) < 1e-9);
    }
    a[0] = -1;
    assert_int_equal(cholesky_factor(a, N), -1);
    free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sparse, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(test_dense, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(test_refusals, enter_folder, leave_folder),
        cmocka_unit_test(test_score_fit),
        cmocka_unit_test(test_normed_fit),
        cmocka_unit_test(test_normed_fit_bound),
        cmocka_unit_test(test_cholesky),
    };
    return cmocka_run_group_tests_name("export", tests, NULL, NULL);
}
