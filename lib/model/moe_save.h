/* Writing a model again with other norms, gates and router: everything else is copied byte for byte. */
#ifndef MF_MODEL_MOE_SAVE_H
#define MF_MODEL_MOE_SAVE_H

#include "io/file.h"
#include "model/moe.h"

/* Copies the assembled model that `moe` was opened from to `out`, with the small tensors and the router as
 * they are in memory. `calibration` (borrowed, may be NULL) becomes the metadata of that name. EX_DATAERR for
 * a bundle; EX_IOERR. */
int mf_moe_save(const struct mf_moe *moe, struct mf_out *out, const json_t *calibration, struct mf_err *err);

#endif
