/* The special tokens' ids as files carry them: in a tokens stream's header as `bos`, `eos` and `pad`, in a
 * bundle's manifest and a model's metadata as the object `special_tokens` of these three; -1: no such token.
 *
 * Every token of a document but its first is a target, in training, evaluation and calibration alike, except
 * padding and a BOS in its midst. Where EOS is the same token as one of these it is a target, since it ends
 * documents. Generation draws what can be a target. */
#ifndef MF_TEXT_SPECIALS_H
#define MF_TEXT_SPECIALS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "io/stream.h"

struct mf_specials {
    int64_t pad, bos, eos;
    bool given; /* the file names at least one of the fields */
};

/* Those of our own tokenizers, and of bundles and models that say nothing. */
extern const struct mf_specials mf_specials_ours;

/* Those of a stream's header, each below the vocabulary's size V; absent fields are -1. EX_DATAERR, naming
 * the stream `name`. */
int mf_specials_read(struct mf_specials *specials, const struct mf_record *header, size_t V, const char *name,
                     struct mf_err *err);

/* Those of the object `special_tokens`; NULL (the file says nothing) gives mf_specials_ours. EX_DATAERR. */
int mf_specials_parse(struct mf_specials *specials, const json_t *object, size_t V, const char *name,
                      struct mf_err *err);
json_t *mf_specials_json(const struct mf_specials *specials); /* new */

bool mf_specials_equal(const struct mf_specials *a, const struct mf_specials *b);

/* EX_DATAERR where both files name them and one differs: "b.tar: pad is 0, not -1 as in a.tar". */
int mf_specials_match(const struct mf_specials *a, const char *a_name, const struct mf_specials *b,
                      const char *b_name, struct mf_err *err);

/* Can the token be a target, where it is not the first of its document? */
bool mf_specials_target(const struct mf_specials *specials, uint32_t token);

/* Has a document of these n tokens something to predict? */
bool mf_specials_predict(const struct mf_specials *specials, const uint32_t *tokens, size_t n);

/* The token that stands for nothing, whose embedding is zero and never learns: pad, unless documents begin or
 * end with it; -1: none. */
int64_t mf_specials_padding(const struct mf_specials *specials);

#endif
