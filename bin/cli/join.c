/* Joining streams: the first one's header, and the records of all. */
#include "cli/join.h"

static int copy_records(struct mf_stream_writer *w, struct mf_stream_reader *r, struct mf_err *err) {
    const struct mf_record *record;
    int more;
    while ((more = mf_stream_next(r, &record, err)) > 0)
        if (mf_stream_copy(w, record, err) < 0) return -1;
    return more;
}

static int add(struct mf_stream_writer *w, const char *path, const struct mf_stream_reader *first,
               struct mf_err *err) {
    struct mf_stream_reader *r;
    if (mf_stream_open(&r, path, NULL, err) < 0) return -1;
    int status = 0;
    if (!mf_record_same(mf_stream_header(first), mf_stream_header(r)))
        status = mf_err_set(err, EX_DATAERR, "%s: its header is not that of %s", path, mf_stream_name(first));
    if (status == 0) status = copy_records(w, r, err);
    mf_stream_close(r);
    return status;
}

static int write_all(struct mf_stream_writer *w, struct mf_stream_reader *first, const struct mf_strs *paths,
                     struct mf_err *err) {
    int status = copy_records(w, first, err);
    for (size_t i = 1; i < paths->count && status == 0; i++) status = add(w, paths->items[i], first, err);
    return status;
}

int mf_join(struct mf_out *out, const struct mf_strs *paths, struct mf_err *err) {
    struct mf_stream_reader *first;
    struct mf_stream_writer *w;
    if (mf_stream_open(&first, paths->items[0], NULL, err) < 0) return -1;
    int status = mf_stream_create_like(&w, out, mf_stream_header(first), err);
    if (status == 0) status = mf_stream_end(w, write_all(w, first, paths, err), err);
    mf_stream_close(first);
    return status;
}
