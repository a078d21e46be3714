/* GGUF: round trip, every type of value, and files that were cut. */
#include "gguf_head.h"

struct seen {
    char text[512];
};

static int see(void *context, const json_t *value, struct mf_err *e) {
    (void)e;
    struct seen *s = context;
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    size_t used = strlen(s->text);
    snprintf(s->text + used, sizeof s->text - used, "%s ", text);
    free(text);
    return 0;
}

static const char *values_of(const struct mf_gguf *g, const char *key, uint64_t limit, struct seen *seen) {
    int64_t i = mf_gguf_find_key(g, key);
    assert_true(i >= 0);
    *seen = (struct seen){0};
    assert_int_equal(mf_gguf_values(g, mf_gguf_key(g, (size_t)i), limit, see, seen, &err), 0);
    return seen->text;
}

static void write_example(struct mf_gguf_tensor tensors[3]) {
    static const float a[6] = {1, 2, 3, 4, 5, 6};
    static const uint16_t b[3] = {7, 8, 9};
    static const unsigned char c[34 * 2] = {1};
    struct mf_gguf_keys keys = {0};
    struct mf_out *out;
    mf_gguf_put_string(&keys, "general.architecture", "llama");
    mf_gguf_put_u32(&keys, "count", UINT32_MAX);
    mf_gguf_put_float(&keys, "real", -0.5f);
    mf_gguf_put_bool(&keys, "yes", true);
    mf_gguf_put_list(&keys, "words", MF_GGUF_STRING, 3);
    mf_gguf_add_string(&keys, "one", 3);
    mf_gguf_add_string(&keys, "", 0);
    mf_gguf_add_string(&keys, "\"\xff\0", 3);
    mf_gguf_put_list(&keys, "types", MF_GGUF_I32, 2);
    mf_gguf_add_i32(&keys, -1);
    mf_gguf_add_i32(&keys, 6);
    assert_int_equal(mf_out_open(&out, "m", &err), 0);
    assert_int_equal(mf_gguf_header(out, &keys, tensors, 3, &err), 0);
    const void *const data[] = {a, b, c};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(mf_out_offset(out), tensors[i].offset);
        assert_int_equal(tensors[i].offset % 32, 0);
        assert_int_equal(mf_out_write(out, data[i], tensors[i].bytes, &err), 0);
        assert_int_equal(mf_gguf_pad(out, tensors[i].bytes, &err), 0);
    }
    assert_int_equal(mf_out_commit(out, &err), 0);
    mf_gguf_keys_free(&keys);
}

static void test_round_trip(void **state) {
    (void)state;
    struct mf_gguf_tensor t[3] = {{.name = "z", .type = MF_GGUF_F32, .n_dims = 2, .shape = {2, 3}},
                                  {.name = "a", .type = MF_GGUF_BF16, .n_dims = 1, .shape = {3}},
                                  {.name = "c", .type = MF_GGUF_Q8_0, .n_dims = 3, .shape = {2, 1, 32}}};
    struct seen seen;
    struct mf_gguf *g;
    float back[3];
    write_example(t);
    assert_int_equal(mf_gguf_open(&g, "m", &err), 0);
    assert_int_equal(mf_gguf_key_count(g), 6);
    assert_string_equal(values_of(g, "general.architecture", 9, &seen), "\"llama\" ");
    assert_string_equal(values_of(g, "count", 9, &seen), "4294967295 ");
    assert_string_equal(values_of(g, "real", 9, &seen), "-0.5 ");
    assert_string_equal(values_of(g, "yes", 9, &seen), "true ");
    assert_string_equal(values_of(g, "words", 9, &seen), "\"one\" \"\" \"\\\"\xef\xbf\xbd\\u0000\" ");
    assert_string_equal(values_of(g, "words", 1, &seen), "\"one\" ");
    assert_string_equal(values_of(g, "types", 9, &seen), "-1 6 ");
    assert_int_equal(mf_gguf_find_key(g, "type"), -1);
    assert_int_equal(mf_gguf_tensor_count(g), 3);
    assert_int_equal(mf_gguf_find_tensor(g, "c"), 2);
    assert_int_equal(mf_gguf_find_tensor(g, "b"), -1);
    for (size_t i = 0; i < 3; i++) assert_memory_equal(mf_gguf_tensor(g, i), &t[i], sizeof t[i]);
    assert_int_equal(mf_gguf_read(g, 0, 12, back, 12, &err), 0);
    assert_true(back[0] == 4 && back[2] == 6);
    mf_gguf_close(g);
    mf_gguf_close(NULL);
}

static void test_every_type_of_value(void **state) {
    (void)state;
    struct head h = begin(2, 0, 9);
    static const struct {
        const char *name, *shown;
        uint64_t bits;
        int type, size;
    } values[] = {{"a", "200 ", 200, MF_GGUF_U8, 1},
                  {"b", "-56 ", 200, MF_GGUF_I8, 1},
                  {"c", "65535 ", 65535, MF_GGUF_U16, 2},
                  {"d", "-1 ", 65535, MF_GGUF_I16, 2},
                  {"e", "1.8446744073709552e19 ", UINT64_MAX, MF_GGUF_U64, 8},
                  {"f", "-1 ", UINT64_MAX, MF_GGUF_I64, 8},
                  {"g", "0.5 ", UINT64_C(0x3fe0000000000000), MF_GGUF_DOUBLE, 8},
                  {"h", "null ", UINT64_C(0x7fc00000), MF_GGUF_FLOAT, 4},
                  {"i", "false ", 0, MF_GGUF_BOOL, 1}};
    for (size_t i = 0; i < 9; i++) {
        put_text(&h, values[i].name);
        put(&h, (uint64_t)values[i].type, 4);
        put(&h, values[i].bits, values[i].size);
    }
    write_file("m", h.bytes, h.size); /* without tensors there need be no padding */
    struct mf_gguf *g;
    struct seen seen;
    assert_int_equal(mf_gguf_open(&g, "m", &err), 0);
    for (size_t i = 0; i < 9; i++)
        assert_string_equal(values_of(g, values[i].name, 1, &seen), values[i].shown);
    mf_gguf_close(g);
}

static void test_every_cut(void **state) {
    (void)state;
    struct mf_gguf_tensor t[3] = {{.name = "z", .type = MF_GGUF_F32, .n_dims = 2, .shape = {2, 3}},
                                  {.name = "a", .type = MF_GGUF_BF16, .n_dims = 1, .shape = {3}},
                                  {.name = "c", .type = MF_GGUF_Q8_0, .n_dims = 3, .shape = {2, 1, 32}}};
    size_t size;
    write_example(t);
    unsigned char *bytes = read_file("m", &size);
    assert_int_equal(size % 32, 0);
    for (size_t n = 0; n < size; n++) {
        write_file("m", bytes, n);
        bool whole = n >= t[2].offset + t[2].bytes; /* only padding is missing */
        assert_int_equal(open_file(), whole ? 0 : -1);
        if (!whole) assert_int_equal(err.status, EX_DATAERR);
    }
    free(bytes);
    unlink("m");
    assert_int_equal(open_file(), -1);
    assert_int_equal(err.status, EX_NOINPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_type_of_value),
        cmocka_unit_test(test_every_cut),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
