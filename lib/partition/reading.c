/* The text of a document of tokens, for how hard it is to read. */
#include <stdlib.h>
#include <string.h>
#include "partition/corpus.h"
#include "partition/difficulty.h"

struct mf_reading {
    const struct mf_tokenizer *tokenizer; /* borrowed */
    struct mf_distinct words;
    char *text;
    size_t capacity;
};

int mf_reading_new(struct mf_reading **reading, const struct mf_tokenizer *tokenizer, struct mf_err *err) {
    struct mf_reading *r = calloc(1, sizeof *r);
    if (!r) return mf_err_set(err, EX_OSERR, "out of memory");
    r->tokenizer = tokenizer;
    *reading = r;
    return 0;
}

int mf_reading_difficulty(struct mf_reading *r, const struct mf_token_doc *doc, double *difficulty,
                          struct mf_err *err) {
    const char *bytes;
    size_t total = 0, size;
    for (size_t i = 0; i < doc->n; i++) {
        mf_tokenizer_bytes(r->tokenizer, doc->tokens[i], &bytes, &size);
        total += size;
    }
    if (total > r->capacity) {
        char *text = realloc(r->text, total);
        if (!text) return mf_err_set(err, EX_OSERR, "out of memory for a document of %zu bytes", total);
        r->text = text;
        r->capacity = total;
    }
    size_t at = 0;
    for (size_t i = 0; i < doc->n; i++) {
        mf_tokenizer_bytes(r->tokenizer, doc->tokens[i], &bytes, &size);
        if (size) memcpy(r->text + at, bytes, size);
        at += size;
    }
    return mf_difficulty(&r->words, r->text ? r->text : "", total, difficulty, err);
}

void mf_reading_free(struct mf_reading *r) {
    if (!r) return;
    mf_distinct_free(&r->words);
    free(r->text);
    free(r);
}
