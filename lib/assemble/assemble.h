/* Joining a shared backbone and experts into one model by streaming.
 *
 * Two passes over the components: the manifests decide whether they belong together and what the header says;
 * then every tensor is copied, each thread's through a buffer of its own. What the router is made of (token
 * counts, statistics) goes through a scratch file, so memory does not grow with the number of experts. */
#ifndef MF_ASSEMBLE_ASSEMBLE_H
#define MF_ASSEMBLE_ASSEMBLE_H

#include "base/pool.h"
#include "io/file.h"
#include "io/spool.h"
#include "config/config.h"
#include "model/component.h"

/* One expert as the model's metadata name it. */
struct mf_expert_entry {
    const char *path, *name; /* borrowed */
    char hash[65];
    int64_t partition;           /* -1: the bundle does not say */
    json_t *trained;             /* what the model says of its training: counts and fingerprints; owned */
    struct mf_low_rank low_rank; /* R > 0: it is changes to the dense FFN */
    size_t head;                 /* rank of its own head in the model, or 0 */
    bool attention;              /* has queries and outputs of its own */
};

/* What becomes of the components. Dense and average have one expert and nothing to route: they are what a
 * mixture is compared with. */
enum mf_assembly_kind {
    MF_ASSEMBLE_MIXTURE, /* every expert, and a router */
    MF_ASSEMBLE_DENSE,   /* the shared bundle with its own dense FFN */
    MF_ASSEMBLE_AVERAGE, /* one FFN, the mean of the experts' weights */
};

struct mf_assembly {
    const struct mf_config *config;
    enum mf_assembly_kind kind;
    const char *shared_path, *shared_name; /* borrowed */
    char shared_hash[65], tokenizer[65];
    json_t *shared_trained;      /* as an expert's */
    json_t *base;                /* what the shared bundle was imported from; NULL: it was trained */
    struct mf_specials specials; /* of the first component that names them */
    const char *specials_from;   /* that component; borrowed */
    struct mf_shape shape;
    struct mf_expert_entry *experts; /* [n_experts] */
    size_t n_experts;                /* components; of the model only in a mixture */
    bool anchor;                     /* the dense FFN is one more expert of the model, the last */
    struct mf_tensor *tensors;       /* [count] of the model in file order */
    size_t count, capacity;
    uint64_t bytes;        /* of all of them */
    uint64_t *begin;       /* where in them each part that is copied begins, and the last one ends */
    int scratch;           /* token counts and statistics of the experts, or -1 */
    unsigned char *buffer; /* of each thread that copies */
};

/* Opens every manifest and checks that the components fit; lists the model's tensors.
 *   components  [n]           the shared bundle, then the experts; borrowed
 *   chosen  [n_chosen]    partitions: only their experts, in this order; NULL: all as they come
 * EX_NOINPUT; EX_DATAERR: a component that does not belong, the same expert twice, no expert of a partition;
 * EX_CONFIG: top_k above the number of experts. Freed by mf_assembly_free, also after a failure. */
int mf_assembly_plan(struct mf_assembly *a, enum mf_assembly_kind kind, const struct mf_config *config,
                     const struct mf_spool *components, size_t n, const int64_t *chosen, size_t n_chosen,
                     struct mf_err *err);

/* Writes header and tensors: to a file, several components at a time, the same bytes whatever the number of
 * threads. EX_DATAERR also when a tensor's bytes do not match its hash or a component has changed since the
 * plan: then nothing that was written may be kept. */
int mf_assembly_write(struct mf_assembly *a, struct mf_pool *pool, struct mf_out *out, struct mf_err *err);

void mf_assembly_free(struct mf_assembly *a);

#endif
