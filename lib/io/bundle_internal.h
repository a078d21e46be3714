/* What reading and writing bundles share. */
#ifndef MF_IO_BUNDLE_INTERNAL_H
#define MF_IO_BUNDLE_INTERNAL_H

#include "io/bundle.h"

#define MF_BUNDLE_VERSION 1
#define MF_MANIFEST       "manifest.json"
#define MF_MEMBER_NAME    (MF_TENSOR_NAME + 8)

/* The file of a mappable bundle, and where in it the current tensor begins, none of which has been read yet.
 */
const struct mf_in *mf_bundle_in(const struct mf_bundle *b);
uint64_t mf_bundle_place(const struct mf_bundle *b);

/* The tar member of a tensor: its name and ".f32", ".bf16" or ".i64". */
void mf_bundle_member(const struct mf_tensor *t, char name[MF_MEMBER_NAME]);

/* The tensor that mf_bundle_next moved to. */
const struct mf_tensor *mf_bundle_current(const struct mf_bundle *b);

#endif
