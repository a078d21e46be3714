/* For unit tests of outputs: a whole one written, and what is in a file. */
#ifndef TESTS_OUT_FIXTURE_H
#define TESTS_OUT_FIXTURE_H

#include "scratch.h"

#include "io/file.h"

static struct mf_err err;

static inline void check_content(const char *path, const char *content) {
    size_t size;
    unsigned char *bytes = read_file(path, &size);
    assert_int_equal(size, strlen(content));
    assert_memory_equal(bytes, content, size);
    free(bytes);
}

static inline void write_out(const char *path, const char *text) {
    struct mf_out *out;
    assert_int_equal(mf_out_open(&out, path, &err), 0);
    assert_int_equal(mf_out_printf(out, &err, "%s", text), 0);
    assert_int_equal(mf_out_offset(out), strlen(text));
    assert_int_equal(mf_out_commit(out, &err), 0);
}

#endif
