/* Checking that tokenizer and model belong together. */
#include "eval/lengths.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

int mf_model_tokenizer(struct mf_tokenizer **tokenizer, const char *path, const struct mf_moe *moe,
                       struct mf_err *err) {
    struct mf_tokenizer *t;
    int status = 0;
    if (mf_tokenizer_load(&t, path, err) < 0) return -1;
    if (mf_tokenizer_size(t) > moe->shape.V)
        status = mf_err_set(err, EX_DATAERR, "%s: a vocabulary of %zu, more than %zu as in %s", path,
                            mf_tokenizer_size(t), moe->shape.V, moe->name);
    else if (moe->tokenizer_sha256[0] && strcmp(mf_tokenizer_sha256(t), moe->tokenizer_sha256) != 0)
        status = mf_err_set(err, EX_DATAERR, "%s: tokenizer %.12s, not %.12s as %s was trained with", path,
                            mf_tokenizer_sha256(t), moe->tokenizer_sha256, moe->name);
    if (status < 0)
        mf_tokenizer_free(t);
    else
        *tokenizer = t;
    return status;
}

uint32_t *mf_token_lengths_of(const struct mf_tokenizer *t, size_t V) {
    uint32_t *lengths = calloc(V ? V : 1, sizeof *lengths);
    if (!lengths) mf_no_memory();
    for (size_t i = 0; i < V; i++) {
        const char *bytes;
        size_t size;
        mf_tokenizer_bytes(t, (uint32_t)i, &bytes, &size);
        lengths[i] = (uint32_t)size;
    }
    return lengths;
}

int mf_token_lengths(uint32_t **lengths, const char *path, const struct mf_moe *moe, struct mf_err *err) {
    struct mf_tokenizer *t;
    if (mf_model_tokenizer(&t, path, moe, err) < 0) return -1;
    *lengths = mf_token_lengths_of(t, moe->shape.V);
    mf_tokenizer_free(t);
    return 0;
}
