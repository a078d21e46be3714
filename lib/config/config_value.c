/* One value of the configuration from text and to text. */
#include "config/schema.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static bool is_utf8(const char *text, size_t size) {
    for (size_t i = 0; i < size;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(size - i), &c);
        if (n <= 0) return false;
        i += (size_t)n;
    }
    return true;
}

/* A value to be read: for which key, its text, and where that stands. */
struct given {
    const struct mf_key *key;
    const char *text, *where;
    struct mf_err *err;
};

static int unfit(const struct given *g) {
    return mf_err_set(g->err, EX_CONFIG, "%s: %s is '%.100s', must be %s", g->where, g->key->name, g->text,
                      g->key->wanted);
}

static int outside(const struct given *g, double value) {
    const struct mf_key *key = g->key;
    if (key->high < 1e15)
        return mf_err_set(g->err, EX_CONFIG, "%s: %s is %.100s, must be %.10g to %.10g%s%s", g->where,
                          key->name, g->text, key->low, key->high, key->choices ? " or " : "",
                          key->choices ? key->choices : "");
    bool below = value < key->low; /* a limit that no one meets is named only to who does */
    return mf_err_set(g->err, EX_CONFIG, "%s: %s is %.100s, must be at %s %.10g", g->where, key->name,
                      g->text, below ? "least" : "most", below ? key->low : key->high);
}

/* The number that the first of the words for numbers stands for. */
static int first_word(const struct mf_key *key) {
    int first = 0;
    for (const char *c = key->choices; *c; c++) first -= *c == '|';
    return first;
}

static int parse_int(const struct given *g, void *target) {
    int64_t value;
    int word = g->key->choices ? mf_choice(g->key->choices, g->text, strlen(g->text)) : -1;
    if (word >= 0) {
        value = first_word(g->key) + word;
        memcpy(target, &value, sizeof value);
        return 0;
    }
    if (mf_parse_int(g->text, &value) < 0) return unfit(g);
    if ((double)value < g->key->low || (double)value > g->key->high) return outside(g, (double)value);
    memcpy(target, &value, sizeof value);
    return 0;
}

static int parse_real(const struct given *g, void *target) {
    double value;
    if (mf_parse_real(g->text, &value) < 0) return unfit(g);
    if (!(value >= g->key->low && value <= g->key->high)) return outside(g, value);
    value += 0.0; /* no negative zero */
    memcpy(target, &value, sizeof value);
    return 0;
}

static int parse_choice(const struct given *g, const char *choices, int *choice) {
    *choice = mf_choice(choices, g->text, strlen(g->text));
    return *choice < 0 ? unfit(g) : 0;
}

static int parse_text(const struct given *g, char *target) {
    size_t size = strlen(g->text);
    if ((double)size > g->key->high)
        return mf_err_set(g->err, EX_CONFIG, "%s: %s has %zu bytes, must be at most %.10g", g->where,
                          g->key->name, size, g->key->high);
    if (!is_utf8(g->text, size)) return unfit(g);
    memset(target, 0, (size_t)g->key->high + 1);
    memcpy(target, g->text, size);
    return 0;
}

int mf_key_parse(const struct mf_key *key, struct mf_config *config, const char *text, const char *where,
                 struct mf_err *err) {
    const struct given g = {key, text, where, err};
    char *target = (char *)config + key->offset;
    int choice;
    switch (key->kind) {
    case MF_KEY_INT:
        return parse_int(&g, target);
    case MF_KEY_REAL:
        return parse_real(&g, target);
    case MF_KEY_CHOICE:
        if (parse_choice(&g, key->choices, &choice) < 0) return -1;
        memcpy(target, &choice, sizeof choice);
        return 0;
    case MF_KEY_BOOL:
        if (parse_choice(&g, "false|true", &choice) < 0) return -1;
        *(bool *)target = choice;
        return 0;
    case MF_KEY_TEXT:
        return parse_text(&g, target);
    }
    abort();
}

void mf_key_format(const struct mf_key *key, const struct mf_config *config, char *text, size_t size) {
    const char *source = (const char *)config + key->offset;
    char shortest[MF_REAL_TEXT];
    int64_t whole;
    double real;
    int choice;
    switch (key->kind) {
    case MF_KEY_INT:
        memcpy(&whole, source, sizeof whole);
        if (key->choices && whole <= 0)
            mf_choice_name(key->choices, (int)whole - first_word(key), text, size);
        else
            snprintf(text, size, "%" PRId64, whole);
        return;
    case MF_KEY_REAL:
        memcpy(&real, source, sizeof real);
        if (fabs(real) < 1e6 && real == floor(real)) { /* 10000 and not 1e+04 */
            snprintf(text, size, "%.0f", real);
            return;
        }
        mf_real_text(shortest, real, false);
        snprintf(text, size, "%s", shortest);
        return;
    case MF_KEY_CHOICE:
        memcpy(&choice, source, sizeof choice);
        mf_choice_name(key->choices, choice, text, size);
        return;
    case MF_KEY_BOOL:
        snprintf(text, size, "%s", *(const bool *)source ? "true" : "false");
        return;
    case MF_KEY_TEXT:
        snprintf(text, size, "%s", source);
        return;
    }
    abort();
}
