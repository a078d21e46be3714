/* Streams: round trips, and every way of being damaged that a file can have. */
#include "scratch.h"

#include "base/clock.h"
#include "io/stream.h"

static struct mf_err err;

static void write_stream(const char *path) {
    struct mf_out *out;
    struct mf_stream_writer *w;
    assert_int_equal(mf_out_open(&out, path, &err), 0);
    assert_int_equal(mf_stream_create(&w, out, "docs", 1, &err), 0);
    assert_int_equal(mf_put_text(w, "note", "made by a test", &err), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mf_stream_begin(w, 4, &err), 0);
        assert_int_equal(mf_put_text(w, "id", i == 1 ? "b" : "a", &err), 0);
        assert_int_equal(mf_put_string(w, "text", "x\0y\xff", (size_t)i + 2, &err), 0);
        assert_int_equal(mf_put_int(w, "n", i - 1, &err), 0);
        assert_int_equal(mf_put_real(w, "r", i / 3.0, &err), 0);
    }
    assert_int_equal(mf_stream_finish(w, &err), 0);
    assert_int_equal(mf_out_commit(out, &err), 0);
}

/* Reads all of it: the number of records, or -1. */
static int read_stream(const char *path) {
    struct mf_stream_reader *r;
    const struct mf_record *rec;
    err = (struct mf_err){0};
    if (mf_stream_open(&r, path, "docs", &err) < 0) return -1;
    int n = 0, result;
    while ((result = mf_stream_next(r, &rec, &err)) > 0) n++;
    if (result == 0) assert_int_equal(mf_stream_next(r, &rec, &err), 0);
    mf_stream_close(r);
    return result < 0 ? -1 : n;
}

static void test_round_trip(void **state) {
    (void)state;
    write_stream("s");
    struct mf_stream_reader *r;
    const struct mf_record *rec;
    const char *text;
    const void *bin;
    size_t size;
    int64_t n;
    double x;
    assert_int_equal(mf_stream_open(&r, "s", "docs", &err), 0);
    assert_string_equal(mf_stream_kind(r), "docs");
    assert_int_equal(mf_record_string(mf_stream_header(r), "note", &text, &size, &err), 1);
    assert_memory_equal(text, "made by a test", size);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mf_stream_next(r, &rec, &err), 1);
        assert_int_equal(mf_record_string(rec, "text", &text, &size, &err), 1);
        assert_int_equal(size, i + 2);
        assert_memory_equal(text, "x\0y\xff", size);
        assert_int_equal(mf_record_int(rec, "n", &n, &err), 1);
        assert_int_equal(n, i - 1);
        assert_int_equal(mf_record_real(rec, "r", &x, &err), 1);
        assert_true(x == i / 3.0);
        assert_int_equal(mf_record_real(rec, "n", &x, &err), 1);
        assert_true(x == i - 1);
        assert_int_equal(mf_record_bin(rec, "absent", &bin, &size, &err), 0);
    }
    assert_int_equal(mf_record_bin(rec, "text", &bin, &size, &err), -1);
    assert_string_equal(err.text, "s: record 3 at byte 95: field 'text' is not a bin");
    char *json = mf_record_json(rec, &err);
    assert_string_equal(json,
                        "{\"id\":\"a\",\"text\":\"x\\u0000y\xef\xbf\xbd\",\"n\":1,\"r\":0.6666666666666666}");
    free(json);
    assert_int_equal(mf_stream_next(r, &rec, &err), 0);
    assert_int_equal(mf_stream_count(r), 3);
    mf_stream_close(r);
    assert_int_equal(mf_stream_open(&r, "s", "tokens", &err), -1);
    assert_string_equal(err.text, "s: a stream of kind 'docs', not 'tokens'");
}

static void test_copy(void **state) {
    (void)state;
    struct mf_stream_reader *r;
    struct mf_stream_writer *w;
    struct mf_out *out;
    const struct mf_record *rec;
    assert_int_equal(mf_stream_open(&r, "s", NULL, &err), 0);
    assert_int_equal(mf_out_open(&out, "copy", &err), 0);
    assert_int_equal(mf_stream_create(&w, out, "docs", 1, &err), 0);
    assert_int_equal(mf_put_text(w, "note", "made by a test", &err), 0);
    while (mf_stream_next(r, &rec, &err) > 0) assert_int_equal(mf_stream_copy(w, rec, &err), 0);
    assert_int_equal(mf_stream_finish(w, &err), 0);
    assert_int_equal(mf_out_commit(out, &err), 0);
    mf_stream_close(r);
    size_t n, m;
    unsigned char *a = read_file("s", &n), *b = read_file("copy", &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    free(a);
    free(b);
}

static void test_every_cut_is_refused(void **state) {
    (void)state;
    size_t size;
    unsigned char *bytes = read_file("s", &size);
    assert_int_equal(read_stream("s"), 3);
    for (size_t n = 0; n < size; n++) {
        write_file("cut", bytes, n);
        assert_int_equal(read_stream("cut"), -1);
        assert_int_equal(err.status, EX_DATAERR);
        assert_int_equal(strncmp(err.text, "cut: ", 5), 0);
    }
    bytes[size] = 0xc0;
    write_file("longer", bytes, size + 1);
    assert_int_equal(read_stream("longer"), -1);
    assert_non_null(strstr(err.text, "more data after the trailer"));
    free(bytes);
}

static void test_every_flip_is_refused(void **state) {
    (void)state;
    size_t size;
    unsigned char *bytes = read_file("s", &size);
    for (size_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (unsigned char)(1 << bit);
            write_file("flip", bytes, size);
            assert_int_equal(read_stream("flip"), -1);
            assert_int_equal(err.status, EX_DATAERR);
            bytes[i] ^= (unsigned char)(1 << bit);
        }
    }
    free(bytes);
}

/* A correct header and then `bytes`: refused with `message` in the line. */
static void refuse(const void *bytes, size_t size, const char *message) {
    static const unsigned char header[] = "\x82\xa2mf\xa4"
                                          "docs\xa7version\x01";
    unsigned char *all = malloc(sizeof header - 1 + size);
    memcpy(all, header, sizeof header - 1);
    memcpy(all + sizeof header - 1, bytes, size);
    write_file("bad", all, sizeof header - 1 + size);
    free(all);
    assert_int_equal(read_stream("bad"), -1);
    assert_int_equal(err.status, EX_DATAERR);
    if (!strstr(err.text, message)) print_error("%s\n", err.text);
    assert_non_null(strstr(err.text, message));
}

#define REFUSE(bytes, message) refuse(bytes, sizeof bytes - 1, message)

static void test_lies_are_refused_without_memory(void **state) {
    (void)state;
    size_t before = mf_peak_memory();
    REFUSE("\x81\xa4text\xdb\xff\xff\xff\xff"
           "abc",
           "a record of more than");
    REFUSE("\x81\xa4text\xdb\x3f\x00\x00\x00"
           "abc",
           "truncated");
    REFUSE("\x81\xa4text\xc6\x3f\x00\x00\x00"
           "abc",
           "truncated");
    REFUSE("\x81\xa4text\xdd\xff\xff\xff\xff\xc0", "more than 1048576 values");
    REFUSE("\x81\xa4text\xdd\x00\x0f\xff\xff\xc0", "truncated");
    REFUSE("\xdf\xff\xff\xff\xff\xc0", "more than 1048576 values");
    REFUSE("\xde\xff\xff\xc0", "truncated");
    REFUSE("\x81\xa1x\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\xc0", "levels of nesting");
    REFUSE("\x82\xa1x\x01\xa1x\x02", "the field 'x' is there twice");
    REFUSE("\x82\xa0\x01\xa0\x02", "the field '' is there twice");
    REFUSE("\x82\xd9\x00\x01\xd9\x00\x02", "the field '' is there twice");
    REFUSE("\x81\x01\x02", "a field's name is not a string");
    REFUSE("\x81\xa1x\xd4\x01\x02", "byte 0xd4 begins no value");
    REFUSE("\x81\xa1x\xc1", "byte 0xc1 begins no value");
    REFUSE("\x93\x01\x02\x03", "byte 0x93 does not begin a map");
    REFUSE("\x81\xa3"
           "end\x00",
           "xxh64");
    REFUSE("\x81\xa3"
           "end\x05",
           "the trailer promises 5 records, there are 0");
    assert_true(mf_peak_memory() < before + ((size_t)16 << 20));
}

static void test_foreign_files(void **state) {
    (void)state;
    static const struct {
        const char *bytes, *message;
    } cases[] = {
        {"", "f: empty, not a stream"},
        {"hello", "f: not a stream"},
        {"{\"a\": 1}", "f: not a stream"},
        {"\x81\xa2mg\x01", "f: not a stream (its first map does not begin with mf and version)"},
        {"\x82\xa2mf\xa4"
         "docs\xa7version\x02",
         "f: version 2 of the stream format, this program knows 1"},
        {"\x82\xa2mf\x05\xa7version\x01", "f: header: field 'mf' does not name a kind"},
        {"\x82\xa2mf\xa4"
         "docs\xa7versi",
         "f: header: the input ends inside it (truncated)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file("f", cases[i].bytes, strlen(cases[i].bytes));
        assert_int_equal(read_stream("f"), -1);
        assert_int_equal(err.status, EX_DATAERR);
        assert_string_equal(err.text, cases[i].message);
    }
    assert_int_equal(read_stream("absent"), -1);
    assert_int_equal(err.status, EX_NOINPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),           cmocka_unit_test(test_copy),
        cmocka_unit_test(test_every_cut_is_refused), cmocka_unit_test(test_every_flip_is_refused),
        cmocka_unit_test(test_foreign_files),        cmocka_unit_test(test_lies_are_refused_without_memory),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
