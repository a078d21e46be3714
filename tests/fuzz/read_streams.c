/* Streams. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "eval/dataset.h"
#include "io/stream.h"
#include "partition/near.h"
#include "train/data.h"
#include "cli/report_notes.h"

int read_stream(const char *path) {
    struct mf_err err = {0};
    struct mf_stream_reader *r;
    const struct mf_record *rec;
    if (check(mf_stream_open(&r, path, NULL, &err), &err) < 0) return -1;
    free(mf_record_json(mf_stream_header(r), &err));
    int more;
    while ((more = mf_stream_next(r, &rec, &err)) > 0) free(mf_record_json(rec, &err));
    mf_stream_close(r);
    return check(more, &err);
}

static int read_source(const char *path) {
    struct mf_err err = {0};
    struct mf_dataset *source;
    struct mf_token_doc doc;
    if (check(mf_dataset_open(&source, path, 0, "", &mf_specials_ours, "", &err), &err) < 0) return -1;
    int result = check(mf_dataset_sample(source, 40, &err), &err);
    while (result == 0 && mf_dataset_next(source, &doc, &err) > 0)
        if (doc.n > 40 || mf_dataset_last_domain(source) >= mf_dataset_domains(source)) abort();
    mf_dataset_close(source);
    return result;
}

int read_tokens(const char *path) {
    struct mf_err err = {0};
    struct mf_data data;
    struct mf_corpus corpus;
    struct mf_window_batch batch;
    int result = check(mf_data_load(&data, path, -1, CONTEXT, NULL, &err), &err);
    if (result == 0) {
        if (mf_window_batch_new(&batch, 2, CONTEXT, &err) < 0) abort();
        if (mf_data_read(&data, data.windows - 1, &batch, &err) < 0) abort();
        mf_window_batch_free(&batch);
        mf_data_free(&data);
    }
    if (check(mf_corpus_scan(&corpus, path, NULL, &err), &err) < 0) result = -1;
    mf_corpus_free(&corpus);
    return read_source(path) < 0 ? -1 : result;
}

int read_metrics(const char *path) {
    struct mf_err err = {0};
    int64_t peak = 0;
    json_t *trainings = json_array();
    int result = check(mf_report_training(path, trainings, &peak, &err), &err);
    json_decref(trainings);
    return result;
}

int read_partition(const char *path) {
    static const struct mf_sketch_term sketch = {.feature = 0, .weight = 1};
    static const struct mf_fact fact = {.fingerprint = 1, .difficulty = 3};
    struct mf_err err = {0};
    struct mf_partition p;
    struct mf_nearness *nearness;
    struct mf_near near[MF_NEAREST];
    struct mf_pool *pool;
    if (check(mf_partition_read(&p, path, &err), &err) < 0) return -1;
    if (mf_pool_new(&pool, 1, &err) < 0 || mf_nearness_new(&nearness, &p, 0, pool, &err) < 0) abort();
    size_t n = mf_nearness_find(nearness, &fact, &sketch, p.terms.count > 0, 0, MF_NEAREST, near);
    if (n == 0) abort();
    for (size_t i = 0; i < n; i++)
        if (near[i].partition >= p.E) abort();
    mf_nearness_free(nearness);
    mf_pool_free(pool);
    mf_partition_free(&p);
    return 0;
}
