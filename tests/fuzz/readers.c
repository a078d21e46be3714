/* libFuzzer over every reader of files. Linked under the name of a reader it fuzzes that one (fuzz.sh does);
 * under any other name it lists them. Inputs are whole files; after each mutation their checksums are set
 * right, so that what is behind them is reached. */
#include <archive.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "eval/page.h"
#include "eval/report.h"
#include "eval/report_notes.h"
#include "eval/source.h"
#include "io/show.h"
#include "io/stream.h"
#include "model/assemble.h"
#include "model/moe.h"
#include "part/saved.h"
#include "text/select.h"
#include "text/tokenizer.h"
#include "train/checkpoint.h"
#include "train/data.h"

#define CONTEXT 8 /* as in fuzz.sh */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* A failure has a status of its own and a line of text without control characters. */
static void check_error(int result, const struct mf_err *err) {
    if (result >= 0) return;
    if (err->status < EX__BASE || err->status > EX__MAX || !*err->text) abort();
    for (const char *c = err->text; *c; c++)
        if ((unsigned char)*c < 0x20) abort();
}

/* --- streams --- */

static void read_stream(const char *path) {
    struct mf_err err = {0};
    struct mf_stream_reader *r;
    const struct mf_record *rec;
    int more = mf_stream_open(&r, path, NULL, &err);
    check_error(more, &err);
    if (more < 0) return;
    free(mf_record_json(mf_stream_header(r), &err));
    while ((more = mf_stream_next(r, &rec, &err)) > 0) free(mf_record_json(rec, &err));
    check_error(more, &err);
    mf_stream_close(r);
}

static void read_tokens(const char *path) {
    struct mf_err err = {0};
    struct mf_data data;
    struct mf_corpus corpus;
    struct mf_source *source;
    struct mf_token_doc doc;
    struct mf_window_batch batch;
    int result = mf_data_load(&data, path, -1, CONTEXT, &err);
    check_error(result, &err);
    if (result == 0) {
        if (mf_window_batch_new(&batch, 2, CONTEXT, &err) < 0) abort();
        if (mf_data_read(&data, data.windows - 1, &batch, &err) < 0) abort();
        mf_window_batch_free(&batch);
        mf_data_free(&data);
    }
    check_error(mf_corpus_scan(&corpus, path, NULL, &err), &err);
    mf_corpus_free(&corpus);
    result = mf_source_open(&source, path, 0, "", "", &err);
    check_error(result, &err);
    if (result < 0) return;
    result = mf_source_sample(source, 40, &err);
    check_error(result, &err);
    while (result == 0 && mf_source_next(source, &doc, &err) > 0)
        if (doc.n > 40 || doc.domain >= mf_source_domains(source)) abort();
    mf_source_close(source);
}

static void read_metrics(const char *path) {
    struct mf_err err = {0};
    int64_t peak = 0;
    json_t *trainings = json_array();
    check_error(mf_report_training(path, trainings, &peak, &err), &err);
    json_decref(trainings);
}

static void read_partition(const char *path) {
    static const uint32_t ids[] = {7, 80, 81, 7, 250};
    struct mf_err err = {0};
    struct mf_partition p;
    int result = mf_partition_read(&p, path, &err);
    check_error(result, &err);
    if (result < 0) return;
    float *scores = calloc(p.E, sizeof *scores);
    struct mf_sketch_term sketch = {.feature = 0, .weight = 1};
    for (uint64_t print = 0; print < 2; print++) {
        struct mf_document doc = {.ids = ids,
                                  .count = 5,
                                  .print = print         ? print
                                           : p.documents ? *p.prints
                                                         : 0};
        if (mf_partition_place(&p, &doc, &sketch, p.terms.count > 0, 3, scores) >= p.E) abort();
    }
    free(scores);
    mf_partition_free(&p);
}

/* --- bundles and models --- */

static const struct mf_shape micro = {
    .V = 280, .D = 4, .H = 1, .L = 1, .F = 4, .S = CONTEXT}; /* as in fuzz.sh */

static void read_bundle(const char *path) {
    struct mf_err err = {0};
    struct mf_bundle *b;
    struct mf_piece piece;
    size_t index;
    unsigned char bytes[100];
    int more = mf_bundle_open(&b, path, NULL, &err);
    check_error(more, &err);
    if (more < 0) return;
    while ((more = mf_bundle_next(b, &index, &err)) > 0) {
        size_t size = mf_tensor_bytes(mf_bundle_tensor(b, index));
        more = mf_bundle_read(b, bytes, size < sizeof bytes ? size : sizeof bytes, &err);
        if (more < 0) break;
    }
    check_error(more, &err);
    mf_bundle_close(b);
    if (mf_piece_open(&piece, path, "expert", &err) == 0) mf_piece_close(&piece);
}

static void read_checkpoint(const char *path) {
    struct mf_err err = {0};
    struct mf_train_state state;
    struct mf_tensor tensors[16];
    float parameters[256], m[256], v[256];
    if (mf_ffn_size(&micro) > 256) abort();
    struct mf_train_arrays arrays = {tensors, mf_ffn_tensors(&micro, MF_FFN_EXPERT, 0, parameters, tensors),
                                     m, v};
    json_t *identity = json_object();
    check_error(mf_checkpoint_read(path, identity, &state, &arrays, &err), &err);
    json_decref(identity);
}

/* Opens and runs it. */
static void run_model(const char *path, const char *expert) {
    static struct mf_pool *pool;
    static const size_t start[] = {0, 5, 5 + 1};
    const struct seqs seqs = {2, start};
    uint32_t tokens[6] = {2, 100, 101, 102, 3, 2}, targets[6] = {100, 101, 102, 3, 0, 0};
    double losses[6];
    const float *hidden;
    struct mf_err err = {0};
    struct mf_moe *moe;
    struct mf_moe_work *work = NULL;
    if (!pool && mf_pool_new(&pool, 1, &err) < 0) abort();
    int result = mf_moe_open(&moe, path, expert, 0, &err);
    check_error(result, &err);
    if (result < 0) return;
    for (size_t i = 0; i < 6; i++) tokens[i] %= moe->shape.V, targets[i] %= moe->shape.V;
    if (moe->shape.S >= 5) {
        result = mf_moe_work_new(&work, moe, 6, pool, &err);
        if (result == 0) result = mf_moe_forward(moe, work, tokens, &seqs, NULL, NULL, &hidden, &err);
        if (result == 0) result = mf_moe_losses(moe, work, hidden, targets, 6, losses, &err);
        check_error(result, &err);
    }
    mf_moe_work_free(work);
    mf_moe_close(moe);
}

static void read_model(const char *path) {
    run_model(path, NULL);
}

static void assemble(enum mf_assembly_kind kind, const struct mf_spool *pieces, size_t n) {
    static struct mf_config config;
    static const struct mf_common common = {.seed = -1};
    struct mf_err err = {0};
    struct mf_assembly a;
    struct mf_out *out;
    if (!config.model.d_model && mf_config_load(&config, &common, &err) < 0) abort();
    config.model.top_k = 1;
    int result = mf_assembly_plan(&a, kind, &config, pieces, n, NULL, 0, &err);
    if (result == 0) {
        if (mf_out_open(&out, "/dev/null", &err) < 0) abort();
        result = mf_assembly_write(&a, out, &err);
        mf_out_abandon(out);
    }
    check_error(result, &err);
    mf_assembly_free(&a);
}

static void read_shared(const char *path) {
    const struct mf_spool piece = {.path = path, .name = path, .fd = -1};
    assemble(MF_ASSEMBLE_DENSE, &piece, 1);
}

/* With the shared bundle it was trained against. */
static void read_expert(const char *path) {
    const char *shared = getenv("MF_FUZZ_SHARED");
    if (!shared) abort();
    const struct mf_spool pieces[] = {{.path = shared, .name = shared, .fd = -1},
                                      {.path = path, .name = path, .fd = -1}};
    assemble(MF_ASSEMBLE_MIXTURE, pieces, 2);
    assemble(MF_ASSEMBLE_AVERAGE, pieces, 2);
    run_model(shared, path);
}

static void show(const char *path) {
    for (int form = MF_SHOW_JSON; form <= MF_SHOW_STATS; form++) {
        const struct mf_show how = {(enum mf_show_form)form, -1, false};
        struct mf_err err = {0};
        struct mf_out *out;
        if (mf_out_open(&out, "/dev/null", &err) < 0) abort();
        check_error(mf_show_file(out, path, &how, &err), &err);
        mf_out_abandon(out);
    }
}

/* --- text --- */

static void read_tokenizer(const char *path) {
    static const char text[] = "a<bos>  b the\xff\0<pad>\xc3\xa4 12345   \r\n don't";
    struct mf_err err = {0};
    struct mf_tokenizer *t;
    struct mf_encoder *encoder;
    struct mf_ids ids = {0};
    struct mf_text back = {0};
    int result = mf_tokenizer_load(&t, path, &err);
    check_error(result, &err);
    if (result < 0) return;
    if (mf_encoder_new(&encoder, t, &err) < 0) abort();
    for (int special = MF_SPECIAL_TEXT; special <= MF_SPECIAL_ERROR; special++) {
        ids.count = 0;
        check_error(mf_encode_document(encoder, text, sizeof text - 1, (enum mf_special)special, &ids, &err),
                    &err);
        for (size_t i = 0; i < ids.count; i++)
            if (ids.ids[i] >= mf_tokenizer_size(t)) abort();
        check_error(mf_decode(t, ids.ids, ids.count, &back, &err), &err);
    }
    free(ids.ids);
    free(back.bytes);
    mf_encoder_free(encoder);
    mf_tokenizer_free(t);
}

static void read_config(const char *path) {
    const struct mf_common common = {.config = path, .seed = -1};
    struct mf_config config;
    struct mf_err err = {0};
    check_error(mf_config_load(&config, &common, &err), &err);
}

static int count_document(void *context, const struct mf_doc *doc, enum mf_split split, struct mf_err *err) {
    (void)err;
    (void)split;
    *(uint64_t *)context += XXH64(doc->text, doc->size, 0) ^ XXH64(doc->id, doc->id_size, 0);
    return 0;
}

static int select_document(void *context, const struct mf_doc *doc, struct mf_err *err) {
    return mf_selection_add(context, doc, err);
}

static void read_documents(const char *path, enum mf_docs_format format) {
    struct mf_err err = {0};
    uint64_t sum = 0;
    struct mf_selection s = {.max_chars = 60, .context = &sum, .take = count_document};
    const struct mf_docs_options o = {.format = format,
                                      .text_key = "text",
                                      .id_key = "id",
                                      .domain_key = "domain",
                                      .context = &s,
                                      .take = select_document};
    if (mf_copies_new(&s.copies, 0.8, &err) < 0) abort();
    check_error(mf_docs_read(path, &o, &err), &err);
    mf_copies_free(s.copies);
}

static void read_docs(const char *path) {
    read_documents(path, MF_DOCS_AUTO);
}

static void read_jsonl(const char *path) {
    read_documents(path, MF_DOCS_JSONL);
}

static void read_wikitext(const char *path) {
    read_documents(path, MF_DOCS_WIKITEXT);
}

/* --- reports --- */

static void read_report(const char *path) {
    struct mf_err err = {0};
    char *page = NULL;
    size_t size;
    json_t *report = mf_report_read(path, &err);
    check_error(report ? 0 : -1, &err);
    if (!report) return;
    FILE *f = open_memstream(&page, &size);
    mf_page_write(f, report);
    fclose(f);
    free(page);
    json_decref(report);
}

static void read_notes(const char *path) {
    struct mf_err err = {0};
    json_t *report = json_object(), *stages = json_array();
    check_error(mf_report_calibration(path, report, &err), &err);
    check_error(mf_report_stage(path, stages, &err), &err);
    json_decref(report);
    json_decref(stages);
}

/* --- checksums --- */

/* A file without a name that holds these bytes. */
static int file_of(const uint8_t *data, size_t size, char path[32]) {
    int fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

/* Where `what` stands last, or -1. */
static int64_t find_last(const uint8_t *data, size_t size, const char *what, size_t n) {
    for (size_t i = size; i-- > 0;)
        if (size - i >= n && memcmp(data + i, what, n) == 0) return (int64_t)i;
    return -1;
}

/* The trailer of a stream: the number of records, where it takes one byte, and the hash. */
static void mend_stream(uint8_t *data, size_t size) {
    static const char end[] = "\x82\xa3"
                              "end",
                      hash[] = "\xa5xxh64\xb0";
    int64_t at = find_last(data, size, end, sizeof end - 1),
            digits = find_last(data, size, hash, sizeof hash - 1);
    if (at < 0 || digits < at || size - (size_t)digits < sizeof hash - 1 + 16) return;
    char text[17], path[32];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)XXH64(data, (size_t)at, 0));
    memcpy(data + digits + sizeof hash - 1, text, 16);
    if (digits - at != sizeof end) return;
    struct mf_err err = {0};
    struct mf_stream_reader *r;
    const struct mf_record *rec;
    int fd = file_of(data, size, path);
    if (mf_stream_open(&r, path, NULL, &err) == 0) {
        while (mf_stream_next(r, &rec, &err) > 0) continue;
        if (mf_stream_count(r) < 128) data[digits - 1] = (uint8_t)mf_stream_count(r);
        mf_stream_close(r);
    }
    close(fd);
}

/* The sums of a tar's headers, and the SHA-256 that a bundle's manifest gives of its tensors. */
static void mend_bundle(uint8_t *data, size_t size) {
    char path[32];
    struct mf_err err = {0};
    struct mf_bundle *b;
    size_t index, from = 0;
    for (uint8_t *h = data; h + 512 <= data + size; h += 512) {
        unsigned sum = 8 * ' ';
        if (memcmp(h + 257, "ustar", 5) != 0) continue;
        for (int i = 0; i < 512; i++) sum += i < 148 || i >= 156 ? h[i] : 0;
        char text[8];
        snprintf(text, sizeof text, "%06o", sum & 0777777);
        memcpy(h + 148, text, 7);
        h[155] = ' ';
    }
    int fd = file_of(data, size, path);
    if (mf_bundle_open(&b, path, NULL, &err) == 0) {
        const json_t *list = json_object_get(mf_bundle_meta(b), "tensors");
        while (mf_bundle_next(b, &index, &err) > 0) {
            struct mf_sha256 *sha = mf_sha256_new();
            size_t left = mf_tensor_bytes(mf_bundle_tensor(b, index));
            uint8_t bytes[512];
            for (size_t n; left > 0; left -= n) {
                n = left < sizeof bytes ? left : sizeof bytes;
                if (mf_bundle_read(b, bytes, n, &err) < 0 && left > n) break;
                mf_sha256_add(sha, bytes, n);
            }
            char right[65];
            const char *wrong = json_string_value(json_object_get(json_array_get(list, index), "sha256"));
            mf_sha256_end(sha, right);
            uint8_t *at = memmem(data + from, size - from, wrong, 64);
            if (!at) break;
            memcpy(at, right, 64);
            from = (size_t)(at - data) + 64;
        }
        mf_bundle_close(b);
    }
    close(fd);
}

/* --- libFuzzer --- */

static const struct reader {
    const char *name;
    void (*read)(const char *path);
    void (*mend)(uint8_t *data, size_t size);
} readers[] = {
    {"stream", read_stream, mend_stream},
    {"tokens", read_tokens, mend_stream},
    {"metrics", read_metrics, mend_stream},
    {"partition", read_partition, mend_stream},
    {"bundle", read_bundle, mend_bundle},
    {"checkpoint", read_checkpoint, mend_bundle},
    {"shared", read_shared, mend_bundle},
    {"expert", read_expert, mend_bundle},
    {"model", read_model, NULL},
    {"show", show, NULL},
    {"tokenizer", read_tokenizer, NULL},
    {"config", read_config, NULL},
    {"docs", read_docs, mend_bundle},
    {"jsonl", read_jsonl, NULL},
    {"wikitext", read_wikitext, NULL},
    {"report", read_report, NULL},
    {"notes", read_notes, NULL},
};
static const struct reader *reader; /* libFuzzer hands nothing from call to call */

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    const char *slash = strrchr((*argv)[0], '/'), *name = slash ? slash + 1 : (*argv)[0];
    size_t count = sizeof readers / sizeof *readers;
    for (size_t i = 0; i < count; i++)
        if (strcmp(readers[i].name, name) == 0) reader = &readers[i];
    for (size_t i = 0; i < count && !reader; i++) puts(readers[i].name);
    if (!reader) exit(0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[32];
    int fd = file_of(data, size, path);
    reader->read(path);
    close(fd);
    return 0;
}

/* Puts another number where msgpack has one: bytes alone seldom become a larger one. */
static size_t change_number(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    static const uint64_t numbers[] = {
        0, 1, 255, 65535, 1 << 24, UINT32_MAX, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX};
    size_t numbers_here = 0, at = 0;
    for (int pass = 0; pass < 2; pass++) {
        size_t wanted = numbers_here ? seed % numbers_here : 0;
        numbers_here = 0;
        for (size_t i = 0; i < size; i++)
            if (data[i] >= 0xcc && data[i] <= 0xd3 && numbers_here++ == wanted) at = i;
    }
    if (numbers_here == 0) return size;
    size_t width = (size_t)1 << ((data[at] - 0xcc) & 3), behind = at + 1 + width;
    if (behind > size || size - width + 8 > max_size) return size;
    uint64_t number = __builtin_bswap64(numbers[seed / 64 % (sizeof numbers / sizeof *numbers)]);
    memmove(data + at + 9, data + behind, size - behind);
    data[at] = 0xcf;
    memcpy(data + at + 1, &number, 8);
    return size - width + 8;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    if (reader->mend == mend_stream && seed % 16 == 1)
        size = change_number(data, size, max_size, seed / 16);
    else
        size = LLVMFuzzerMutate(data, size, max_size);
    if (reader->mend && seed % 8) reader->mend(data, size); /* the others see what a damaged file does */
    return size;
}
