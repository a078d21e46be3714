/* What reading a tokenizer (tokenizer_json.c, tokenizer_parts.c) and using it (tokenizer.c, added.c) share.
 */
#ifndef MF_TEXT_TOKENIZER_INTERNAL_H
#define MF_TEXT_TOKENIZER_INTERNAL_H

#include <jansson.h>
#include "text/alphabet.h"
#include "text/bpe.h"
#include "text/tokenizer.h"

struct token_bytes {
    size_t at, size; /* in bytes; special tokens have none */
    bool there, special;
};

/* A token that is found in the text before it is cut into words. */
#define ADDED_ROOM 256
struct added {
    char text[ADDED_ROOM];
    size_t size;
    uint32_t id;
    bool special, late;               /* late: found in what the others left over */
    bool single_word, lstrip, rstrip; /* not inside a word; with the white space on its left, its right */
};

/* Copies of a token may read so many bytes behind it. */
#define TOKEN_SLACK 16

struct mf_tokenizer {
    size_t size;
    struct token_bytes *tokens;         /* [size] */
    char *bytes;                        /* the bytes of all tokens, and TOKEN_SLACK more */
    int64_t byte_ids[256];              /* the token of each byte, or -1 */
    int64_t unk;                        /* stands for a byte without a token, or -1 */
    bool fuse_unk, prefix_space, whole; /* whole: text is not cut into words */
    struct mf_pair_map merges;
    struct added *added;
    size_t n_added;
    bool begins[2][256];         /* does an added token begin with this byte, early, late? */
    struct mf_ids before, after; /* around each document */
    int64_t known[MF_SPECIALS];
    char sha256[65];
};

/* --- added.c --- */

struct match {
    const struct added *added; /* NULL: none */
    size_t begin, end;         /* of the text */
};

/* The first added token in text[from..size), early or late ones, the longest of those that begin at one
 * place; those that are special only with `special`. */
struct match added_find(const struct mf_tokenizer *t, bool late, bool special, const char *text, size_t size,
                        size_t from);

/* --- reading --- */

struct reading {
    struct mf_tokenizer *t;
    const char *path;
    const json_t *vocab;
    struct mf_alphabet alphabet;
    struct mf_err *err;
};

int reading_bad(struct reading *r, const char *what, const char *name); /* EX_DATAERR */

/* An id that is a number below the vocabulary's size. */
int reading_id(struct reading *r, const char *token, const json_t *value, uint32_t *id);

/* Everything of the file but the model's vocabulary and merges; what we do not honour exactly is refused. */
int parts_check(struct reading *r, const json_t *root);
int parts_added(struct reading *r, const json_t *root);
int parts_around(struct reading *r, const json_t *root);

#endif
