/* The best parameters so far, beside the checkpoint or in a scratch file. The process that writes no files
 * keeps none. */
#include "train/trainer_internal.h"

#include <stdlib.h>
#include <unistd.h>
#include "base/strings.h"
#include "io/file.h"

/* Owned. */
static char *best_path(const char *checkpoint) {
    return mf_format("%s.best", checkpoint);
}

int training_keep_best(struct training_loop *l, struct mf_err *err) {
    struct mf_train_arrays only = {l->t->tensors, l->t->count, NULL};
    if (l->checkpoint) {
        char *path = best_path(l->checkpoint);
        int status = mf_checkpoint_write(path, 0, l->t->identity, &l->state, &only, err);
        free(path);
        return status;
    }
    if (l->scratch < 0) return 0; /* another process keeps them */
    if (lseek(l->scratch, 0, SEEK_SET) < 0) return mf_err_sys(err, EX_IOERR, "scratch file");
    return mf_write_all(l->scratch, l->t->tensors[0].data, l->n * sizeof(float), "scratch file", err);
}

static int read_best(struct training_loop *l, const char *path, struct mf_err *err) {
    struct mf_train_arrays only = {l->t->tensors, l->t->count, NULL};
    struct mf_train_state state;
    if (mf_checkpoint_read(path, l->t->identity, &state, &only, err) < 0) return -1;
    if (state.step == l->state.best_step) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: of step %lld, not %lld", path, (long long)state.step,
                      (long long)l->state.best_step);
}

int training_take_best(struct training_loop *l, struct mf_err *err) {
    if (l->state.best_step < 0 || l->state.best_step == l->state.step) return 0;
    if (l->scratch >= 0)
        return mf_pread_all(l->scratch, l->t->tensors[0].data, l->n * sizeof(float), 0, "scratch file", err);
    if (!l->checkpoint) return 0;
    char *path = best_path(l->checkpoint);
    int status = read_best(l, path, err);
    free(path);
    return status;
}

void training_remove_best(const char *checkpoint) {
    mf_checkpoint_unlink(checkpoint, ".best");
}
