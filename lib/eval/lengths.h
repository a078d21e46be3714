/* A tokenizer that belongs to a model, and the bytes behind its tokens. */
#ifndef MF_EVAL_LENGTHS_H
#define MF_EVAL_LENGTHS_H

#include "model/moe.h"
#include "text/tokenizer.h"

/* Loads a tokenizer and checks that it is the model's: EX_DATAERR when the vocabulary is larger or the hash
 * differs, naming both (a model that names no tokenizer takes any that is not too large). */
int mf_model_tokenizer(struct mf_tokenizer **tokenizer, const char *path, const struct mf_moe *moe,
                       struct mf_err *err);

/* The bytes of each token's text, [V] of the model in new memory (free): 0 for special tokens, and for rows
 * of the embedding behind the tokenizer's last token. */
uint32_t *mf_token_lengths_of(const struct mf_tokenizer *tokenizer, size_t V);

/* Both in one, without keeping the tokenizer. */
int mf_token_lengths(uint32_t **lengths, const char *path, const struct mf_moe *moe, struct mf_err *err);

#endif
