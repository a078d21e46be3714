/* Writes metrics; after a resume, behind the ones that are still true. */
#include "train/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/clock.h"
#include "io/stream.h"

struct mf_metrics {
    struct mf_out *out;
    struct mf_stream_writer *writer;
};

/* Copies the records up to step `until`. The old stream ends anywhere: its writer was stopped. */
static int copy_old(struct mf_metrics *m, struct mf_stream_reader *old, int64_t until, struct mf_err *err) {
    const struct mf_record *rec;
    struct mf_err cut = {0};
    int64_t step;
    while (mf_stream_next(old, &rec, &cut) > 0 && mf_record_int(rec, "step", &step, &cut) > 0 &&
           step <= until)
        if (mf_stream_copy(m->writer, rec, err) < 0) return -1;
    return mf_err_forgive(&cut, EX_DATAERR, err);
}

int mf_metrics_open(struct mf_metrics **out, const char *path, int64_t keep_until, struct mf_err *err) {
    struct mf_metrics *m = calloc(1, sizeof *m);
    struct mf_stream_reader *old = NULL;
    struct mf_err absent = {0};
    if (!m) return mf_err_set(err, EX_OSERR, "out of memory");
    if (keep_until > 0 && access(path, R_OK) == 0 && mf_stream_open(&old, path, "metrics", &absent) < 0)
        old = NULL;
    int status = mf_err_forgive(&absent, EX_DATAERR, err);
    if (status == 0) status = mf_out_open(&m->out, path, err);
    if (status == 0) status = mf_stream_create(&m->writer, m->out, "metrics", 0, err);
    if (status == 0 && old) status = copy_old(m, old, keep_until, err);
    if (status == 0) status = mf_out_publish(m->out, err);
    mf_stream_close(old);
    if (status < 0) {
        mf_metrics_drop(m);
        return -1;
    }
    *out = m;
    return 0;
}

int mf_metrics_add(struct mf_metrics *m, const struct mf_metrics_record *r, struct mf_err *err) {
    bool validated = !isnan(r->val_loss);
    struct mf_stream_writer *w = m->writer;
    if (mf_stream_begin(w, validated ? 7 : 6, err) < 0) return -1;
    if (mf_put_int(w, "step", r->step, err) < 0 || mf_put_real(w, "loss", r->loss, err) < 0 ||
        mf_put_real(w, "lr", r->lr, err) < 0 || mf_put_real(w, "grad_norm", r->grad_norm, err) < 0)
        return -1;
    if (validated && mf_put_real(w, "val_loss", r->val_loss, err) < 0) return -1;
    if (mf_put_real(w, "tokens_per_s", r->tokens_per_s, err) < 0) return -1;
    if (mf_put_int(w, "peak_memory", (int64_t)mf_peak_memory(), err) < 0) return -1;
    return mf_out_flush(m->out, err);
}

int mf_metrics_finish(struct mf_metrics *m, struct mf_err *err) {
    struct mf_out *out = m->out;
    int status = mf_stream_finish(m->writer, err);
    free(m);
    return mf_out_end(out, status, err);
}

void mf_metrics_drop(struct mf_metrics *m) {
    if (!m) return;
    mf_stream_drop(m->writer);
    mf_out_abandon(m->out);
    free(m);
}
