/* What ranks agree on. */
#include "train/ranks.h"

int64_t mf_ranks_most(const struct mf_ranks *r, int64_t value) {
    return -mf_ranks_least(r, -value);
}

int mf_ranks_agree(const struct mf_ranks *r, int status, struct mf_err *err) {
    int failed = (int)mf_ranks_least(r, status < 0 ? r->rank : r->count);
    if (failed == r->count) return status;
    if (failed > 0 && failed == r->rank) mf_err_set(err, err->status, "rank %d: %s", failed, err->text);
    mf_ranks_share(r, err, sizeof *err, failed);
    return -1;
}
