/* What reading a tokenizer (tokenizer_json.c) and using it (tokenizer.c) share. */
#ifndef MF_TEXT_TOKENIZER_INTERNAL_H
#define MF_TEXT_TOKENIZER_INTERNAL_H

#include "text/bpe.h"
#include "text/tokenizer.h"

struct piece {
    size_t at, size; /* in bytes */
    bool there, special;
};

#define SPECIAL_ROOM 128
struct special {
    char text[SPECIAL_ROOM];
    size_t size;
    uint32_t id;
};

struct mf_tokenizer {
    size_t size;
    struct piece *pieces;  /* [size] */
    char *bytes;           /* all pieces' bytes */
    int64_t byte_ids[256]; /* the token of each byte, or -1 */
    struct mf_pair_map merges;
    struct special *specials;
    size_t n_specials;
    int64_t known[MF_SPECIALS];
    char sha256[65];
};

#endif
