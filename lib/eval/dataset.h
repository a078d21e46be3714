/* Documents of tokens to measure on: a tokens stream read once, or a bounded sample of it that can be read
 * again.
 *
 * A sample is the documents with the lowest hash of their id, as many as fit: it does not depend on the order
 * of the stream, and takes from every domain what that domain has. */
#ifndef MF_EVAL_DATASET_H
#define MF_EVAL_DATASET_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "text/specials.h"
#include "text/tokens.h"

#define MF_DATASET_DOMAINS 256 /* distinct names kept; what comes after shares the last one, "(other)" */

struct mf_dataset;

/* Opens a tokens stream (NULL or "-": standard input). EX_NOINPUT; EX_DATAERR: not a tokens stream; its
 * vocab_size is above V, or its tokenizer is not `tokenizer_sha256`, or its special tokens are not `specials`
 * (both named; an empty hash is not compared). `model` is the name they come from, for messages. V = 0 takes
 * any vocabulary. */
int mf_dataset_open(struct mf_dataset **dataset, const char *path, size_t V, const char *tokenizer_sha256,
                    const struct mf_specials *specials, const char *model, struct mf_err *err);

/* Reads the stream to its end and keeps a sample of at most `max_tokens` tokens (at least 2; the last
 * document is cut to fit) of the documents that hold a target. Takes memory for two such samples and one
 * document. Afterwards the documents come in the stream's order and mf_dataset_rewind works. To be called
 * before the first mf_dataset_next. EX_DATAERR as for reading. */
int mf_dataset_sample(struct mf_dataset *dataset, size_t max_tokens, struct mf_err *err);

/* To be called before: where a stream has more than max_tokens, the longest documents are cut first, to their
 * beginnings, down to the `documents`th part of max_tokens, so that no long one stands for all. */
#define MF_DATASET_SPREAD 16
void mf_dataset_spread(struct mf_dataset *dataset, size_t documents);

/* To be called before: hashes have this seed, else 0; another one chooses other documents. */
void mf_dataset_seed(struct mf_dataset *dataset, uint64_t seed);

/* Starts again with the first document: of a sample always, of a stream only when it is a file (it is opened
 * again), else EX_USAGE. */
int mf_dataset_rewind(struct mf_dataset *dataset, struct mf_err *err);

/* Divides a sample's documents to two halves: by a bit of the hash of their ids, then, while one has less
 * than a third of the tokens, by moving documents in the order of their hashes as far as that brings the
 * halves nearer. So both have a document where there are two; a single one is cut after a window of S
 * inputs. It follows from the documents alone. The result says whether there are two halves, and else why
 * not: the sample was cut by its limit (max_tokens), or all there is is too small. */
enum mf_dataset_halves { MF_DATASET_HALVES, MF_DATASET_CUT, MF_DATASET_SMALL };
enum mf_dataset_halves mf_dataset_halve(struct mf_dataset *dataset, size_t S);

/* To be called after that: adds documents that change their subject to the second half. Each has the
 * beginning of one of its documents and then as much from the midst of another, of another partition where
 * both say theirs, half a window of S inputs of each. They come to `share` of that half's tokens, or to fewer
 * where it has no more pairs. Returns how many there are. */
size_t mf_dataset_mix(struct mf_dataset *dataset, size_t S, double share);

/* From now on a sample's documents come in part: all, or one of the halves that mf_dataset_halve made.
 * Rewinds.
 */
enum mf_dataset_part { MF_DATASET_ALL, MF_DATASET_HALF, MF_DATASET_OTHER_HALF };
void mf_dataset_select(struct mf_dataset *dataset, enum mf_dataset_part part);

/* Divides a sample's documents to slices, in the order of their hashes: the first has at least so many tokens
 * and documents, where there are as many; each other one makes those before it half as large again, and the
 * last is what remains. So the slices before any are a sample of their own. Returns how many there are, at
 * least 1; of a stream, 1. */
size_t mf_dataset_slice(struct mf_dataset *dataset, size_t tokens, size_t documents);

/* From now on a sample's documents come of the slices `from` to `to` - 1 only. Rewinds. */
void mf_dataset_range(struct mf_dataset *dataset, size_t from, size_t to);

/* From now on only documents whose records say that they are of this partition come (-1: all). Rewind before
 * the next. */
void mf_dataset_of_partition(struct mf_dataset *dataset, int64_t partition);

/* What the documents come to that have something to predict, in tokens as the stream holds them, those at
 * documents' ends too. Of a sample: what its range of slices holds, and of how much; of a stream: both what
 * has been read since it was opened or rewound. */
struct mf_dataset_extent {
    uint64_t tokens, documents, of_tokens, of_documents;
};
struct mf_dataset_extent mf_dataset_extent(const struct mf_dataset *dataset);

/* The next document, borrowed until the next call: 1, or 0 at the end, or -1 (EX_DATAERR: malformed, a token
 * outside the vocabulary). Those of a sample have no record and no bytes, and stay until the dataset is
 * closed.
 */
int mf_dataset_next(struct mf_dataset *dataset, struct mf_token_doc *doc, struct mf_err *err);

/* The number of its domain. */
size_t mf_dataset_last_domain(const struct mf_dataset *dataset);

/* The domains met so far, in order of their first appearance; a document without one has the name "(none)".
 */
size_t mf_dataset_domains(const struct mf_dataset *dataset);

/* A domain's name: borrowed, cleaned to one line of UTF-8. */
const char *mf_dataset_domain(const struct mf_dataset *dataset, size_t i);

const char *mf_dataset_name(const struct mf_dataset *dataset);
void mf_dataset_close(struct mf_dataset *dataset); /* accepts NULL */

#endif
