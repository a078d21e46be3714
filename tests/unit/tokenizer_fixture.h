/* Tokenizers that were trained on a few texts. */
#ifndef TESTS_TOKENIZER_FIXTURE_H
#define TESTS_TOKENIZER_FIXTURE_H

#include <stdbool.h>
#include <jansson.h>
#include "scratch.h"
#include "text/tokenizer.h"
#include "text/tokenizer_train.h"

static struct mf_err err;

static inline size_t train(const char *const *texts, size_t n, size_t vocab_size, uint64_t min_frequency,
                           const char *path) {
    struct mf_words *words;
    struct mf_out *out;
    struct mf_words_learnt learnt;
    assert_int_equal(mf_words_new(&words, 0, 0, &err), 0);
    for (size_t i = 0; i < n; i++) assert_true(mf_words_add(words, texts[i], strlen(texts[i]), &err) >= 0);
    assert_int_equal(mf_out_open(&out, path, &err), 0);
    assert_int_equal(mf_words_train(words, 0, vocab_size, min_frequency, out, &learnt, &err), 0);
    assert_int_equal(mf_out_commit(out, &err), 0);
    mf_words_free(words);
    return learnt.tokens;
}

static const char *const sample[] = {"the cat sat on the mat, the cat's mat", "low lower lowest low low",
                                     "<pad> <pad> <pad> <eos><eos><bos><unk> <pad><pad>",
                                     "aaaa aaaaaaaa \n\n\n\t x"};
#define SAMPLES (sizeof sample / sizeof *sample)

static inline struct mf_tokenizer *load(const char *path) {
    struct mf_tokenizer *t;
    if (mf_tokenizer_load(&t, path, &err) < 0) fail_msg("%s", err.text);
    return t;
}

static inline json_t *good(void) {
    train(sample, SAMPLES, 280, 1, "good.json");
    json_t *root = json_load_file("good.json", 0, NULL);
    assert_non_null(root);
    return root;
}

static inline json_t *part(json_t *root, const char *name) {
    json_t *found = json_object_get(root, name);
    return found ? found : json_object_get(json_object_get(root, "model"), name);
}

#endif
