/* How llama.cpp calls a tokenizer's way of cutting text into words. What it knows no name for is refused,
 * since it would cut otherwise. */
#include <string.h>
#include "export/gguf_file_internal.h"
#include "text/families.h"

#define NAMES 4

/* The patterns of Split in a row, then ByteLevel. */
static const struct {
    const char *name;
    size_t n;
    enum mf_family patterns[3];
} known[NAMES] = {
    {"llama-bpe", 1, {MF_FAMILY_LLAMA3}},
    {"qwen2", 1, {MF_FAMILY_QWEN}},
    {"gpt-4o", 1, {MF_FAMILY_GPT4O}},
    {"deepseek-v3", 3, {MF_FAMILY_DEEPSEEK_NUMBERS, MF_FAMILY_DEEPSEEK_KANA, MF_FAMILY_DEEPSEEK}},
};

static bool is(const json_t *part, const char *type) {
    const char *found = json_string_value(json_object_get(part, "type"));
    return found && strcmp(found, type) == 0;
}

/* Does a Split keep all matches and nothing is between them? Both ways to say so are in use. */
static bool is_split(const json_t *part, enum mf_family family) {
    const char *regex = json_string_value(json_object_get(json_object_get(part, "pattern"), "Regex")),
               *behavior = json_string_value(json_object_get(part, "behavior"));
    bool invert = json_is_true(json_object_get(part, "invert"));
    if (!is(part, "Split") || !regex || !behavior || strcmp(regex, mf_family_pattern(family)) != 0)
        return false;
    return strcmp(behavior, invert ? "Removed" : "Isolated") == 0;
}

static const char *name_of(const json_t *steps) {
    const size_t n = json_array_size(steps);
    for (size_t k = 0; k < NAMES; k++) {
        bool same = n == known[k].n + 1 && is(json_array_get(steps, n - 1), "ByteLevel");
        for (size_t i = 0; i + 1 < n && same; i++)
            same = is_split(json_array_get(steps, i), known[k].patterns[i]);
        if (same) return known[k].name;
    }
    return NULL;
}

/* NFC alone is left to whoever writes the texts: llama.cpp has none, and Qwen's files say so all the same. */
static bool has_normalizer(const json_t *normalizer) {
    if (!normalizer || json_is_null(normalizer) || is(normalizer, "NFC")) return false;
    return !is(normalizer, "Sequence") || json_array_size(json_object_get(normalizer, "normalizers")) > 0;
}

int gguf_words(const json_t *root, const char **name, const char **why) {
    const json_t *pre = json_object_get(root, "pre_tokenizer"), *last = pre,
                 *steps = json_object_get(pre, "pretokenizers");
    const size_t n = json_array_size(steps);
    const char *other = n ? name_of(steps) : NULL;
    if (n) last = json_array_get(steps, n - 1);
    *why = NULL;
    *name = other ? other : "gpt-2";
    if (has_normalizer(json_object_get(root, "normalizer")))
        *why = "its normalizer";
    else if (json_is_true(json_object_get(last, "add_prefix_space")))
        *why = "add_prefix_space";
    else if (n && !other)
        *why = "its pre_tokenizer";
    else if (!other && json_is_false(json_object_get(last, "use_regex")))
        *why = "use_regex is false";
    else if (other && !json_is_false(json_object_get(last, "use_regex")))
        *why = "use_regex beside its patterns";
    return *why ? -1 : 0;
}
