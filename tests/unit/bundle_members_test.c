/* Bundles made by hand: members and manifests that are refused. */
#include "bundle_fixture.h"

#include <archive.h>
#include <archive_entry.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_manifests),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
