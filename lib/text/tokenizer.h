/* BPE: a vocabulary, its merges, and tokenizer.json (formats/tokenizer.md).
 *
 * In ours ids 0..3 are <pad> <unk> <bos> <eos>. Text is bytes. With byte-level BPE and no normalizer every
 * byte string encodes, and decodes to the same bytes. The text of a document never yields a special id unless
 * asked to. */
#ifndef MF_TEXT_TOKENIZER_H
#define MF_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* No vocabulary is larger. */
#define MF_VOCAB_LIMIT ((size_t)1 << 24)

enum mf_special_id { MF_PAD, MF_UNK, MF_BOS, MF_EOS, MF_SPECIALS };
extern const char *const mf_special_names[MF_SPECIALS]; /* "<pad>", ... */

/* What encoding does with the spelling of a special token inside a text. */
enum mf_special { MF_SPECIAL_TEXT, MF_SPECIAL_PARSE, MF_SPECIAL_ERROR };

struct mf_tokenizer;

/* Reads a tokenizer.json, ours or another BPE of the same layout: byte-level, or over characters with bytes
 * as the fallback. EX_NOINPUT; EX_DATAERR: malformed, a normalizer, model type, pre-tokenizer, decoder,
 * post-processor or setting we do not honour (named), a merge of no known form or of tokens that are not
 * there.
 */
int mf_tokenizer_load(struct mf_tokenizer **tokenizer, const char *path, struct mf_err *err);
void mf_tokenizer_free(struct mf_tokenizer *tokenizer); /* accepts NULL */

size_t mf_tokenizer_size(const struct mf_tokenizer *t); /* vocabulary */

/* SHA-256 of the file's bytes in hex: the tokenizer's identity. */
const char *mf_tokenizer_sha256(const struct mf_tokenizer *t);

/* The id of <pad>, <unk>, <bos> or <eos>, or -1 when this tokenizer has none. */
int64_t mf_tokenizer_special(const struct mf_tokenizer *t, enum mf_special_id special);
bool mf_tokenizer_is_special(const struct mf_tokenizer *t, uint32_t id);

/* The bytes of a token, borrowed from the tokenizer; nothing for a special token or an unknown id. */
void mf_tokenizer_bytes(const struct mf_tokenizer *t, uint32_t id, const char **bytes, size_t *size);

/* How many of a token's bytes are left out where it is the first of a text that has bytes: blanks that
 * encoding puts before a text. */
size_t mf_tokenizer_lead(const struct mf_tokenizer *t, uint32_t id);

/* A growing list of ids; zeroed at first, its memory freed by free(ids).
 * With `drain` the list stays short: where it holds MF_IDS_DRAIN ids it is handed over before more are added.
 * drain takes the ids and sets count to 0; -1 ends the encoding. */
#define MF_IDS_DRAIN ((size_t)16384)
struct mf_ids {
    uint32_t *ids;
    size_t count, capacity;
    int (*drain)(void *context, struct mf_ids *ids, struct mf_err *err); /* NULL: none */
    void *context;
};
int mf_ids_add(struct mf_ids *ids, uint32_t id, struct mf_err *err);

/* Working memory and word cache for encoding, one a thread. */
struct mf_encoder;
int mf_encoder_new(struct mf_encoder **encoder, const struct mf_tokenizer *t, struct mf_err *err);
void mf_encoder_free(struct mf_encoder *encoder); /* accepts NULL */

/* Appends the ids of `text`. Time n log n in the longest word. Added tokens that are not special are found in
 * it always. EX_DATAERR with MF_SPECIAL_ERROR when the text spells a special token, for a character that
 * neither has tokens nor an unknown token to stand for it, and where a pattern takes too many steps. */
int mf_encode(struct mf_encoder *encoder, const char *text, size_t size, enum mf_special special,
              struct mf_ids *ids, struct mf_err *err);

/* The same with what the tokenizer puts around a document: ours <bos> and <eos>, others' what their
 * post-processor says. */
int mf_encode_document(struct mf_encoder *encoder, const char *text, size_t size, enum mf_special special,
                       struct mf_ids *ids, struct mf_err *err);

/* A growing text; zeroed at first, its memory freed by free(bytes). */
struct mf_text {
    char *bytes;
    size_t size, capacity;
};
int mf_text_add(struct mf_text *text, const char *bytes, size_t size, struct mf_err *err);

/* Appends the bytes of `n` tokens; special tokens have none. Where the text is empty they begin it
 * (mf_tokenizer_lead). */
int mf_decode(const struct mf_tokenizer *t, const uint32_t *ids, size_t n, struct mf_text *text,
              struct mf_err *err);

#endif
