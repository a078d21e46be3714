/* Bundles: same bytes each time, and every damage refused with a line that says what. */
#include "scratch.h"

#include <archive.h>
#include <archive_entry.h>
#include <math.h>
#include <zstd.h>

#include "io/bundle.h"

static struct mf_err err;
static float first[6] = {1, 2, 3, 4, 5, 6}; /* [2,3] */
static float second[200];                   /* [200] */

static void describe(struct mf_tensor t[2]) {
    t[0] = (struct mf_tensor){.name = "layers.0.fc1.weight", .n_dims = 2, .shape = {2, 3}, .data = first};
    t[1] = (struct mf_tensor){.name = "layers.0.fc1.bias", .n_dims = 1, .shape = {200}, .data = second};
}

static void write_bundle(const char *path) {
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
static int read_bundle(const char *path, size_t step) {
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

static void test_round_trip(void **state) {
    (void)state;
    struct mf_bundle *b;
    write_bundle("a.tar");
    write_bundle("b.tar");
    size_t n, m;
    unsigned char *x = read_file("a.tar", &n), *y = read_file("b.tar", &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
    assert_int_equal(mf_bundle_open(&b, "a.tar", NULL, &err), 0);
    assert_string_equal(mf_bundle_kind(b), "expert");
    assert_int_equal(mf_bundle_count(b), 2);
    assert_string_equal(mf_bundle_tensor(b, 1)->name, "layers.0.fc1.bias");
    assert_string_equal(json_string_value(json_object_get(mf_bundle_meta(b), "shared")), "abc");
    assert_int_equal(strlen(mf_bundle_hash(b)), 64);
    mf_bundle_close(b);
    assert_int_equal(read_bundle("a.tar", 0), 2);
    assert_int_equal(read_bundle("a.tar", 7), 2);
    assert_int_equal(read_bundle("a.tar", 4096), 2);
    write_bundle("c.tar.zst");
    assert_int_equal(read_bundle("c.tar.zst", 13), 2);
    assert_int_equal(mf_bundle_open(&b, "a.tar", "shared", &err), -1);
    assert_string_equal(err.text, "a.tar: a bundle of kind 'expert', not 'shared'");
}

static void test_every_cut_is_refused(void **state) {
    (void)state;
    static const char *const names[] = {"a.tar", "c.tar.zst"};
    for (int k = 0; k < 2; k++) {
        size_t size;
        unsigned char *bytes = read_file(names[k], &size);
        for (size_t n = 0; n < size; n++) {
            write_file("cut", bytes, n);
            assert_int_equal(read_bundle("cut", 0), -1);
            assert_int_equal(err.status, EX_DATAERR);
        }
        free(bytes);
    }
}

static void test_flips_in_tensors_and_headers_are_refused(void **state) {
    (void)state;
    size_t size;
    unsigned char *bytes = read_file("a.tar", &size);
    size_t data = 0;
    for (size_t i = 0; i + 8 < size; i++)
        if (data == 0 && memcmp(bytes + i, first, 8) == 0) data = i;
    assert_true(data > 1024);
    for (size_t i = data - 512; i < data + 24; i++) { /* the tar header, then the numbers */
        bytes[i] ^= 1;
        write_file("flip", bytes, size);
        assert_int_equal(read_bundle("flip", 0), -1);
        assert_int_equal(err.status, EX_DATAERR);
        if (i >= data)
            assert_non_null(
                strstr(err.text, "flip: tensor layers.0.fc1.weight: bytes do not match their sha256: "));
        bytes[i] ^= 1;
    }
    free(bytes);
}

static void test_data_behind_the_end(void **state) {
    (void)state;
    size_t size;
    unsigned char *bytes = read_file("a.tar", &size), *longer = calloc(1, size + 10240);
    memcpy(longer, bytes, size);
    write_file("padded", longer, size + 10240); /* tar's own padding */
    assert_int_equal(read_bundle("padded", 0), 2);
    longer[size + 5000] = 'x';
    write_file("behind", longer, size + 10240);
    assert_int_equal(read_bundle("behind", 0), -1);
    assert_string_equal(err.text, "behind: more data after the last tensor");
    free(bytes);
    free(longer);
}

/* Writes a zstd frame of bytes [n], and `m` bytes after it. */
static void write_zstd(const void *bytes, size_t n, const void *behind, size_t m) {
    size_t most = ZSTD_compressBound(n);
    unsigned char *packed = malloc(most + m);
    assert_non_null(packed);
    size_t size = ZSTD_compress(packed, most, bytes, n, 1);
    assert_false(ZSTD_isError(size));
    memcpy(packed + size, behind, m);
    write_file("packed", packed, size + m);
    free(packed);
}

/* Compressed bundles are as strict as plain ones. */
static void test_data_behind_the_end_of_zstd(void **state) {
    (void)state;
    size_t size;
    unsigned char *bytes = read_file("a.tar", &size), *twice = calloc(2, size);
    assert_non_null(twice);
    memcpy(twice, bytes, size);
    write_zstd(twice, 2 * size, "", 0); /* zeros */
    assert_int_equal(read_bundle("packed", 0), 2);
    memcpy(twice + size, bytes, size);
    write_zstd(twice, 2 * size, "", 0);
    assert_int_equal(read_bundle("packed", 0), -1);
    assert_string_equal(err.text, "packed: more data after the last tensor");
    write_zstd(twice, size + 1, "", 0);
    assert_int_equal(read_bundle("packed", 0), -1);
    write_zstd(bytes, size, "junk", 4);
    assert_int_equal(read_bundle("packed", 0), -1);
    assert_string_equal(err.text, "packed: bytes after the end of the zstd data");
    write_zstd(bytes, size - 1024, "", 0);
    assert_int_equal(read_bundle("packed", 0), -1);
    assert_string_equal(err.text, "packed: truncated bundle: the end of the tar is missing");
    size_t frame = ZSTD_compressBound(5);
    unsigned char second_frame[256];
    assert_true(frame <= sizeof second_frame);
    frame = ZSTD_compress(second_frame, frame, "junk\n", 5, 1);
    write_zstd(bytes, size, second_frame, frame);
    assert_int_equal(read_bundle("packed", 0), -1);
    assert_string_equal(err.text, "packed: more data after the last tensor");
    free(bytes);
    free(twice);
}

/* One member of a bundle made by hand. */
struct member {
    const char *name, *bytes;
    size_t size;
    char kind; /* 0 file, 's' symbolic link, 'h' hard link, 'd' folder, 'f' named pipe */
};

static void write_tar(const char *path, const struct member *members) {
    struct archive *a = archive_write_new();
    archive_write_set_format_pax_restricted(a);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (const struct member *m = members; m->name; m++) {
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, m->name);
        archive_entry_set_perm(e, 0644);
        archive_entry_set_filetype(e, m->kind == 's'   ? AE_IFLNK
                                      : m->kind == 'd' ? AE_IFDIR
                                      : m->kind == 'f' ? AE_IFIFO
                                                       : AE_IFREG);
        if (m->kind == 's') archive_entry_set_symlink(e, "/etc/passwd");
        if (m->kind == 'h') archive_entry_set_hardlink(e, "manifest.json");
        archive_entry_set_size(e, m->kind ? 0 : (la_int64_t)m->size);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        if (!m->kind) archive_write_data(a, m->bytes, m->size);
        archive_entry_free(e);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

/* SHA-256 of four zero bytes. */
#define ZEROS       "df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119"
#define HEAD        "{\"mf\":\"bundle\",\"version\":1,\"kind\":\"expert\",\"tensors\":["
#define ENTRY(name) "{\"name\":\"" name "\",\"dtype\":\"F32\",\"shape\":[1],\"sha256\":\"" ZEROS "\"}"
#define TWO         HEAD ENTRY("a") "," ENTRY("b") "]}"

static void refuse(const char *message, const struct member *members) {
    write_tar("made", members);
    assert_int_equal(read_bundle("made", 0), -1);
    assert_int_equal(err.status, EX_DATAERR);
    if (strcmp(err.text, message) != 0) print_error("%s\n", err.text);
    assert_string_equal(err.text, message);
}

#define MANIFEST(text)                                                                                       \
    { "manifest.json", text, sizeof text - 1, 0 }
#define REFUSE(message, ...) refuse(message, (const struct member[]){__VA_ARGS__, {NULL, NULL, 0, 0}})
static const char zeros[2000];
#define FILE_OF(name, size)                                                                                  \
    { name, zeros, size, 0 }

static void test_members(void **state) {
    (void)state;
    write_tar("made", (const struct member[]){MANIFEST(TWO), FILE_OF("a.f32", 4), FILE_OF("b.f32", 4), {0}});
    struct mf_bundle *b;
    size_t index;
    assert_int_equal(mf_bundle_open(&b, "made", "expert", &err), 0);
    assert_int_equal(mf_bundle_next(b, &index, &err), 1);
    assert_int_equal(mf_bundle_next(b, &index, &err), 1);
    assert_int_equal(mf_bundle_next(b, &index, &err), 0);
    mf_bundle_close(b);
    REFUSE("made: missing tensor b", MANIFEST(TWO), FILE_OF("a.f32", 4));
    REFUSE("made: missing tensor a", MANIFEST(TWO), FILE_OF("b.f32", 4), FILE_OF("a.f32", 4));
    REFUSE("made: tensor a is there twice", MANIFEST(TWO), FILE_OF("a.f32", 4), FILE_OF("a.f32", 4));
    REFUSE("made: unexpected member '../b.f32'", MANIFEST(TWO), FILE_OF("a.f32", 4), FILE_OF("../b.f32", 4));
    REFUSE("made: unexpected member '/etc/passwd'", MANIFEST(TWO), FILE_OF("/etc/passwd", 4));
    REFUSE("made: unexpected member 'c'", MANIFEST(TWO), FILE_OF("a.f32", 4), FILE_OF("b.f32", 4),
           FILE_OF("c", 0));
    REFUSE("made: member 'a.f32' is not a plain file", MANIFEST(TWO), {"a.f32", NULL, 0, 's'});
    REFUSE("made: member 'a.f32' is not a plain file", MANIFEST(TWO), {"a.f32", NULL, 0, 'h'});
    REFUSE("made: member 'a.f32/' is not a plain file", MANIFEST(TWO), {"a.f32", NULL, 0, 'd'});
    REFUSE("made: member 'a.f32' is not a plain file", MANIFEST(TWO), {"a.f32", NULL, 0, 'f'});
    REFUSE("made: tensor a: 8 bytes for F32 [1], which has 4", MANIFEST(TWO), FILE_OF("a.f32", 8));
    REFUSE("made: not a bundle: the first member is not manifest.json", FILE_OF("a.f32", 4), MANIFEST(TWO));
}

#define BAD(message, text) REFUSE("made: " message, MANIFEST(text), FILE_OF("a.f32", 4))
#define SHAPED(shape)      HEAD "{\"name\":\"a\",\"dtype\":\"F32\",\"shape\":" shape ",\"sha256\":\"" ZEROS "\"}]}"

static void test_manifests(void **state) {
    (void)state;
    BAD("manifest.json is not a JSON object", "[1]");
    BAD("manifest.json has the name 'kind' twice", "{\"kind\":1,\"x\":{\"kind\":3},\"kind\":2}");
    BAD("not a bundle: manifest.json does not say \"mf\": \"bundle\"", "{}");
    BAD("version 2 of the bundle format, this program knows 1", "{\"mf\":\"bundle\",\"version\":2}");
    BAD("manifest.json lists no tensors", "{\"mf\":\"bundle\",\"version\":1,\"kind\":\"expert\"}");
    BAD("manifest.json has the tensor a twice", HEAD ENTRY("a") "," ENTRY("a") "]}");
    BAD("a tensor without a name", HEAD "1]}");
    BAD("tensor a: dtype 'F64' is not F32, BF16, F16 or I64",
        HEAD "{\"name\":\"a\",\"dtype\":\"F64\",\"shape\":[1]}]}");
    BAD("tensor a: no sha256 of 64 hex digits", HEAD "{\"name\":\"a\",\"dtype\":\"F32\",\"shape\":[1]}]}");
    BAD("tensor a: the shape is too large", SHAPED("[4294967296,4294967296]"));
    BAD("tensor a: the shape is too large", SHAPED("[0,4294967296,4294967296]"));
    BAD("tensor a: the shape holds something that is not a size", SHAPED("[-1]"));
    BAD("tensor a: more than 4 dimensions", SHAPED("[1,1,1,1,1]"));
    BAD("truncated bundle: its tensors have 4000000000000 bytes, the file has 3072",
        SHAPED("[1000000000000]"));
}

static void refuse_fill(const char *message, const char *path, const struct mf_tensor *wanted) {
    struct mf_bundle *b;
    assert_int_equal(mf_bundle_open(&b, path, "expert", &err), 0);
    assert_int_equal(mf_bundle_fill(b, wanted, 1, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_memory_equal(err.text, message, strlen(message));
    mf_bundle_close(b);
}

/* What has no memory of its own is where it lies in the file, also behind the bundle's close; the rest is
 * read. */
static void test_map(void **state) {
    (void)state;
    struct mf_bundle *b;
    struct mf_bundle_map map = {0};
    struct mf_tensor t[2];
    float small[200];
    write_bundle("a.tar");
    describe(t);
    t[0].data = NULL;
    t[1].data = small;
    assert_int_equal(mf_bundle_open(&b, "a.tar", "expert", &err), 0);
    assert_true(mf_bundle_mappable(b));
    assert_int_equal(mf_bundle_fill_map(b, t, 2, &map, &err), 0);
    mf_bundle_close(b);
    assert_memory_equal(t[0].data, first, sizeof first);
    assert_int_equal(((unsigned char *)t[0].data - (unsigned char *)map.at) % 512, 0);
    assert_memory_equal(small, second, sizeof second);
    mf_bundle_unmap(&map);
    assert_null(map.at);
    mf_bundle_unmap(&map);
    size_t n;
    unsigned char *bytes = read_file("a.tar", &n);
    write_file("cut.tar", bytes, n - 600);
    free(bytes);
    t[0].data = NULL;
    assert_int_equal(mf_bundle_open(&b, "cut.tar", "expert", &err), 0);
    assert_int_equal(mf_bundle_fill_map(b, t, 2, &map, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    mf_bundle_close(b);
    mf_bundle_unmap(&map);
}

static void test_fill(void **state) {
    (void)state;
    struct mf_bundle *b;
    struct mf_tensor t[2];
    float whole[6], widened[200];
    uint16_t rounded[200];
    write_bundle("a.tar");
    describe(t);
    t[0].data = whole;
    t[1].data = rounded;
    t[1].dtype = MF_BF16; /* holds whole numbers up to 256 exactly */
    assert_int_equal(mf_bundle_open(&b, "a.tar", "expert", &err), 0);
    assert_int_equal(mf_bundle_fill(b, t, 2, &err), 0);
    mf_bundle_close(b);
    assert_memory_equal(whole, first, sizeof first);
    mf_bf16_widen(widened, rounded, 200);
    assert_memory_equal(widened, second, sizeof second);
    memset(rounded, 0, sizeof rounded);
    assert_int_equal(mf_bundle_open(&b, "a.tar", "expert", &err), 0);
    assert_int_equal(mf_bundle_fill(b, t + 1, 1, &err), 0); /* the other one is passed over */
    mf_bundle_close(b);
    mf_bf16_widen(widened, rounded, 200);
    assert_memory_equal(widened, second, sizeof second);

    t[0].shape[0] = 3;
    refuse_fill("a.tar: tensor layers.0.fc1.weight is F32 [2,3], not F32 [3,3]", "a.tar", t);
    t[0].n_dims = 1;
    refuse_fill("a.tar: tensor layers.0.fc1.weight is F32 [2,3], not F32 [3]", "a.tar", t);
    t[1].dtype = MF_I64;
    refuse_fill("a.tar: tensor layers.0.fc1.bias is F32 [200], not I64 [200]", "a.tar", t + 1);
    strcpy(t[1].name, "layers.1.fc1.bias");
    refuse_fill("a.tar: missing tensor layers.1.fc1.bias", "a.tar", t + 1);
    size_t size, at = 0;
    unsigned char *bytes = read_file("a.tar", &size);
    while (memcmp(bytes + at, second, 8) != 0 || memcmp(bytes + at, second, sizeof second) != 0) at++;
    bytes[at] ^= 1;
    write_file("flip", bytes, size);
    free(bytes);
    describe(t);
    t[1].data = rounded;
    t[1].dtype = MF_BF16;
    refuse_fill("flip: tensor layers.0.fc1.bias: bytes do not match their sha256: ", "flip", t + 1);
}

/* A bundle of one tensor of three numbers. */
static void write_three(const char *path, enum mf_dtype dtype, void *data) {
    struct mf_out *out;
    const struct mf_tensor t = {.name = "a", .dtype = dtype, .n_dims = 1, .shape = {3}, .data = data};
    json_t *meta = json_object();
    assert_int_equal(mf_out_open(&out, path, &err), 0);
    assert_int_equal(mf_bundle_write(out, "expert", meta, &t, 1, &err), 0);
    assert_int_equal(mf_out_commit(out, &err), 0);
    json_decref(meta);
}

static void fill_three(const char *path, enum mf_dtype dtype, void *data) {
    struct mf_bundle *b;
    const struct mf_tensor t = {.name = "a", .dtype = dtype, .n_dims = 1, .shape = {3}, .data = data};
    assert_int_equal(mf_bundle_open(&b, path, "expert", &err), 0);
    assert_int_equal(mf_bundle_fill(b, &t, 1, &err), 0);
    mf_bundle_close(b);
}

/* F32 is wanted of halves: exact. BF16 of F16: rounded, as F32 is. */
static void test_fill_halves(void **state) {
    (void)state;
    const float x[] = {1 + 1.0f / 1024, -0x1p-24f, 65504}, y[] = {-1.5f, 0x1p-130f, 0x1.fep127f};
    uint16_t halves[3], brains[3], expected[3];
    float back[3];
    mf_f16_round(halves, x, 3);
    mf_bf16_round(brains, y, 3);
    write_three("f16.tar", MF_F16, halves);
    write_three("bf16.tar", MF_BF16, brains);
    fill_three("f16.tar", MF_F32, back);
    assert_memory_equal(back, x, sizeof x);
    fill_three("bf16.tar", MF_F32, back);
    assert_memory_equal(back, y, sizeof y);
    mf_bf16_round(expected, x, 3);
    fill_three("f16.tar", MF_BF16, halves);
    assert_memory_equal(halves, expected, sizeof expected);
    memset(halves, 0, sizeof halves);
    fill_three("bf16.tar", MF_BF16, halves);
    assert_memory_equal(halves, brains, sizeof brains);
}

static void test_bf16(void **state) {
    (void)state;
    /* to the nearest, ties to even; what is too large becomes infinite, and NaN stays one */
    float x[] = {1 + 1.0f / 256, 1 + 3.0f / 256, -1 - 1.1f / 256, 3.4e38f, INFINITY, NAN};
    const float expected[] = {1, 1 + 4.0f / 256, -1 - 2.0f / 256, INFINITY, INFINITY};
    uint16_t rounded[6];
    mf_bf16_round(rounded, x, 6);
    mf_bf16_widen(x, rounded, 6);
    assert_memory_equal(x, expected, sizeof expected);
    assert_true(isnan(x[5]));
}

static void test_foreign_files(void **state) {
    (void)state;
    write_file("f", "", 0);
    assert_int_equal(read_bundle("f", 0), -1);
    assert_string_equal(err.text, "f: empty, not a bundle");
    write_file("f", zeros, 2000);
    assert_int_equal(read_bundle("f", 0), -1);
    assert_string_equal(err.text, "f: not a bundle");
    assert_int_equal(read_bundle("absent", 0), -1);
    assert_int_equal(err.status, EX_NOINPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_flips_in_tensors_and_headers_are_refused),
        cmocka_unit_test(test_data_behind_the_end),
        cmocka_unit_test(test_data_behind_the_end_of_zstd),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_manifests),
        cmocka_unit_test(test_fill),
        cmocka_unit_test(test_fill_halves),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_foreign_files),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
