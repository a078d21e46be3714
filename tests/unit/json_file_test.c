/* JSON in files: written, read, and refused where it is wrong or too large. */
#include "out_fixture.h"

#include "io/json_file.h"

static void test_json(void **state) {
    (void)state;
    assert_int_equal(mf_json_write("good.json", json_pack("{s:i}", "a", 1), JSON_COMPACT, &err), 0);
    check_content("good.json", "{\"a\":1}\n");
    json_t *json = mf_json_read("good.json", 100, 0, &err);
    assert_int_equal(json_integer_value(json_object_get(json, "a")), 1);
    json_decref(json);
    write_file("bad.json", "{\n\"a\": }", 8);
    assert_null(mf_json_read("bad.json", 100, 0, &err));
    assert_int_equal(err.status, EX_DATAERR);
    assert_memory_equal(err.text, "bad.json: cannot be read as JSON: line 2: ", 42);
    assert_null(mf_json_read("bad.json", 7, 0, &err));
    assert_string_equal(err.text, "bad.json: larger than 7 bytes");
    assert_null(mf_json_read("absent", 100, 0, &err));
    assert_int_equal(err.status, EX_NOINPUT);
    assert_int_equal(mf_json_write("missing/file", json_object(), 0, &err), -1);
    assert_int_equal(err.status, EX_CANTCREAT);
}

static void test_json_values_are_counted(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t values;
    } cases[] = {{"[]", 2}, {"[1,2,3]", 4}, {"{\"a\":{\"b\":[[]]}}", 5}, {"[\"a,[{\\\",\\\\\",\n2]", 3}};
    json_error_t why;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = cases[i].text;
        json_t *json = mf_json_parse(text, strlen(text), 0, cases[i].values, &why);
        assert_non_null(json);
        json_decref(json);
        assert_null(mf_json_parse(text, strlen(text), 0, cases[i].values - 1, &why));
        assert_non_null(strstr(why.text, " values"));
    }
    assert_int_equal(why.line, 1);
    assert_null(mf_json_parse("[1,\n2,\n3]", 9, 0, 3, NULL));
    assert_null(mf_json_parse("[1,\n2,\n3]", 9, 0, 3, &why));
    assert_int_equal(why.line, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_values_are_counted),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
