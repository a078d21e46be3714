/* One value of the configuration from text and to text. */
#include "config/schema.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static int outside(const struct mf_key *key, double value, const char *text, const char *where,
                   struct mf_err *err) {
    if (key->high < 1e15)
        return mf_err_set(err, EX_CONFIG, "%s: %s is %.100s, must be %.10g to %.10g", where, key->name, text,
                          key->low, key->high);
    bool below = value < key->low; /* a limit that no one meets is named only to who does */
    return mf_err_set(err, EX_CONFIG, "%s: %s is %.100s, must be at %s %.10g", where, key->name, text,
                      below ? "least" : "most", below ? key->low : key->high);
}

static int unfit(const struct mf_key *key, const char *text, const char *where, struct mf_err *err) {
    return mf_err_set(err, EX_CONFIG, "%s: %s is '%.100s', must be %s", where, key->name, text, key->wanted);
}

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

int mf_key_parse(const struct mf_key *key, struct mf_config *config, const char *text, const char *where,
                 struct mf_err *err) {
    char *target = (char *)config + key->offset;
    int64_t whole;
    double real;
    size_t size = strlen(text);
    int choice;
    switch (key->kind) {
    case MF_KEY_INT:
        choice = key->choices ? mf_choice(key->choices, text, size) : -1;
        if (choice >= 0)
            whole = (int64_t)key->low + choice;
        else if (mf_parse_int(text, &whole) < 0)
            return unfit(key, text, where, err);
        if ((double)whole < key->low || (double)whole > key->high)
            return outside(key, (double)whole, text, where, err);
        memcpy(target, &whole, sizeof whole);
        return 0;
    case MF_KEY_REAL:
        if (mf_parse_real(text, &real) < 0) return unfit(key, text, where, err);
        if (!(real >= key->low && real <= key->high)) return outside(key, real, text, where, err);
        real += 0.0; /* no negative zero */
        memcpy(target, &real, sizeof real);
        return 0;
    case MF_KEY_CHOICE:
        choice = mf_choice(key->choices, text, size);
        if (choice < 0) return unfit(key, text, where, err);
        memcpy(target, &choice, sizeof choice);
        return 0;
    case MF_KEY_BOOL:
        choice = mf_choice("false|true", text, size);
        if (choice < 0) return unfit(key, text, where, err);
        *(bool *)target = choice;
        return 0;
    case MF_KEY_TEXT:
        if ((double)size > key->high)
            return mf_err_set(err, EX_CONFIG, "%s: %s has %zu bytes, must be at most %.10g", where, key->name,
                              size, key->high);
        if (!is_utf8(text, size)) return unfit(key, text, where, err);
        memset(target, 0, (size_t)key->high + 1);
        memcpy(target, text, size);
        return 0;
    }
    abort();
}

void mf_key_format(const struct mf_key *key, const struct mf_config *config, char *text, size_t size) {
    const char *source = (const char *)config + key->offset;
    int64_t whole;
    double real;
    int choice;
    switch (key->kind) {
    case MF_KEY_INT:
        memcpy(&whole, source, sizeof whole);
        if (key->choices && whole <= 0)
            mf_choice_name(key->choices, (int)(whole - (int64_t)key->low), text, size);
        else
            snprintf(text, size, "%" PRId64, whole);
        return;
    case MF_KEY_REAL: /* the shortest decimal that reads back as the same number; 17 digits always do */
        memcpy(&real, source, sizeof real);
        if (fabs(real) < 1e6 && real == floor(real)) { /* 10000 and not 1e+04 */
            snprintf(text, size, "%.0f", real);
            return;
        }
        for (int digits = 1; digits <= 17; digits++) {
            char buffer[40];
            snprintf(buffer, sizeof buffer, "%.*g", digits, real);
            snprintf(text, size, "%s", buffer);
            if (strtod(buffer, NULL) == real) return;
        }
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
