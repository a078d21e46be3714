/* What reading a tokenizer (tokenizer_json.c, tokenizer_vocab.c, tokenizer_parts.c, tokenizer_steps.c,
 * tokenizer_decoder.c) and using it (tokenizer.c, encoder.c, spell.c, added.c) share. */
#ifndef MF_TEXT_TOKENIZER_INTERNAL_H
#define MF_TEXT_TOKENIZER_INTERNAL_H

#include <jansson.h>
#include "io/json_list.h"
#include "text/alphabet.h"
#include "text/bpe.h"
#include "text/kinds.h"
#include "text/normal.h"
#include "text/split_steps.h"
#include "text/tokenizer.h"
#include "text/whole.h"

struct token_bytes {
    size_t at, size; /* in bytes; special tokens have none */
    bool there, special, in_vocabulary;
};

/* A token that is found in the text before it is cut into words. */
#define ADDED_SIZE 256
struct added {
    char text[ADDED_SIZE]; /* as it is looked for: late ones are normalized */
    size_t size;
    uint32_t id;
    bool special, late;               /* late: found in what the others left over, once it is normalized */
    bool single_word, lstrip, rstrip; /* not inside a word; with the white space on its left, its right */
};

struct added_item {
    const struct added *added;
    const struct added *plain; /* the first of the same text that is not special, or NULL */
};

/* Early or late added tokens in the order of their texts. */
struct added_index {
    struct added_item *items;
    size_t n;
    size_t first[257]; /* where those begin whose first byte is this one */
};

/* Copies of a token may read so many bytes behind it. */
#define TOKEN_SLACK 16

/* Stands for a blank, mostly before words, in vocabularies of characters. */
#define BLANK_MARK           "\xe2\x96\x81"
#define BLANK_MARK_SIZE      ((size_t)3)
#define BLANK_MARK_CHARACTER 0x2581
#define GLUED                16

#define CODE_POINTS ((size_t)0x110000)

struct mf_tokenizer {
    char *path; /* of its file, for messages */
    size_t size;
    struct token_bytes *tokens; /* [size] */
    char *bytes;                /* the bytes of all tokens, and TOKEN_SLACK more */
    struct mf_normal normal;
    struct mf_split_steps steps;
    bool characters;          /* words are characters, not bytes */
    bool byte_fallback;       /* a character without a token is bytes */
    bool prefix_space, whole; /* ByteLevel's; whole: text is not cut into words */
    int64_t byte_ids[256];    /* the token of each byte, or -1 */
    uint32_t *character_ids;  /* [CODE_POINTS] the token of each character, plus 1; NULL: bytes */
    int64_t unk;              /* stands for what has no token, or -1 */
    bool fuse_unk;            /* once for several in a row */
    struct mf_pair_map merges;
    struct mf_whole words; /* words that are tokens whatever the merges say (ignore_merges) */
    bool uncut;            /* some token joins what text could be cut between */
    int32_t glued[GLUED];  /* characters before which a mark does not begin a word */
    size_t n_glued;
    struct added *added;
    size_t n_added;
    struct added_index index[2]; /* early, late */
    struct mf_ids before, after; /* around each document */
    int64_t known[MF_SPECIALS];
    bool blank_lead, blanks_lead; /* a text's first token loses its first blank; all its first blanks */
    char sha256[65];
};

/* --- tokenizer.c --- */

int ids_append(struct mf_ids *ids, const uint32_t *from, size_t n, struct mf_err *err);

/* --- added.c --- */

struct match {
    const struct added *added; /* NULL: none */
    size_t begin, end;         /* of the text */
};

/* The first added token in text[from..size), early or late ones, the longest of those that begin at one
 * place; those that are special only with `special`. */
struct match added_find(const struct mf_tokenizer *t, bool late, bool special, const char *text, size_t size,
                        size_t from);

/* Puts t->added in order. */
void added_sort(struct mf_tokenizer *t);

/* --- spell.c --- */

/* The symbols that a word is spelled with: at most one for each byte. EX_DATAERR where there is none. */
int word_spell(const struct mf_tokenizer *t, const char *word, size_t size, uint32_t *ids, size_t *n,
               struct mf_err *err);

/* --- reading --- */

/* What decoders make of a token's text, before texts are joined. */
enum decode_kind { DECODE_REPLACE, DECODE_FALLBACK, DECODE_STRIP, DECODE_MARK };
struct decode_step {
    enum decode_kind kind;
    const char *pattern, *content; /* borrowed from the file */
    size_t pattern_size, content_size, start, stop;
};

#define DECODE_STEPS 16
struct reading {
    struct mf_tokenizer *t;
    const char *path;
    const json_t *vocab;
    struct mf_json_list merges; /* zero where the file has no list of them */
    struct mf_alphabet alphabet;
    struct decode_step decode[DECODE_STEPS];
    size_t n_decode;
    bool whole_words;     /* ignore_merges */
    struct mf_text bytes; /* of all tokens so far */
    struct mf_err *err;
};

int reading_bad(struct reading *r, const char *what, const char *name); /* EX_DATAERR */
int reading_unsupported(struct reading *r, const char *key, const json_t *part);
const char *reading_type(const json_t *part); /* "(none)" where it has none */
bool reading_absent(const json_t *part);      /* NULL or null */

/* A field that is true or false; as it was where the file leaves it out or has null there. */
int reading_flag(struct reading *r, const json_t *part, const char *key, bool *flag);

/* The list of a Sequence's parts. */
int reading_list(struct reading *r, const json_t *part, const char *key, const json_t **list);

/* An id that is a number below the vocabulary's size. */
int reading_id(struct reading *r, const char *token, const json_t *value, uint32_t *id);

/* A pattern {"String": ...} or {"Regex": ...}; new. */
int reading_pattern(struct reading *r, const json_t *value, struct mf_pattern **pattern);

/* The parts of the file; what we do not honour exactly is refused. */
int steps_normalizer(struct reading *r, const json_t *part);
int steps_pre_tokenizer(struct reading *r, const json_t *part);
int decoder_read(struct reading *r, const json_t *part);
int parts_check(struct reading *r, const json_t *root);
int parts_added(struct reading *r, const json_t *root);
int parts_around(struct reading *r, const json_t *root);
void parts_known(struct reading *r, const json_t *root);

/* Puts the text that decoders make of a token behind r->bytes, its size in *size. */
int decoder_put(struct reading *r, const char *text, size_t size, size_t *put);

/* The bytes of all tokens, then the merges. */
int vocab_read(struct reading *r, const json_t *model);
int vocab_merges(struct reading *r, const json_t *model);

#endif
