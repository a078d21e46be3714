/* A trained component on disk: a shared or an expert bundle, opened and checked to belong where it is put. */
#ifndef MF_MODEL_COMPONENT_H
#define MF_MODEL_COMPONENT_H

#include "io/bundle.h"
#include "model/expert_attention.h"
#include "model/expert_head.h"
#include "model/low_rank.h"
#include "text/specials.h"

struct mf_component {
    struct mf_bundle *bundle; /* its manifest is read, its tensors are not */
    struct mf_shape shape;
    const char *name; /* the file, for messages; the bundle's */
    char hash[65];    /* mf_bundle_hash */
    struct mf_specials specials;
    char tokenizer[65];          /* SHA-256 of the tokenizer.json it was trained with */
    char shared[65];             /* an expert's: the hash of the shared bundle it was trained against */
    struct mf_low_rank low_rank; /* an expert's: of the changes to the shared bundle's FFN that it is */
    size_t head;                 /* an expert's: the rank of its own head */
    bool attention;              /* an expert's: it has queries and outputs of its own */
};

/* Opens a bundle of kind "shared" or "expert". EX_NOINPUT; EX_DATAERR: another kind, a malformed manifest. */
int mf_component_open(struct mf_component *component, const char *path, const char *kind, struct mf_err *err);
void mf_component_close(struct mf_component *component); /* of a zeroed one too */

/* Are the fields of a model's metadata that name its components (formats/model.md: `experts`,
 * `shared_trained`, `base`) of their types, as far as they are there? EX_DATAERR, naming the file. */
int mf_components_check(const json_t *metadata, const char *name, struct mf_err *err);

/* The tensors that a component of its kind and shape holds, token_counts last; new memory, freed by the
 * caller. And whether its manifest promises all before that: else EX_DATAERR. */
struct mf_tensor *mf_component_tensors(const struct mf_component *component, bool expert, size_t *count);
int mf_component_check(const struct mf_component *component, bool expert, struct mf_err *err);

/* Are all its tensors, but the counts, stored in BF16? */
bool mf_component_is_bf16(const struct mf_component *component);

/* EX_DATAERR unless the expert has the shared bundle's shape, tokenizer and special tokens and was trained
 * against it: names both files and both values. */
int mf_component_match(const struct mf_component *shared, const struct mf_component *expert,
                       struct mf_err *err);

/* EX_DATAERR unless the tokenizer is the component's. `name` is the file that was made with it. */
int mf_component_tokenizer(const struct mf_component *component, const char *tokenizer, const char *name,
                           struct mf_err *err);

#endif
