/* Fields of JSON objects, of every type where another has to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "io/json_fields.h"

static const char *const values[] = {"\"1\"", "true", "1", "0", "-1", "1.5", "-0.5", "[1]", "{}", "null"};
static const struct mf_json_field kinds[] = {
    {"x", MF_JSON_TEXT, 0}, {"x", MF_JSON_FLAG, 0},   {"x", MF_JSON_INTEGER, 0}, {"x", MF_JSON_COUNT, 0},
    {"x", MF_JSON_REAL, 0}, {"x", MF_JSON_AMOUNT, 0}, {"x", MF_JSON_LIST, 0},
};
/* Which of the values each kind takes. */
static const char *const takes[] = {"y.........", ".y........", "..yyy.....", "..yy......",
                                    "..yyyyy...", "..yy.y....", ".......y.."};

static int check(const char *text, struct mf_json_field field, struct mf_err *err) {
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    const struct mf_json_field fields[] = {field, {0}};
    int status = mf_json_fields(json, fields, "file", "what", err);
    json_decref(json);
    return status;
}

static void test_each_kind_takes_its_own(void **state) {
    (void)state;
    struct mf_err err;
    char text[40];
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            snprintf(text, sizeof text, "{\"x\": %s}", values[v]);
            assert_int_equal(check(text, kinds[k], &err), takes[k][v] == 'y' ? 0 : -1);
            if (takes[k][v] != 'y') assert_memory_equal(err.text, "file: what: x must be ", 22);
            if (takes[k][v] != 'y') assert_int_equal(err.status, EX_DATAERR);
        }
}

static void test_null_and_absent(void **state) {
    (void)state;
    struct mf_err err;
    struct mf_json_field null = {"x", MF_JSON_REAL, MF_JSON_NULL},
                         absent = {"x", MF_JSON_REAL, MF_JSON_ABSENT};
    assert_int_equal(check("{\"x\": null}", null, &err), 0);
    assert_int_equal(check("{\"x\": null}", absent, &err), -1);
    assert_int_equal(check("{\"y\": []}", absent, &err), 0);
    assert_int_equal(check("{\"y\": []}", null, &err), -1);
    assert_string_equal(err.text, "file: what: x must be a number or null");
    assert_int_equal(check("{\"x\": \"1\"}", absent, &err), -1);
    assert_string_equal(err.text, "file: what: x must be a number");
    assert_int_equal(check("[1]", absent, &err), -1);
    assert_string_equal(err.text, "file: what: not a JSON object");
}

static void test_rows(void **state) {
    (void)state;
    struct mf_err err;
    static const char *const lists[] = {"[]", "[{\"x\": 1}, {\"x\": 2}]", "[{\"x\": 1}, {}]", "[1]", "{}"};
    const struct mf_json_field fields[] = {kinds[2], {0}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        json_t *list = json_loads(lists[i], 0, NULL);
        assert_int_equal(mf_json_rows(list, fields, "file", "what", &err), i < 2 ? 0 : -1);
        json_decref(list);
    }
    assert_string_equal(err.text, "file: what: not a list");
    assert_int_equal(mf_json_rows(NULL, fields, "file", "what", &err), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_takes_its_own),
        cmocka_unit_test(test_null_and_absent),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
