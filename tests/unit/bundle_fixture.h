/* A bundle of two tensors, and reading it. */
#ifndef TESTS_BUNDLE_FIXTURE_H
#define TESTS_BUNDLE_FIXTURE_H

#include "scratch.h"

#include "io/bundle.h"

static struct mf_err err;
static float first[6] = {1, 2, 3, 4, 5, 6}; /* [2,3] */
static float second[200];                   /* [200] */

static inline void describe(struct mf_tensor t[2]) {
    t[0] = (struct mf_tensor){.name = "layers.0.fc1.weight", .n_dims = 2, .shape = {2, 3}, .data = first};
    t[1] = (struct mf_tensor){.name = "layers.0.fc1.bias", .n_dims = 1, .shape = {200}, .data = second};
}

static inline void write_bundle(const char *path) {
    struct mf_tensor t[2];
    struct mf_out *out;
    json_t *meta = json_pack("{s:s, s:{s:i}}", "shared", "abc", "config", "layers", 1);
    describe(t);
    for (int i = 0; i < 200; i++) second[i] = (float)i;
    assert_int_equal(mf_out_open(&out, path, &err), 0);
    assert_int_equal(mf_bundle_write(out, "expert", meta, t, 2, &err), 0);
    assert_int_equal(mf_out_commit(out, &err), 0);
    json_decref(meta);
}

/* Reads all tensors in pieces of `step` bytes (0: skips them): their number, or -1. */
static inline int read_bundle(const char *path, size_t step) {
    struct mf_bundle *b;
    size_t index;
    int result, n = 0;
    err = (struct mf_err){0};
    if (mf_bundle_open(&b, path, "expert", &err) < 0) return -1;
    while ((result = mf_bundle_next(b, &index, &err)) > 0) {
        assert_int_equal(index, n++);
        size_t left = mf_tensor_bytes(mf_bundle_tensor(b, index));
        const unsigned char *expected = (const unsigned char *)(index ? second : first);
        for (unsigned char buffer[4096]; step > 0 && left > 0 && result > 0;) {
            size_t part = step < left ? step : left;
            if (mf_bundle_read(b, buffer, part, &err) < 0) {
                result = -1;
                break;
            }
            assert_memory_equal(buffer, expected, part);
            expected += part;
            left -= part;
        }
        if (result < 0) break;
    }
    if (result == 0) assert_int_equal(mf_bundle_next(b, &index, &err), 0);
    mf_bundle_close(b);
    return result < 0 ? -1 : n;
}

#endif
