/* A table of words as the symbols that mf_bpe_learn takes. */
#ifndef MF_TEXT_BPE_SYMBOLS_H
#define MF_TEXT_BPE_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "text/words.h"

struct mf_bpe_symbols {
    uint32_t *ids; /* [n] MF_BPE_END before and behind each word */
    size_t n;
    uint64_t *counts; /* of each word */
};

/* byte_ids [256]: of each byte; NULL: the table's words are ids of 4 bytes. Freed by mf_bpe_symbols_free,
 * also where it fails. EX_OSERR. */
int mf_bpe_symbols_make(struct mf_bpe_symbols *symbols, const struct mf_words *words,
                        const uint32_t *byte_ids, struct mf_err *err);
void mf_bpe_symbols_free(struct mf_bpe_symbols *symbols);

#endif
