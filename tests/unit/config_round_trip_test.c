/* Random configurations, printed, read back as the same values. */
#include "config_fixture.h"

#include <math.h>
#include <utf8proc.h>

#include "base/rng.h"
#include "config/schema.h"

/* Valid UTF-8 of any code points, those that YAML treats specially more often; without zero bytes. */
static void random_text(struct mf_rng *rng, char *text, size_t size) {
    static const utf8proc_int32_t special[] = {'"',    '\\', '\n', '\r', '\t',   ' ',    '#',
                                               ':',    0x7f, 0x85, 0xa0, 0x2028, 0x2029, 0xfeff,
                                               0xfffe, '\'', '|',  '%',  0x9fff, 0xffff, 0x80};
    size_t n = 0, wanted = mf_rng_below(rng, size - 4);
    while (n < wanted) {
        utf8proc_int32_t c = (utf8proc_int32_t)(1 + mf_rng_below(rng, 0x10ffff));
        if (mf_rng_below(rng, 2)) c = special[mf_rng_below(rng, sizeof special / sizeof *special)];
        if (c >= 0xd800 && c < 0xe000) continue;
        n += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)text + n);
    }
    text[n] = 0;
}

/* A value in the key's range, small and large ones alike. */
static void random_value(struct mf_rng *rng, const struct mf_key *key, struct mf_config *config) {
    char text[1100];
    struct mf_err err;
    double high = key->high, low = key->low;
    double share = mf_rng_uniform(rng), real = low + (high - low) * pow(share, 1 + 40 * mf_rng_uniform(rng));
    size_t choices = 1;
    switch (key->kind) {
    case MF_KEY_INT:
        snprintf(text, sizeof text, "%.0f", floor(real));
        break;
    case MF_KEY_REAL:
        snprintf(text, sizeof text, "%.17g", real);
        break;
    case MF_KEY_CHOICE:
        for (const char *c = key->choices; *c; c++) choices += *c == '|';
        memcpy((char *)config + key->offset, &(int){(int)mf_rng_below(rng, choices)}, sizeof(int));
        return;
    case MF_KEY_BOOL:
        snprintf(text, sizeof text, "%s", mf_rng_below(rng, 2) ? "true" : "false");
        break;
    case MF_KEY_TEXT:
        random_text(rng, text, (size_t)key->high + 1);
        break;
    }
    assert_int_equal(mf_key_parse(key, config, text, "random", &err), 0);
}

static void fit_training(struct mf_train_config *t) {
    if (t->min_lr > t->lr) t->min_lr = t->lr / 3;
    if (t->warmup > t->steps) t->warmup = t->steps;
}

static void random_config(struct mf_rng *rng, struct mf_config *c) {
    size_t count;
    const struct mf_key *keys = mf_keys(&count);
    for (size_t i = 0; i < count; i++) random_value(rng, &keys[i], c);
    c->model.n_heads = 1 + (int64_t)mf_rng_below(rng, 64);
    c->model.d_model = 2 * c->model.n_heads * (1 + (int64_t)mf_rng_below(rng, 100));
    c->model.n_kv_heads = mf_rng_below(rng, 2) ? c->model.n_heads : 0;
    c->model.head_dim -= c->model.head_dim % 2;
    if (c->model.top_k > c->model.n_experts) c->model.top_k = c->model.n_experts;
    c->docs.val_fraction /= 2.1;
    c->docs.test_fraction /= 2.1;
    if (c->docs.max_chars < c->docs.min_chars) c->docs.max_chars = 0;
    fit_training(&c->train_shared);
    fit_training(&c->train_expert);
    if (c->expert.rank) c->expert.init = MF_INIT_SHARED;
    if (c->model.arch != MF_LLAMA) c->expert.train = MF_LEARN_FFN;
    if (c->expert.train == MF_LEARN_FFN_QO) {
        c->router.kind = MF_ROUTER_PREFIX;
        c->calibrate.router = MF_CALIBRATE_BEST;
    }
}

static void test_round_trip(void **state) {
    (void)state;
    struct mf_rng rng;
    mf_rng_seed(&rng, 1);
    for (int i = 0; i < 300; i++) {
        struct mf_config config, again;
        struct mf_err err;
        size_t size;
        memset(&config, 0, sizeof config);
        random_config(&rng, &config);
        char *text = print(&config, NULL, &size);
        if (load_text(&again, text, size, &err) < 0) fail_msg("%s\n%s", err.text, text);
        if (memcmp(&config, &again, sizeof config) != 0) fail_msg("differs when read again:\n%s", text);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
