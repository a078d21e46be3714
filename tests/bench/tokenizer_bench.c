/* Speed of encoding and decoding in memory, on one thread: tokenizer_bench TOKENIZER DOCS
 * Prints "modularforge encode MB/s" and the same for decode, as tests/oracle/tokenizers.js does for others.
 */
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "cli/program.h"
#include "text/batch.h"
#include "text/tokenizer.h"

static void print_speed(const char *what, size_t bytes, double seconds) {
    printf("modularforge %s %f\n", what, (double)bytes / 1e6 / seconds);
}

static int measure(const struct mf_tokenizer *t, struct mf_encoder *e, const struct mf_docs_batch *batch,
                   struct mf_err *err) {
    struct mf_ids *ids = calloc(batch->count + 1, sizeof *ids);
    struct mf_text text = {0};
    size_t bytes = 0;
    int status = ids ? 0 : mf_err_set(err, EX_OSERR, "out of memory");
    double begin = mf_now();
    for (size_t i = 0; i < batch->count && status == 0; i++) {
        status = mf_encode(e, batch->docs[i].text, batch->docs[i].size, MF_SPECIAL_TEXT, &ids[i], err);
        bytes += batch->docs[i].size;
    }
    if (status == 0) print_speed("encode", bytes, mf_now() - begin);
    begin = mf_now();
    for (size_t i = 0; i < batch->count && status == 0; i++) {
        text.size = 0;
        status = mf_decode(t, ids[i].ids, ids[i].count, &text, err);
    }
    if (status == 0) print_speed("decode", bytes, mf_now() - begin);
    for (size_t i = 0; ids && i < batch->count; i++) free(ids[i].ids);
    free(ids);
    free(text.bytes);
    return status;
}

int main(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_tokenizer *t = NULL;
    struct mf_encoder *e = NULL;
    struct mf_stream_reader *docs = NULL;
    struct mf_docs_batch batch = {0};
    if (argc != 3) {
        fputs("usage: tokenizer_bench TOKENIZER DOCS\n", stderr);
        return EX_USAGE;
    }
    int status = mf_tokenizer_load(&t, argv[1], &err);
    if (status == 0) status = mf_encoder_new(&e, t, &err);
    if (status == 0) status = mf_stream_open(&docs, argv[2], "docs", &err);
    if (status == 0) status = mf_docs_batch_read(&batch, docs, SIZE_MAX, &err);
    if (status > 0) status = measure(t, e, &batch, &err);
    mf_docs_batch_free(&batch);
    mf_stream_close(docs);
    mf_encoder_free(e);
    mf_tokenizer_free(t);
    return status < 0 ? mf_fail("tokenizer_bench", &err) : 0;
}
