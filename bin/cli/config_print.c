/* The configuration as YAML, as JSON, and the list of keys for people. */
#include <string.h>
#include <utf8proc.h>
#include "config/config.h"
#include "config/schema.h"

/* May the character stand in a quoted text of YAML as it is? Controls may not, line separators would be
 * folded, and U+FEFF taken for a mark. */
static bool is_plain(utf8proc_int32_t c) {
    if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029) return false;
    return c != '"' && c != '\\' && c != 0xfeff && c != 0xfffe && c != 0xffff;
}

/* A text is quoted, so that YAML takes nothing in it for its own. It is valid UTF-8. */
static void print_quoted(const char *text, FILE *file) {
    fputc('"', file);
    while (*text) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &c);
        if (n <= 0) break;
        if (is_plain(c))
            fwrite(text, 1, (size_t)n, file);
        else
            fprintf(file, c < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)c);
        text += n;
    }
    fputc('"', file);
}

int mf_config_print(const struct mf_config *config, const char *stage, FILE *file) {
    size_t count;
    const struct mf_key *keys = mf_keys(&count);
    unsigned bit = mf_stage_bit(stage);
    const char *section = "";
    for (size_t i = 0; i < count; i++) {
        char text[1100];
        size_t n = mf_key_section(&keys[i]);
        if (stage && !(keys[i].stages & bit)) continue;
        mf_key_format(&keys[i], config, text, sizeof text);
        if (n && (strlen(section) < n || memcmp(section, keys[i].name, n + 1) != 0))
            fprintf(file, "%.*s:\n", (int)n, keys[i].name);
        if (n) section = keys[i].name;
        fprintf(file, "%s%s: ", n ? "  " : "", keys[i].name + (n ? n + 1 : 0));
        if (keys[i].kind == MF_KEY_TEXT)
            print_quoted(text, file);
        else
            fputs(text, file);
        fputc('\n', file);
    }
    return ferror(file) ? -1 : 0;
}

int mf_config_get(const struct mf_config *config, const char *name, char *text, size_t size,
                  struct mf_err *err) {
    const struct mf_key *key = mf_key_find(name);
    if (!key) return mf_key_unknown(name, "", err);
    mf_key_format(key, config, text, size);
    return 0;
}

void mf_config_describe(FILE *file) {
    size_t count;
    const struct mf_key *keys = mf_keys(&count);
    const char *const *stages = mf_config_stages();
    for (size_t i = 0; i < count; i++) {
        char range[96] = "";
        if (keys[i].kind == MF_KEY_CHOICE) snprintf(range, sizeof range, "%s", keys[i].choices);
        if (keys[i].kind == MF_KEY_BOOL) snprintf(range, sizeof range, "true|false");
        if (keys[i].kind == MF_KEY_TEXT) snprintf(range, sizeof range, "text");
        if (keys[i].kind == MF_KEY_INT || keys[i].kind == MF_KEY_REAL)
            snprintf(range, sizeof range, keys[i].high >= 1e15 ? "%.10g .." : "%.10g .. %.10g", keys[i].low,
                     keys[i].high);
        if (keys[i].kind == MF_KEY_INT && keys[i].choices)
            snprintf(range, sizeof range, "%s|1 .. %.10g", keys[i].choices, keys[i].high);
        fprintf(file, "%s\n    %s\n    default %s; %s; read by", keys[i].name, keys[i].meaning,
                *keys[i].fallback ? keys[i].fallback : "\"\"", range);
        if (!keys[i].stages) fputs(" make", file);
        for (unsigned s = 0; stages[s]; s++)
            if (keys[i].stages & 1u << s) fprintf(file, " %s", stages[s]);
        fputc('\n', file);
    }
}

/* "a|b|c" as an array. */
static json_t *choices_json(const char *choices) {
    json_t *all = json_array();
    for (size_t n; *choices; choices += n + (choices[n] == '|')) {
        n = strcspn(choices, "|");
        json_array_append_new(all, json_stringn(choices, n));
    }
    return all;
}

static json_t *limit_json(const struct mf_key *key, double limit) {
    return key->kind == MF_KEY_INT ? json_integer((json_int_t)limit) : json_real(limit);
}

static json_t *key_json(const struct mf_key *key) {
    static const char *const kinds[] = {"int", "real", "choice", "bool", "text"};
    const char *const *stages = mf_config_stages();
    json_t *readers = json_array();
    for (unsigned s = 0; stages[s]; s++)
        if (key->stages & 1u << s) json_array_append_new(readers, json_string(stages[s]));
    json_t *object = json_pack("{ss ss ss so ss}", "key", key->name, "kind", kinds[key->kind], "default",
                               key->fallback, "stages", readers, "meaning", key->meaning);
    if (key->choices) json_object_set_new(object, "choices", choices_json(key->choices));
    if (key->kind == MF_KEY_INT || key->kind == MF_KEY_REAL) {
        json_object_set_new(object, "low", limit_json(key, key->low));
        json_object_set_new(object, "high", limit_json(key, key->high));
    }
    return object;
}

json_t *mf_config_schema(void) {
    size_t count;
    const struct mf_key *keys = mf_keys(&count);
    json_t *all = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(all, key_json(&keys[i]));
    return all;
}

static json_t *value_json(const struct mf_key *key, const struct mf_config *config) {
    const char *source = (const char *)config + key->offset;
    char text[1100];
    int64_t whole;
    double real;
    switch (key->kind) {
    case MF_KEY_INT:
        memcpy(&whole, source, sizeof whole);
        if (key->choices && whole <= 0) break;
        return json_integer((json_int_t)whole);
    case MF_KEY_REAL:
        memcpy(&real, source, sizeof real);
        return json_real(real);
    case MF_KEY_BOOL:
        return json_boolean(*(const bool *)source);
    default:
        break;
    }
    mf_key_format(key, config, text, sizeof text);
    return json_string(text);
}

json_t *mf_config_json(const struct mf_config *config, const char *stage) {
    size_t count;
    const struct mf_key *keys = mf_keys(&count);
    unsigned bit = mf_stage_bit(stage);
    json_t *all = json_object();
    for (size_t i = 0; i < count; i++) {
        size_t n = mf_key_section(&keys[i]);
        char section[64];
        if (stage && !(keys[i].stages & bit)) continue;
        if (n == 0) {
            json_object_set_new(all, keys[i].name, value_json(&keys[i], config));
            continue;
        }
        snprintf(section, sizeof section, "%.*s", (int)n, keys[i].name);
        if (!json_object_get(all, section)) json_object_set_new(all, section, json_object());
        json_object_set_new(json_object_get(all, section), keys[i].name + n + 1,
                            value_json(&keys[i], config));
    }
    return all;
}
