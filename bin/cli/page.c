/* The page's frame, and its text. */
#include "cli/page.h"

#include <math.h>
#include <string.h>

void mf_page_text(FILE *f, const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        bool c1 = c == 0xc2 && i + 1 < size && (unsigned char)text[i + 1] < 0xa0;
        if (c == '&')
            fputs("&amp;", f);
        else if (c == '<')
            fputs("&lt;", f);
        else if (c == '>')
            fputs("&gt;", f);
        else if (c == '"')
            fputs("&quot;", f);
        else if (c < 0x20 && c != '\n' && c != '\t')
            fprintf(f, "&#x%x;", 0x2400 + c);
        else if (c == 0x7f)
            fputs("&#x2421;", f);
        else if (c1) {
            fputs("&#xfffd;", f);
            i++;
        } else
            putc(c, f);
    }
}

void mf_page_string(FILE *f, const json_t *string) {
    if (json_is_string(string)) mf_page_text(f, json_string_value(string), json_string_length(string));
}

double mf_page_number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *mf_page_real(char text[MF_PAGE_REAL], double value, int digits) {
    if (fabs(value) < 1e6)
        snprintf(text, MF_PAGE_REAL, "%.*f", digits, value);
    else
        snprintf(text, MF_PAGE_REAL, "%.1e", value);
    return text;
}

void mf_page_count(FILE *f, double count) {
    char digits[400]; /* of the largest double */
    int n = snprintf(digits, sizeof digits, "%.0f", count);
    for (int i = 0; i < n; i++) fprintf(f, "%s%c", i > 0 && (n - i) % 3 == 0 ? "," : "", digits[i]);
}

const json_t *mf_page_find(const json_t *object, const char *path) {
    char key[32];
    while (object && *path) {
        size_t n = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)n, path);
        object = json_object_get(object, key);
        path += n + (path[n] == '.');
    }
    return object;
}

bool mf_page_no_domain(const char *domain) {
    return domain && strcmp(domain, "(none)") == 0;
}

int mf_page_colour(long long expert) {
    return (int)(((expert % 8) + 8) % 8);
}

void mf_page_write(FILE *f, const json_t *report, const char *drawings) {
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n"
          /* were an escape forgotten, still nothing would run or be fetched */
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
          "'unsafe-inline'; img-src data:\">\n"
          "<link rel=\"icon\" href=\"data:,\">\n<title>Report: ",
          f);
    mf_page_string(f, json_object_get(report, "model"));
    fprintf(f, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n", mf_page_style);
    mf_page_headline(f, report);
    mf_page_domains(f, report);
    mf_page_samples(f, report);
    mf_page_routing(f, report);
    mf_page_curves(f, report, drawings);
    mf_page_stages(f, report);
    fputs("</main>\n</body>\n</html>\n", f);
}
