/* Values of an object found by their keys, and long lists parsed in pieces: as all at once, and refused where
 * all at once is. */
#include "scratch.h"

#include "io/json_list.h"

static struct mf_json_span find(const char *text, const char *key) {
    return mf_json_find(text, strlen(text), key);
}

static void check_found(const char *text, const char *key, const char *value) {
    struct mf_json_span span = find(text, key);
    if (!value) {
        assert_true(span.begin == span.end);
        return;
    }
    assert_int_equal(span.end - span.begin, strlen(value));
    assert_memory_equal(text + span.begin, value, strlen(value));
}

static void test_find(void **state) {
    (void)state;
    const char *text = "{\"a\": {\"b\":1, \"x\":[{}]},\"b\":[\"},\\\"\",2],\"c\\\"\" : \"a\", \"d\":null}";
    check_found(text, "a", " {\"b\":1, \"x\":[{}]}");
    check_found(text, "b", "[\"},\\\"\",2]");
    check_found(text, "d", "null");
    check_found(text, "x", NULL); /* of an object inside */
    check_found("[\"a\", 1]", "a", NULL);
    check_found("{\"a\":1", "a", NULL);
    check_found("", "a", NULL);
    check_found("\"", "a", NULL);
}

/* The list of {"list": ...}, put together from its pieces; NULL where one is refused. */
static json_t *read_pieces(const char *text, struct mf_err *err) {
    struct mf_json_list list;
    char *copy = strdup(text);
    json_t *all = json_array(), *piece;
    int got = -1;
    assert_non_null(copy);
    if (mf_json_list_begin(&list, copy, find(text, "list"), "file"))
        while ((got = mf_json_list_next(&list, &piece, err)) > 0) {
            json_array_extend(all, piece);
            json_decref(piece);
        }
    free(copy);
    if (got == 0) return all;
    json_decref(all);
    return NULL;
}

static void check_same(const char *text) {
    struct mf_err err;
    json_t *whole = json_loads(text, 0, NULL), *pieces = read_pieces(text, &err);
    assert_non_null(whole);
    if (!pieces) fail_msg("%s", err.text);
    assert_true(json_equal(json_object_get(whole, "list"), pieces));
    json_decref(whole);
    json_decref(pieces);
}

static void test_same(void **state) {
    (void)state;
    check_same("{\"list\":[]}");
    check_same("{\"list\": [ ] ,\"more\":[1]}");
    check_same("{\"x\":{\"list\":[9]},\"list\":\n[\"a,]\\\"\", [1,[2]], {\"k\":[3]} ]\n}");
    enum { VALUES = 60000 }; /* of many pieces */
    char *text = malloc(40 * VALUES), *at = text;
    assert_non_null(text);
    at += sprintf(at, "{\"list\":[");
    for (int i = 0; i < VALUES; i++)
        at += i % 3 ? sprintf(at, "%s\"v %d\"", i ? "," : "", i)
                    : sprintf(at, "%s[\"]\",\n%d]", i ? "," : "", i);
    sprintf(at, "]}");
    check_same(text);
    free(text);
}

/* What stands between two pieces, far into a list. */
static void check_broken(const char *between, const char *end, int line) {
    enum { SOME = 20000 };
    struct mf_err err;
    char *text = malloc(64 * SOME), *at = text, place[64];
    assert_non_null(text);
    at += sprintf(at, "{\"list\":[\n\"first\"");
    for (int i = 0; i < SOME; i++) at += sprintf(at, ",\n\"value %d\"", i);
    sprintf(at, "%s%s", between, end);
    assert_null(read_pieces(text, &err));
    snprintf(place, sizeof place, "file: cannot be read as JSON: line %d:", line ? line : SOME + 2);
    assert_int_equal(err.status, EX_DATAERR);
    if (strncmp(err.text, place, strlen(place)) != 0) fail_msg("'%s' is not at line %d", err.text, line);
    free(text);
}

static void test_broken(void **state) {
    (void)state;
    struct mf_err err;
    for (size_t i = 0; i < 2; i++) {
        check_broken(",", i ? "]}" : " ] , \"x\":1}", 0);
        check_broken(",,1", i ? "]}" : "]\n}", 0);
        check_broken(" \"two\"", "]}", 0);
        check_broken(",{\"a\":1,\"a\":2}", "]}", 0);
        check_broken(",\n\n[1}", "]}", 20004);
    }
    check_broken("] 1", "}", 0);
    assert_null(read_pieces("{\"list\":[,]}", &err));
    assert_null(read_pieces("{\"list\":[1,]}", &err));
    assert_null(read_pieces("{\"list\":{}}", &err));
    assert_null(read_pieces("{\"other\":[]}", &err));
}

static void test_without(void **state) {
    (void)state;
    const char *text = "{\"a\":1,\"list\" : [1,\n[2],\n\"]\"] ,\n\"b\":2}";
    struct mf_json_list list;
    size_t size;
    char *copy = strdup(text);
    assert_non_null(copy);
    assert_true(mf_json_list_begin(&list, copy, find(text, "list"), "file"));
    char *without = mf_json_list_without(&list, strlen(text), &size);
    const char *expected = "{\"a\":1,\"list\" : [\n\n],\n\"b\":2}";
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(without, expected, size);
    free(without);
    free(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_find), cmocka_unit_test(test_same),
                                       cmocka_unit_test(test_broken), cmocka_unit_test(test_without)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
