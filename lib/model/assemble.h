/* Joining a shared foundation and experts into one model by streaming.
 *
 * Two passes over the pieces: the manifests decide whether they belong together and what the header says;
 * then every tensor is copied through one buffer. What the router is made of (token counts, statistics) goes
 * through a scratch file, so memory does not grow with the number of experts. */
#ifndef MF_MODEL_ASSEMBLE_H
#define MF_MODEL_ASSEMBLE_H

#include "io/file.h"
#include "model/config.h"
#include "model/piece.h"

/* One expert as the model's metadata name it. */
struct mf_expert_entry {
    const char *path; /* borrowed */
    char hash[65];
    int64_t partition; /* -1: the bundle does not say */
    int64_t documents, tokens;
};

struct mf_assembly {
    const struct mf_config *config;
    const char *shared_path; /* borrowed */
    char shared_hash[65], tokenizer[65];
    struct mf_shape shape;
    struct mf_expert_entry *experts; /* [n_experts] */
    size_t n_experts;
    struct mf_tensor *tensors; /* [count] of the model in file order */
    size_t count, room;
    int scratch; /* token counts and statistics of the experts, or -1 */
    unsigned char *buffer;
};

/* Opens every manifest and checks that the pieces fit; lists the model's tensors. EX_NOINPUT; EX_DATAERR: a
 * piece that does not belong, the same expert twice; EX_CONFIG: top_k above the number of experts. Freed by
 * mf_assembly_free, also after a failure. */
int mf_assembly_plan(struct mf_assembly *a, const struct mf_config *config, const char *shared,
                     const char *const *experts, size_t n_experts, struct mf_err *err);

/* Writes header and tensors. EX_DATAERR also when a tensor's bytes do not match its hash or a piece has
 * changed since the plan: then nothing that was written may be kept. */
int mf_assembly_write(struct mf_assembly *a, struct mf_out *out, struct mf_err *err);

void mf_assembly_free(struct mf_assembly *a);

#endif
