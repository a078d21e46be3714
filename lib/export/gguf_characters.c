/* Vocabularies of characters with bytes as the fallback, as those of SentencePiece. llama.cpp knows no merges
 * of them: of all neighbours that spell a token it joins those of the token with the highest score, the first
 * of equals. With scores from the merges' ranks that is the same where each way to spell a token of two
 * others is a merge, and no other token's merge is between those of one token; else it is refused. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "base/strings.h"
#include "export/gguf_file_internal.h"
#include "text/kinds.h"

#define MARK "\xe2\x96\x81" /* a blank */

static bool is(const json_t *part, const char *field, const char *text) {
    const char *found = json_string_value(json_object_get(part, field));
    return found && strcmp(found, text) == 0;
}

static bool is_null(const json_t *part) {
    return !part || json_is_null(part);
}

bool gguf_is_bytes(const json_t *root) {
    const json_t *pre = json_object_get(root, "pre_tokenizer"), *step;
    size_t i;
    json_array_foreach(json_object_get(pre, "pretokenizers"), i, step) {
        if (is(step, "type", "ByteLevel")) return true;
    }
    return is(pre, "type", "ByteLevel");
}

/* --- normalizer and pre-tokenizer --- */

/* Blanks become marks. */
static bool is_marking(const json_t *step) {
    return is(step, "type", "Replace") && is(json_object_get(step, "pattern"), "String", " ") &&
           is(step, "content", MARK);
}

/* [Prepend of a mark,] Replace of blanks by marks. */
static bool marks_blanks(const json_t *normalizer, bool *prefix) {
    const json_t *steps = json_object_get(normalizer, "normalizers");
    size_t n = json_array_size(steps);
    *prefix = false;
    if (!is(normalizer, "type", "Sequence")) return is_marking(normalizer);
    *prefix = n == 2 && is(json_array_get(steps, 0), "type", "Prepend") &&
              is(json_array_get(steps, 0), "prepend", MARK);
    return n == 1u + *prefix && is_marking(json_array_get(steps, n - 1));
}

/* None, or one that looks for blanks, of which none is left. */
static bool is_idle(const json_t *pre) {
    return is_null(pre) || (is(pre, "type", "Split") && is(json_object_get(pre, "pattern"), "String", " ") &&
                            !json_is_true(json_object_get(pre, "invert")));
}

/* A Metaspace that does the same without a normalizer. One that puts a blank before a text does so where
 * there is none yet, llama.cpp everywhere. */
static bool is_metaspace(const json_t *pre) {
    return is(pre, "type", "Metaspace") && is(pre, "replacement", MARK) &&
           is(pre, "prepend_scheme", "never") && json_is_false(json_object_get(pre, "split"));
}

int gguf_blanks(const json_t *root, bool *prefix, const char **why) {
    const json_t *normalizer = json_object_get(root, "normalizer"),
                 *pre = json_object_get(root, "pre_tokenizer");
    *why = NULL;
    *prefix = false;
    if (is_null(normalizer) && is_metaspace(pre)) return 0;
    if (!marks_blanks(normalizer, prefix))
        *why = "how it marks blanks";
    else if (!is_idle(pre))
        *why = "its pre_tokenizer";
    return *why ? -1 : 0;
}

/* --- scores --- */

/* Both parts of a merge as one text; new. */
static char *joined(const json_t *merge) {
    if (json_is_array(merge))
        return mf_format("%s%s", json_string_value(json_array_get(merge, 0)),
                         json_string_value(json_array_get(merge, 1)));
    const char *text = json_string_value(merge), *blank = strchr(text, ' ');
    return mf_format("%.*s%s", (int)(blank - text), text, blank + 1);
}

/* One character again and again. Their merges may be mixed with one another: all of them grow from the left.
 */
static bool is_run(const char *text) {
    size_t size = strlen(text), n;
    mf_character(text, size, &n);
    return size % n == 0 && memcmp(text, text + n, size - n) == 0;
}

struct ranks {
    const json_t *vocab;
    size_t *first, *count;   /* of each token: its first merge's rank, how many there are */
    size_t last, last_other; /* the token made last; the last rank that made no run */
};

/* Notes merge i, which makes `text`. Is it in order? */
static bool note(struct ranks *r, size_t i, const char *text) {
    size_t id = (size_t)json_integer_value(json_object_get(r->vocab, text));
    bool run = is_run(text), apart = r->count[id] && r->last != id;
    if (apart && (!run || r->last_other > r->first[id])) return false;
    if (!r->count[id]++) r->first[id] = i;
    if (!run) r->last_other = i;
    r->last = id;
    return true;
}

/* Can a token be made of this text: one of the vocabulary, or one character, whose bytes may stand for it? */
static bool is_symbol(const json_t *vocab, const char *text, size_t size) {
    size_t n;
    mf_character(text, size, &n);
    return n == size || json_object_getn(vocab, text, size);
}

/* In how many ways two neighbours spell the text. */
static size_t ways(const json_t *vocab, const char *text, size_t size) {
    size_t count = 0, n;
    for (size_t at = 0; at < size; at += n) {
        mf_character(text + at, size - at, &n);
        count += at && is_symbol(vocab, text, at) && is_symbol(vocab, text + at, size - at);
    }
    return count;
}

static const char *rank(struct ranks *r, const json_t *merges, const char *const *texts, size_t V) {
    const json_t *merge;
    size_t i;
    bool fine = true;
    json_array_foreach(merges, i, merge) {
        char *text = joined(merge);
        fine = fine && note(r, i, text);
        free(text);
    }
    if (!fine) return "merges to one token that are apart";
    for (i = 0; i < V; i++)
        if (texts[i] && ways(r->vocab, texts[i], strlen(texts[i])) != r->count[i])
            return "a token that neighbours spell without a merge";
    return NULL;
}

int gguf_scores(const json_t *root, const char *const *texts, size_t V, float *scores, const char **why) {
    const json_t *model = json_object_get(root, "model"), *merges = json_object_get(model, "merges");
    struct ranks r = {.vocab = json_object_get(model, "vocab"), .first = calloc(2 * V, sizeof *r.first)};
    if (!r.first) mf_no_memory();
    r.count = r.first + V;
    *why = rank(&r, merges, texts, V);
    for (size_t i = 0; i < V; i++) scores[i] = -(float)(r.count[i] ? r.first[i] : json_array_size(merges));
    free(r.first);
    return *why ? -1 : 0;
}
