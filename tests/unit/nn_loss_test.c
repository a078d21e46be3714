/* Cross entropy against a naive loop in double, and its gradients against central differences of that loop:
 * whole rows, blocks of rows, and chunks of the vocabulary. */
#include "nn.h"

#include "nn/loss.h"
#include "nn/matmul.h"

struct loss_twin {
    const double *logits;
    const uint32_t *targets;
    size_t N, V;
};

static double loss_twin(const void *context) {
    const struct loss_twin *t = context;
    double total = 0;
    for (size_t n = 0; n < t->N; n++) {
        double sum = 0;
        for (size_t v = 0; v < t->V; v++) sum += exp(t->logits[n * t->V + v]);
        if (t->targets[n] != LOSS_IGNORE) total += log(sum) - t->logits[n * t->V + t->targets[n]];
    }
    return 0.5 * total;
}

static void check_loss(size_t V, int threads) {
    const size_t N = 5;
    const uint32_t targets[] = {1, LOSS_IGNORE, (uint32_t)V - 1, 0, LOSS_IGNORE};
    struct mf_pool *pool = make_pool(threads);
    float *logits = make_random(N * V, 1);
    double *logits2 = to_double(logits, N * V), losses[5], again[5], sum = 0;
    struct loss_twin t = {logits2, targets, N, V};
    cross_entropy_backward(pool, losses, logits, targets, 0.5f, N, V);
    for (size_t n = 0; n < N; n++) sum += losses[n];
    assert_true(fabs(sum - 2 * loss_twin(&t)) < 1e-5);
    assert_true(losses[1] == 0 && losses[3] > 0 && losses[4] == 0);
    for (size_t P = 1; P <= V; P += 1 + V / 5) {
        float *whole = make_random(N * V, 1);
        losses_in_pieces(pool, again, whole, targets, N, V, P);
        for (size_t n = 0; n < N; n++) assert_true(fabs(losses[n] - again[n]) < 1e-6);
        free(whole);
    }
    assert_gradient("dlogits", logits, logits2, N * V, loss_twin, &t);
    for (size_t v = 0; v < V; v++) assert_true(logits[V + v] == 0);
    FREE_ALL(logits, logits2);
    mf_pool_free(pool);
}

static void test_loss(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        check_loss(2, threads);
        check_loss(77, threads);
    }
}

/* Vocabularies of more than one block: rows are summed in pieces. */
static void test_loss_blocks(void **state) {
    (void)state;
    enum { N = 4, V = 2051 };
    const uint32_t targets[N] = {V - 1, LOSS_IGNORE, 1024, 0};
    struct mf_pool *pool = make_pool(3);
    float *logits = make_random(N * V, 1);
    double *logits2 = to_double(logits, N * V), losses[N], again[N], sum = 0, gradient = 0;
    struct loss_twin t = {logits2, targets, N, V};
    losses_in_pieces(pool, losses, logits, targets, N, V, 1024);
    for (size_t n = 0; n < N; n++) sum += losses[n];
    assert_true(fabs(sum - 2 * loss_twin(&t)) < 1e-5);
    cross_entropy_backward(pool, again, logits, targets, 1, N, V);
    for (size_t n = 0; n < N; n++) assert_true(fabs(losses[n] - again[n]) < 1e-6);
    for (size_t n = 0; n < N; n++) {
        double rows = 0;
        for (size_t v = 0; v < V; v++) {
            double expected = 0;
            if (targets[n] != LOSS_IGNORE) {
                double p = exp(logits2[n * V + v]) / exp(losses[n] + logits2[n * V + targets[n]]);
                expected = p - (v == targets[n]);
            }
            assert_true(fabs((double)logits[n * V + v] - expected) < 1e-6);
            rows += (double)logits[n * V + v];
        }
        gradient += fabs(rows); /* a row's gradient sums to nothing */
    }
    assert_true(gradient < 1e-5);
    FREE_ALL(logits, logits2);
    mf_pool_free(pool);
}

/* The head without its logits: loss of h [N,D] against an embedding [V,D]. */
struct head_twin {
    const double *h, *embedding;
    const uint32_t *targets;
    size_t N, V, D;
};

static double head_twin(const void *context) {
    const struct head_twin *t = context;
    double loss = 0;
    for (size_t n = 0; n < t->N; n++) {
        double sum = 0, at_target = 0;
        for (size_t v = 0; v < t->V; v++) {
            double logit = 0;
            for (size_t d = 0; d < t->D; d++) logit += t->h[n * t->D + d] * t->embedding[v * t->D + d];
            sum += exp(logit);
            if (v == t->targets[n]) at_target = logit;
        }
        if (t->targets[n] != LOSS_IGNORE) loss += 0.5 * (log(sum) - at_target);
    }
    return loss;
}

static void check_loss_input(size_t P, int threads) {
    enum { N = 5, V = 23, D = 7 };
    const uint32_t targets[N] = {1, LOSS_IGNORE, V - 1, 0, LOSS_IGNORE};
    struct mf_pool *pool = make_pool(threads);
    float *h = make_random(N * D, 1), *embedding = make_random(V * D, 2), *logits = make_zeros(N * P);
    float *mixed = make_random(N * D, 3), maximum[N], at_target[N];
    for (size_t i = 0; i < N * D; i++) h[i] *= 4; /* so that later pieces raise the maximum */
    double *h2 = to_double(h, N * D), *embedding2 = to_double(embedding, V * D), sum[N], losses[N], total = 0;
    struct online_softmax l = {maximum, at_target, sum};
    struct head_twin t = {h2, embedding2, targets, N, V, D};
    for (size_t v = 0; v < V; v += P) {
        size_t columns = V - v < P ? V - v : P;
        matmul_forward(products_fp32(pool), logits, h, embedding + v * D, N, columns, D, 0);
        cross_entropy_chunk(pool, &l, logits, targets, v, N, columns, mixed, D);
        matmul_backward_input(products_fp32(pool), mixed, logits, embedding + v * D, N, columns, D, v > 0);
    }
    cross_entropy_losses(&l, losses, targets, N);
    for (size_t n = 0; n < N; n++) total += 0.5 * losses[n];
    assert_true(fabs(total - head_twin(&t)) < 1e-5);
    cross_entropy_input(pool, &l, mixed, targets, embedding, targets, 0.5f, N, D);
    assert_gradient("dh", mixed, h2, N * D, head_twin, &t);
    FREE_ALL(h, embedding, logits, mixed, h2, embedding2);
    mf_pool_free(pool);
}

static void test_loss_input(void **state) {
    (void)state;
    const size_t pieces[] = {1, 5, 22, 23};
    for (size_t i = 0; i < 4; i++)
        for (int threads = 1; threads <= MOST_THREADS; threads++) check_loss_input(pieces[i], threads);
}

int main(void) {
    matmul_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_loss_blocks),
        cmocka_unit_test(test_loss_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
