/* Templates: what each tag shows, and what is said of a wrong one. */
#include "scratch.h"

#include "cli/template.h"

/* What a template makes of a row of JSON; NULL on failure. */
static char *filled(const char *template, const char *json, struct mf_err *err) {
    json_t *row = json_loads(json, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    char *text;
    size_t size;
    *err = (struct mf_err){0};
    assert_non_null(row);
    if (mf_template_fill(&text, &size, "t.html", template, row, err) == 0)
        assert_int_equal(size, strlen(text));
    else
        assert_null(text);
    json_decref(row);
    return text;
}

static void makes(const char *template, const char *json, const char *expected) {
    struct mf_err err;
    char *text = filled(template, json, &err);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void test_text_is_escaped(void **state) {
    (void)state;
    makes("<{{a}}>", "{\"a\": \"<b>&\\\"x\"}", "<&lt;b&gt;&amp;&quot;x>");
    makes("{{a}}", "{\"a\": \"\\u0000\\u001b\\u007f\\u0085\\n\\té\"}",
          "&#x2400;&#x241b;&#x2421;&#xfffd;\n\té");
    makes("{{{a}}}|{{{b}}}", "{\"a\": \"<b>\", \"b\": 1}", "<b>|");
    makes("{{a}}{{b}}{{c}}{{d}}{{e}}{{f}}",
          "{\"a\": null, \"b\": true, \"c\": [1], \"d\": {\"x\": 1}, \"e\": \"\"}", "");
}

static void test_numbers(void **state) {
    (void)state;
    static const char row[] =
        "{\"a\": 12.345, \"b\": -0.5, \"c\": 1234567.8, \"d\": 17, \"e\": \"x\", \"f\": 1e300}";
    makes("{{a}} {{a .1}} {{a +.2}} {{b +.1}} {{c .1}} {{d}} {{d .2}}", row,
          "12 12.3 +12.35 -0.5 1.2e+06 17 17.00");
    makes("{{c count}} {{d count}} {{c MB}} {{a g}} {{f g}}", row, "1,234,568 17 1 12.345 1e+300");
    makes("{{0 .1}} {{0 +.1}} {{1 +.1}} {{2 +.1}}", "[-0.04, -0.0, -0.06]", "0.0 +0.0 +0.0 -0.1");
    makes("{{d colour}} {{a colour}} {{f .1}}", row, "1  1.0e+300");
    makes("[{{e .1}}{{e g}}{{e count}}{{e time}}{{e colour}}{{e MB}}]", row, "[]");
    makes("{{0 time}}, {{1 time}}, {{2 time}}, {{3 time}}, {{4 time}}", "[0.25, 1.25, 59, 61.9, 3725]",
          "250 ms, 1.2 s, 59 s, 1 min 01 s, 1 h 02 min");
}

static void test_sections(void **state) {
    (void)state;
    static const char row[] =
        "{\"list\": [{\"n\": 1}, {\"n\": 2}, 3], \"object\": {\"n\": 4, \"in\": {\"n\": 5}}, \"zero\": 0,"
        " \"none\": null, \"no\": false, \"yes\": true, \"empty\": [], \"hollow\": {}, \"blank\": \"\", \"n\": 6}";
    makes("{{#list}}<{{n}}>{{/list}}", row, "<1><2><>");
    makes("{{?list}}<{{n}}>{{/list}}", row, "<6>");
    makes("{{#object}}{{n}}{{in.n}}{{zero}}{{/object}}", row, "45");
    makes("{{?zero}}a{{/zero}}{{?yes}}b{{/yes}}{{#yes}}{{n}}{{/yes}}", row, "ab6");
    makes(
        "{{?none}}a{{/none}}{{?no}}b{{/no}}{{?empty}}c{{/empty}}{{?hollow}}d{{/hollow}}{{?blank}}e{{/blank}}{{?x}}f{{/x}}",
        row, "");
    makes(
        "{{^none}}a{{/none}}{{^no}}b{{/no}}{{^empty}}c{{/empty}}{{^hollow}}d{{/hollow}}{{^list}}e{{/list}}{{^zero}}f{{/zero}}",
        row, "abcd");
    makes("{{list.1.n}} {{list.9.n}}{{list.n}}{{object.0}}{{list.2}}", row, "2 3");
    makes("{{#a}}{{#.}}{{.}},{{/.}};{{/a}}", "{\"a\": [[1, 2], [], [3]]}", "1,2,;;3,;");
    makes("{{^x}}{{#list}}{{^n}}-{{/n}}{{/list}}{{/x}}{{?x}}{{#list}}{{n}}{{/list}}{{/x}}", row, "-");
}

static void test_layout(void **state) {
    (void)state;
    makes("a\n{{#l}}\n  <{{.}}>\n{{/l}}\nb\n", "{\"l\": [1, 2]}", "a\n<1>\n<2>\nb\n");
    makes("a {{?l}}\n\n\tb{{/l}}\n c", "{\"l\": [1, 2]}", "a \n\tbc");
    makes("{{!-- {{a}} --}}\n{{! }} x{{a}}\n", "{\"a\": 1}", " x1\n");
    makes("{ } }} {a{{a}}}", "{\"a\": 1}", "{ } }} {a1}");
}

static void refused(const char *template, const char *expected) {
    struct mf_err err;
    assert_null(filled(template, "{\"a\": [1], \"b\": 1}", &err));
    assert_int_equal(err.status, EX_SOFTWARE);
    assert_string_equal(err.text, expected);
}

static void test_wrong_templates(void **state) {
    (void)state;
    refused("\n{{a", "t.html: line 2: this tag does not end");
    refused("{{!-- a }}", "t.html: line 1: this tag does not end");
    refused("x\ny{{#a}}\nz", "t.html: line 2: this section does not end");
    refused("{{#a}}\n{{?b}}{{/a}}{{/b}}", "t.html: line 2: no such section has begun");
    refused("{{^b}}\n{{#a}}{{/b}}", "t.html: line 2: no such section has begun");
    refused("\n\n{{/a}}", "t.html: line 3: no such section has begun");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_escaped), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_sections),        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_wrong_templates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
