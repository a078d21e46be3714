/* Cutting text into words: hard cases by hand, random ones against a regular expression engine. */
#include "scratch.h"

#include "text/pretokenize.h"

/* Cuts `text` and compares with the words of `expected`, which are separated by '|'. */
static void check_words(const char *text, size_t size, const char *expected) {
    char got[512];
    size_t n = 0;
    for (size_t at = 0; at < size;) {
        size_t length = mf_word_length(text + at, size - at);
        assert_true(length >= 1 && length <= size - at);
        if (at) got[n++] = '|';
        memcpy(got + n, text + at, length);
        n += length;
        at += length;
    }
    got[n] = '\0';
    assert_string_equal(got, expected);
}

static void hard_cases_are_cut_as_the_pattern_says(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"it's I'll we've they'RE I'd 'tis", "it|'s| I|'ll| we|'ve| they|'|RE| I|'d| '|tis"},
        {"'s's 's ''s", "'s|'s| '|s| ''|s"},
        {"don'trust you'velvet 'l 'v 'r '", "don|'t|rust| you|'ve|lvet| '|l| '|v| '|r| '"},
        {"a1b22 c_3!!!", "a|1|b|22| c|_|3|!!!"},
        {"  two   spaces ", " | two|  | spaces| "},
        {"\n\n\tx", "\n\n|\t|x"},
        {" \n x\r\n\r\ny", " \n| x|\r\n\r|\n|y"},
        {"x \xc2\xa0y", "x| |\xc2\xa0|y"}, /* a space that does not break is no blank */
        {"a\xe3\x80\x80\xe3\x80\x80"
         "b",
         "a|\xe3\x80\x80|\xe3\x80\x80|b"}, /* ideographic spaces */
        {"\xc2\x85"
         "a",
         "\xc2\x85|a"}, /* next line */
        {"na\xc3\xafve \xd0\xb4\xd0\xb0", "na\xc3\xafve| \xd0\xb4\xd0\xb0"},
        {"e\xcc\x81"
         "a",
         "e|\xcc\x81|a"}, /* a combining mark is no letter */
        {"x\xc2\xb2\xe2\x85\xa3 \xd9\xa3",
         "x|\xc2\xb2\xe2\x85\xa3| \xd9\xa3"}, /* number forms, Arabic digit */
        {"\xe6\xbc\xa2\xe5\xad\x97\xe3\x80\x82", "\xe6\xbc\xa2\xe5\xad\x97|\xe3\x80\x82"},
        {"hi \xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd!", "hi| \xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd!"},
        {"a\xff\xfe"
         "b \xc3",
         "a|\xff\xfe|b| \xc3"}, /* bytes outside UTF-8 */
        {"\xed\xa0\x80"
         "a",
         "\xed\xa0\x80|a"}, /* a lone surrogate */
        {"\xc0\xa0"
         "a",
         "\xc0\xa0|a"}, /* an overlong space */
        {" ", " "},
        {" \t ", " \t "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_words(cases[i][0], strlen(cases[i][0]), cases[i][1]);
    assert_int_equal(mf_word_length("\0\0a", 3), 2); /* a zero byte is a character like others */
    assert_int_equal(mf_word_length("\xe3\x80", 2), 2);
}

/* Perl prints random texts, each as the lengths of its words and then the text in hex. Characters younger
 * than the older of the two Unicode tables are left out. */
static const char twin[] =
    "perl -e 'use utf8; srand 7; my @kit = (q{ }, q{ }, qq{\\n}, qq{\\t}, q{\"}, q{'\\''}, qw(s t re ve m ll "
    "d S a 1 . _));\n"
    "for (1 .. 4000) { my $t = q{}; for (0 .. rand 24) {\n"
    "  my $c = rand() < 0.6 ? $kit[rand @kit] : chr(rand() < 0.5 ? rand 0x3100 : rand 0x1ffff);\n"
    "  $t .= $c if $c =~ /\\A\\p{Present_In: 13.0}+\\z/ && $c !~ /\\p{Cs}/ }\n"
    "  next if $t eq q{}; my $hex; print join q{,}, map { utf8::encode($_); $hex .= unpack q{H*}, $_; length "
    "}\n"
    "  $t =~ /'\\''s|'\\''t|'\\''re|'\\''ve|'\\''m|'\\''ll|'\\''d| ?\\p{L}+| ?\\p{N}+| "
    "?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+/g;\n"
    "  print qq{ $hex\\n} }'";

static void words_are_cut_as_a_regular_expression_does(void **state) {
    (void)state;
    if (system("perl -e 1") != 0) skip();
    FILE *f = popen(twin, "r");
    assert_non_null(f);
    char lengths[512], hex[512], text[256], *at;
    size_t texts = 0;
    while (fscanf(f, "%511s %511s", lengths, hex) == 2) {
        size_t size = strlen(hex) / 2, begin = 0;
        for (size_t i = 0; i < size; i++) {
            char digits[] = {hex[2 * i], hex[2 * i + 1], 0}, *end;
            text[i] = (char)strtoul(digits, &end, 16);
            assert_true(end == digits + 2);
        }
        for (at = lengths; begin < size; at += *at == ',') {
            size_t length = mf_word_length(text + begin, size - begin), wanted = strtoul(at, &at, 10);
            if (length != wanted)
                print_error("text %s at byte %zu: %zu, not %zu\n", hex, begin, length, wanted);
            assert_int_equal(length, wanted);
            begin += length;
        }
        texts++;
    }
    assert_int_equal(pclose(f), 0);
    assert_true(texts > 3000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_cases_are_cut_as_the_pattern_says),
        cmocka_unit_test(words_are_cut_as_a_regular_expression_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
