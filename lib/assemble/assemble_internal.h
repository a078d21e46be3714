/* What planning an assembly (assemble.c), copying (assemble_copy.c) and making a router (assemble_router.c)
 * share, and the files beside them. */
#ifndef MF_ASSEMBLE_ASSEMBLE_INTERNAL_H
#define MF_ASSEMBLE_ASSEMBLE_INTERNAL_H

#include "assemble/assemble.h"

#define MF_ASSEMBLY_THREADS 4                   /* that copy; the disk is slower than more of them */
#define MF_ASSEMBLY_BUFFER  ((size_t)256 << 10) /* of each */

/* Is a tensor of a shared bundle, or of an expert's, part of the model? Of the shared ones all but the
 * temporary FFN's matrices are. */
bool mf_assembly_takes(const char *name, bool expert);

/* Does the file have, as the reference implementation's, the head beside the embedding that it is, and the
 * positions? */
bool mf_assembly_repeats(const struct mf_assembly *a);

/* The number of experts in the model: of a mixture's the last is the anchor, where there is one; of another
 * model it is the one FFN. */
size_t mf_assembly_experts(const struct mf_assembly *a);

/* Who is shown a tensor when its bundle is there: its numbers may be read, or left. 1: that is enough. */
typedef int mf_assembly_visit(void *context, struct mf_bundle *b, const struct mf_tensor *t,
                              struct mf_err *err);

/* Opens an expert's bundle again, or (NULL) the shared one, and shows each tensor in its order. EX_DATAERR
 * unless it still is what was planned with. 1 where it was enough. */
int mf_assembly_each(const struct mf_assembly *a, const struct mf_expert_entry *expert,
                     mf_assembly_visit *visit, void *context, struct mf_err *err);

/* Opens an expert's bundle, or (NULL) the shared one. EX_DATAERR unless it still is what was planned with. */
int mf_assembly_open(struct mf_component *p, const struct mf_assembly *a,
                     const struct mf_expert_entry *expert, struct mf_err *err);

/* --- assemble_tensors.c: the list of tensors --- */

/* The parts of the model that are copied, in file order; an expert's is MF_PART_EXPERTS + e. */
enum { MF_PART_SHARED, MF_PART_HEAD, MF_PART_POSITIONS, MF_PART_EXPERTS };

/* Appends a tensor of the model. */
int mf_assembly_add(struct mf_assembly *a, const struct mf_tensor *tensor, struct mf_err *err);

/* The tensors of an FFN by the names of its role; new. */
struct mf_tensor *mf_assembly_ffn(const struct mf_assembly *a, enum mf_ffn_role role, size_t *count);

/* Those of the shared bundle, without the dense FFN, in its order; then those of all experts, each in the
 * order of the bundle that its FFN comes from. */
int mf_assembly_add_shared(struct mf_assembly *a, const struct mf_component *shared, struct mf_err *err);
int mf_assembly_add_experts(struct mf_assembly *a, const struct mf_component *shared, struct mf_err *err);

/* --- assemble_metadata.c --- */

json_t *mf_assembly_metadata(const struct mf_assembly *a); /* of the model; new */

/* --- assemble_copy.c --- */

/* Writes all that comes from the components as it is, and keeps what the router needs. Of several failures it
 * tells the one that a single thread would have met. */
int mf_assembly_copy(struct mf_assembly *a, struct mf_pool *pool, struct mf_out *out, struct mf_err *err);

/* --- assemble_ffn.c: the shared bundle's FFN with an expert's changes --- */

/* Who is shown an FFN's numbers: [first, first + count) of tensor `index` of mf_ffn_tensors, tensor by tensor
 * in the order of the shared bundle; x may be changed. */
struct mf_ffn_visit {
    int (*show)(void *context, size_t index, size_t first, float *x, size_t count, struct mf_err *err);
    void *context;
    void *buffer; /* [MF_ASSEMBLY_BUFFER] */
    size_t slot;  /* of the scratch file, for what the router needs of the expert, or MF_NO_SLOT */
};
#define MF_NO_SLOT SIZE_MAX

/* Shows the dense FFN with an expert's changes of low rank added. */
int mf_assembly_changed(struct mf_assembly *a, const struct mf_expert_entry *expert,
                        const struct mf_ffn_visit *visit, struct mf_err *err);

/* --- assemble_average.c: the mean of the experts' FFNs --- */

/* Lists its tensors, those of expert 0, and writes them. */
int mf_average_add(struct mf_assembly *a, struct mf_err *err);
int mf_average_write(struct mf_assembly *a, struct mf_out *out, struct mf_err *err);

/* --- assemble_router.c --- */

/* Does the router score the tokens of the prefix? */
bool mf_assembly_has_token_scores(const struct mf_assembly *a);

/* Lists the router's tensors and those norms that no component brings. */
int mf_assembly_add_router(struct mf_assembly *a, struct mf_err *err);

/* EX_DATAERR unless the expert's bundle has the statistics that the gates are made from. */
int mf_assembly_expect_stats(const struct mf_assembly *a, const struct mf_bundle *b, struct mf_err *err);

/* Does the router need this tensor of an expert's bundle, or of the shared one's (expert = n_experts)? */
bool mf_assembly_keeps(const struct mf_assembly *a, const char *name);

/* Takes the bundle's current tensor into the scratch file, as F32 or I64; *data: its stored bytes, freed by
 * the caller. */
int mf_assembly_keep(struct mf_assembly *a, struct mf_bundle *b, const struct mf_tensor *t, size_t expert,
                     void **data, struct mf_err *err);

/* Reads what was kept of an expert, or (n_experts) of the shared bundle: its token counts begin at offset 0.
 */
int mf_assembly_read_slot(const struct mf_assembly *a, size_t expert, size_t offset, void *data, size_t bytes,
                          struct mf_err *err);

/* Writes the tensors that mf_assembly_add_router listed. */
int mf_assembly_write_router(struct mf_assembly *a, struct mf_out *out, struct mf_err *err);

/* --- assemble_scores.c --- */

/* Writes the scores [E,V] of all tokens. EX_IOERR. */
int mf_assembly_write_scores(const struct mf_assembly *a, struct mf_out *out, struct mf_err *err);

#endif
