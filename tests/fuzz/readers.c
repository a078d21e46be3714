/* libFuzzer over every reader of files. Linked under the name of a reader it fuzzes that one (fuzz.sh does);
 * under any other name it lists them. Inputs are whole files; after each mutation their checksums are set
 * right, so that what is behind them is reached. */
#include <archive.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "cli/page.h"
#include "cli/prompts.h"
#include "cli/report.h"
#include "cli/report_notes.h"
#include "eval/dataset.h"
#include "cli/show.h"
#include "export/quant.h"
#include "import/base.h"
#include "io/gguf.h"
#include "io/sha256.h"
#include "io/stream.h"
#include "io/unpack.h"
#include "io/utf8.h"
#include "assemble/assemble.h"
#include "model/moe.h"
#include "partition/saved.h"
#include "text/select.h"
#include "text/tokenizer.h"
#include "train/checkpoint.h"
#include "train/data.h"

#define CONTEXT 8 /* as in fuzz.sh */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* A failure has a status of its own and a line of text without control characters. Returns the result. */
static int check(int result, const struct mf_err *err) {
    if (result >= 0) return result;
    if (err->status < EX__BASE || err->status > EX__MAX || !*err->text) abort();
    for (const char *c = err->text; *c; c++)
        if ((unsigned char)*c < 0x20) abort();
    return result;
}

/* Each reads a file as its programs do: 0 when nothing was wrong with it, else -1. */

/* --- streams --- */

static int read_stream(const char *path) {
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

static int read_tokens(const char *path) {
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

static int read_metrics(const char *path) {
    struct mf_err err = {0};
    int64_t peak = 0;
    json_t *trainings = json_array();
    int result = check(mf_report_training(path, trainings, &peak, &err), &err);
    json_decref(trainings);
    return result;
}

static int read_partition(const char *path) {
    static const uint32_t ids[] = {7, 80, 81, 7, 250};
    static const struct mf_sketch_term sketch = {.feature = 0, .weight = 1};
    struct mf_err err = {0};
    struct mf_partition p;
    if (check(mf_partition_read(&p, path, &err), &err) < 0) return -1;
    float *scores = calloc(p.E, sizeof *scores);
    for (uint64_t i = 0; i <= p.documents; i++) { /* those that are known, and another */
        struct mf_token_doc doc = {
            .tokens = ids, .n = 5, .fingerprint = i < p.documents ? p.fingerprints[i] : 1};
        if (mf_partition_place(&p, &doc, &sketch, p.terms.count > 0, 3, scores) >= p.E) abort();
    }
    free(scores);
    mf_partition_free(&p);
    return 0;
}

/* --- bundles and models --- */

static const struct mf_shape micro = {
    .V = 280, .D = 4, .H = 1, .L = 1, .F = 4, .S = CONTEXT}; /* as in fuzz.sh */

static int read_bundle(const char *path) {
    struct mf_err err = {0};
    struct mf_bundle *b;
    struct mf_component piece;
    size_t index;
    unsigned char bytes[100];
    if (mf_component_open(&piece, path, "expert", &err) == 0) mf_component_close(&piece);
    if (check(mf_bundle_open(&b, path, NULL, &err), &err) < 0) return -1;
    int more;
    while ((more = mf_bundle_next(b, &index, &err)) > 0) {
        size_t size = mf_tensor_bytes(mf_bundle_tensor(b, index));
        more = mf_bundle_read(b, bytes, size < sizeof bytes ? size : sizeof bytes, &err);
        if (more < 0) break;
    }
    mf_bundle_close(b);
    return check(more, &err);
}

static int read_checkpoint(const char *path) {
    struct mf_err err = {0};
    struct mf_train_state state;
    struct mf_tensor tensors[16];
    struct mf_moments moments[16];
    float parameters[256], m[256] = {0}, v[256] = {0};
    if (mf_ffn_size(&micro) > 256) abort();
    size_t count = mf_ffn_tensors(&micro, MF_FFN_EXPERT, 0, parameters, tensors);
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)((float *)tensors[i].data - parameters);
        moments[i] = (struct mf_moments){m + at, v + at};
    }
    const struct mf_train_arrays arrays = {tensors, count, moments};
    json_t *identity = json_object();
    int result = check(mf_checkpoint_read(path, identity, &state, &arrays, &err), &err);
    json_decref(identity);
    return result;
}

static struct mf_pool *the_pool(void) {
    static struct mf_pool *pool;
    struct mf_err err;
    if (!pool && mf_pool_new(&pool, 1, &err) < 0) abort();
    return pool;
}

/* Opens and runs it. */
static int run_model(const char *path, const char *expert) {
    static const size_t start[] = {0, 5, 6};
    const struct seqs seqs = {2, start};
    uint32_t tokens[6] = {2, 100, 101, 102, 3, 2}, targets[6] = {100, 101, 102, 3, 0, 0};
    double losses[6];
    const float *hidden;
    struct mf_err err = {0};
    struct mf_moe *moe;
    struct mf_moe_work *work = NULL;
    struct mf_pool *pool = the_pool();
    int result = check(mf_moe_open(&moe, path, expert, &(struct mf_moe_budget){0}, &err), &err);
    if (result < 0) return -1;
    for (size_t i = 0; i < 6; i++) tokens[i] %= moe->shape.V, targets[i] %= moe->shape.V;
    if (moe->shape.S >= 5) {
        result = mf_moe_work_new(&work, moe, 6, pool, &err);
        if (result == 0) result = mf_moe_forward(moe, work, tokens, &seqs, NULL, NULL, &hidden, &err);
        if (result == 0) result = mf_moe_losses(moe, work, hidden, targets, 6, losses, &err);
    }
    mf_moe_work_free(work);
    mf_moe_close(moe);
    return check(result, &err);
}

static int read_model(const char *path) {
    return run_model(path, NULL);
}

static int assemble(enum mf_assembly_kind kind, const struct mf_spool *pieces, size_t n) {
    static struct mf_config config;
    static const struct mf_settings settings = {.seed = -1};
    struct mf_err err = {0};
    struct mf_assembly a;
    struct mf_out *out;
    if (!config.model.d_model && mf_config_load(&config, &settings, &err) < 0) abort();
    config.model.top_k = 1;
    int result = mf_assembly_plan(&a, kind, &config, pieces, n, NULL, 0, &err);
    if (result == 0) {
        if (mf_out_open(&out, "/dev/null", &err) < 0) abort();
        result = mf_assembly_write(&a, the_pool(), out, &err);
        mf_out_abandon(out);
    }
    mf_assembly_free(&a);
    return check(result, &err);
}

static int read_shared(const char *path) {
    const struct mf_spool piece = {.path = path, .name = path, .fd = -1};
    return assemble(MF_ASSEMBLE_DENSE, &piece, 1);
}

/* With the shared bundle it was trained against. */
static int read_expert(const char *path) {
    const char *shared = getenv("MF_FUZZ_SHARED");
    if (!shared) abort();
    const struct mf_spool pieces[] = {{.path = shared, .name = shared, .fd = -1},
                                      {.path = path, .name = path, .fd = -1}};
    int result = assemble(MF_ASSEMBLE_MIXTURE, pieces, 2);
    if (assemble(MF_ASSEMBLE_AVERAGE, pieces, 2) < 0) result = -1;
    return run_model(shared, path) < 0 ? -1 : result;
}

static int take_value(void *context, const json_t *value, struct mf_err *err) {
    (void)err;
    *(size_t *)context += json_is_string(value) ? json_string_length(value) : 1;
    return 0;
}

/* All that is in it, and the numbers of tensors of the types that we know. */
static int read_gguf(const char *path) {
    struct mf_err err = {0};
    struct mf_gguf *g;
    size_t sum = 0;
    unsigned char bytes[136];
    float numbers[32];
    if (check(mf_gguf_open(&g, path, &err), &err) < 0) return -1;
    for (size_t i = 0; i < mf_gguf_key_count(g); i++) {
        const struct mf_gguf_key *key = mf_gguf_key(g, i);
        if (mf_gguf_find_key(g, key->name) != (int64_t)i) abort();
        if (mf_gguf_values(g, key, UINT64_MAX, take_value, &sum, &err) < 0) abort();
    }
    for (size_t i = 0; i < mf_gguf_tensor_count(g); i++) {
        const struct mf_gguf_tensor *t = mf_gguf_tensor(g, i);
        const struct mf_gguf_block *block = mf_gguf_block(t->type);
        if (mf_gguf_find_tensor(g, t->name) != (int64_t)i) abort();
        size_t size = t->bytes < block->bytes ? (size_t)t->bytes : block->bytes;
        if (block->values > 32 || size == 0) continue;
        if (mf_gguf_read(g, i, t->bytes - size, bytes, size, &err) < 0) abort();
        mf_quant_widen(numbers, bytes, block->values, t->type);
    }
    mf_gguf_close(g);
    return 0;
}

/* --- bases --- */

/* Through all that mf-import does, up to bytes that nobody keeps. */
static int import(const char *path) {
    struct mf_err err = {0};
    struct mf_base *base;
    struct mf_base_tokenizer tokenizer;
    struct mf_out *out;
    if (check(mf_base_open(&base, path, 0, &err), &err) < 0) return -1;
    if (mf_out_open(&out, "/dev/null", &err) < 0) abort();
    int result = mf_base_write_tokenizer(base, out, &tokenizer, &err);
    if (result == 0) result = mf_base_write(base, &tokenizer, out, &err);
    mf_out_abandon(out);
    mf_base_close(base);
    return check(result, &err);
}

static bool holds(const char *bytes, size_t n, const char *word) {
    return memmem(bytes, n, word, strlen(word)) != NULL;
}

/* A file of a folder whose others are good ones: which one it is, it says itself. */
static int read_base(const char *path) {
    static char folder[] = "/tmp/mf-fuzz-base.XXXXXX";
    static const char *const names[] = {"config.json", "tokenizer.json", "model.safetensors.index.json",
                                        "model-00001-of-00002.safetensors",
                                        "model-00002-of-00002.safetensors"};
    const char *good = getenv("MF_FUZZ_BASE");
    char bytes[32768], name[300], target[300];
    FILE *f = fopen(path, "r");
    if (!good || !f || (strchr(folder, 'X') && !mkdtemp(folder))) abort();
    size_t n = fread(bytes, 1, sizeof bytes, f), which = holds(bytes, n, "\"hidden_size\"")    ? 0
                                                         : holds(bytes, n, "\"added_tokens\"") ? 1
                                                         : holds(bytes, n, "\"weight_map\"")   ? 2
                                                                                               : 3;
    fclose(f);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        snprintf(target, sizeof target, "%s/%s", good, names[i]);
        if ((unlink(name) < 0 && errno != ENOENT) || symlink(i == which ? path : target, name) < 0) abort();
    }
    return import(folder);
}

static int show(const char *path) {
    int result = 0;
    for (int form = MF_SHOW_JSON; form <= MF_SHOW_STATS; form++) {
        const struct mf_show how = {(enum mf_show_form)form, -1, false};
        struct mf_err err = {0};
        struct mf_out *out;
        if (mf_out_open(&out, "/dev/null", &err) < 0) abort();
        if (check(mf_show_file(out, path, &how, &err), &err) < 0) result = -1;
        mf_out_abandon(out);
    }
    return result;
}

/* --- text --- */

static int read_tokenizer(const char *path) {
    static const char text[] = "a<bos>  b the\xff\0<pad>\xc3\xa4 12345   \r\n don't";
    struct mf_err err = {0};
    struct mf_tokenizer *t;
    struct mf_encoder *encoder;
    struct mf_ids ids = {0};
    struct mf_text back = {0};
    if (check(mf_tokenizer_load(&t, path, &err), &err) < 0) return -1;
    if (mf_encoder_new(&encoder, t, &err) < 0) abort();
    for (int special = MF_SPECIAL_TEXT; special <= MF_SPECIAL_ERROR; special++) {
        ids.count = 0;
        check(mf_encode_document(encoder, text, sizeof text - 1, (enum mf_special)special, &ids, &err), &err);
        for (size_t i = 0; i < ids.count; i++)
            if (ids.ids[i] >= mf_tokenizer_size(t)) abort();
        check(mf_decode(t, ids.ids, ids.count, &back, &err), &err);
    }
    free(ids.ids);
    free(back.bytes);
    mf_encoder_free(encoder);
    mf_tokenizer_free(t);
    return 0;
}

static int read_config(const char *path) {
    const struct mf_settings settings = {.config = path, .seed = -1};
    struct mf_config config;
    struct mf_err err = {0};
    return check(mf_config_load(&config, &settings, &err), &err);
}

static int look_at(void *context, const struct mf_doc *doc, enum mf_split split, struct mf_err *err) {
    (void)err;
    (void)split;
    *(uint64_t *)context += XXH64(doc->text, doc->size, 0) ^ XXH64(doc->id, doc->id_size, 0);
    return 0;
}

static int take(void *context, const struct mf_doc *doc, struct mf_err *err) {
    return mf_selection_add(context, doc, err);
}

static int read_documents(const char *path, enum mf_docs_format format) {
    struct mf_err err = {0};
    uint64_t sum = 0;
    struct mf_selection s = {.splitting = true,
                             .rule = {.fraction = {[MF_VAL] = 0.2, [MF_TEST] = 0.2}, .floor = 400},
                             .blocks = 8,
                             .max_chars = 60,
                             .context = &sum,
                             .take = look_at};
    const struct mf_docs_options o = {.format = format,
                                      .text_key = "text",
                                      .id_key = "id",
                                      .domain_key = "domain",
                                      .context = &s,
                                      .take = take};
    if (mf_copies_new(&s.copies, 0.8, 0, &err) < 0) abort();
    int result = mf_docs_read(path, &o, &err);
    if (result >= 0) result = mf_selection_end(&s, &err);
    result = check(result, &err);
    mf_selection_free(&s);
    mf_copies_free(s.copies);
    return result;
}

static int read_docs(const char *path) {
    return read_documents(path, MF_DOCS_AUTO);
}

static int read_jsonl(const char *path) {
    return read_documents(path, MF_DOCS_JSONL);
}

static int read_wikitext(const char *path) {
    return read_documents(path, MF_DOCS_WIKITEXT);
}

/* --- compression --- */

/* Bytes of memory that are read as a file. */
struct bytes {
    const uint8_t *data;
    size_t size;
    uint64_t at;
};

static int64_t read_bytes(void *context, void *buffer, size_t size, struct mf_err *err) {
    struct bytes *b = context;
    size_t left = b->size - (size_t)b->at, n = size < left ? size : left;
    (void)err;
    memcpy(buffer, b->data + b->at, n);
    b->at += n;
    return (int64_t)n;
}

#define PEEK 300

/* The digest of all that comes out, in blocks of `block` bytes. With `peek` what stands at the beginning of
 * each is looked at before. */
static int unpack(const uint8_t *data, size_t size, size_t block, bool peek, uint64_t *digest) {
    static uint8_t room[1 << 16];
    struct mf_err err = {0};
    struct bytes b = {data, size, 0};
    const struct mf_source source = {.read = read_bytes, .context = &b, .name = "input", .packed = &b.at};
    struct mf_unpack *u;
    const unsigned char *next;
    uint8_t ahead[PEEK];
    int64_t seen = 0, n;
    if (check(mf_unpack_open(&u, &source, MF_UNPACK_LAYERS, &err), &err) < 0) return -1;
    XXH64_state_t *state = XXH64_createState();
    XXH64_reset(state, 0);
    do {
        if (peek) seen = mf_unpack_peek(u, &next, PEEK, &err);
        if (seen > PEEK) seen = PEEK;
        if (seen > 0) memcpy(ahead, next, (size_t)seen);
        n = seen < 0 ? -1 : mf_unpack_read(u, room, block, &err);
        if (n >= 0 && (n < seen || (seen > 0 && memcmp(room, ahead, (size_t)seen) != 0))) abort();
        if (n > 0) XXH64_update(state, room, (size_t)n);
    } while (n > 0);
    *digest = XXH64_digest(state);
    XXH64_freeState(state);
    mf_unpack_close(u);
    return check((int)n, &err);
}

/* The same comes out whatever the size of the blocks. */
static int read_packed(const char *path) {
    static uint8_t data[1 << 16];
    uint64_t one, other;
    int fd = open(path, O_RDONLY);
    ssize_t size = read(fd, data, sizeof data);
    close(fd);
    if (size < 0) abort();
    int result = unpack(data, (size_t)size, 1 << 16, false, &one),
        again = unpack(data, (size_t)size, 1000, true, &other);
    if (result != again || (result == 0 && one != other)) abort();
    return result;
}

/* --- reports --- */

static int read_report(const char *path) {
    struct mf_err err = {0};
    char *page = NULL;
    size_t size;
    json_t *report = mf_report_read(path, &err);
    if (check(report ? 0 : -1, &err) < 0) return -1;
    mf_page_prepare(report);
    if (check(mf_page_script(&page, &size, report, &err), &err) < 0) abort();
    free(page);
    if (check(mf_page_make(&page, &size, report, NULL, &err), &err) < 0) abort();
    free(page);
    json_decref(report);
    return 0;
}

/* With itself, and with a good one. */
static int compare(const char *path) {
    const char *good = getenv("MF_FUZZ_REPORT");
    struct mf_err err = {0};
    json_t *a = mf_report_read(path, &err), *b = mf_report_read(good ? good : path, &err);
    FILE *f = fopen("/dev/null", "w");
    if (!f || !b) abort();
    if (a) mf_report_compare(f, a, a);
    if (a) mf_report_compare(f, a, b);
    if (a) mf_report_compare(f, b, a);
    fclose(f);
    json_decref(a);
    json_decref(b);
    return a ? 0 : -1;
}

/* --- prompts --- */

/* As the lines of standard input. */
static int read_prompts(const char *path) {
    struct mf_err err = {0};
    struct mf_prompts *p;
    const struct mf_strs none = {0};
    const char *text;
    size_t size;
    int fd = open(path, O_RDONLY), more;
    if (fd < 0 || dup2(fd, 0) < 0) abort();
    close(fd);
    if (mf_prompts_open(&p, &none, NULL, &err) < 0) abort();
    while ((more = mf_prompts_next(p, &text, &size, &err)) > 0) {
        json_decref(mf_utf8_json(text, size));
        if (memchr(text, '\n', size)) abort();
    }
    mf_prompts_close(p);
    return check(more, &err);
}

static int read_notes(const char *path) {
    struct mf_err err = {0};
    json_t *report = json_object(), *stages = json_array();
    int result = check(mf_report_calibration(path, report, &err), &err);
    check(mf_report_stage(path, stages, &err), &err);
    json_decref(report);
    json_decref(stages);
    return result;
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
    int (*read)(const char *path);
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
    {"gguf", read_gguf, NULL},
    {"base", read_base, NULL},
    {"base-gguf", import, NULL},
    {"show", show, NULL},
    {"tokenizer", read_tokenizer, NULL},
    {"config", read_config, NULL},
    {"docs", read_docs, mend_bundle},
    {"jsonl", read_jsonl, NULL},
    {"wikitext", read_wikitext, NULL},
    {"unpack", read_packed, NULL},
    {"report", read_report, NULL},
    {"compare", compare, NULL},
    {"prompts", read_prompts, NULL},
    {"notes", read_notes, NULL},
};

/* What libFuzzer does not hand from call to call: the reader, and some inputs that it found nothing wrong
 * with, the first ones and the last ones. */
#define GOOD 32
static const struct reader *reader;
static struct {
    uint8_t *bytes;
    size_t size;
} good[GOOD];
static size_t n_good;

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

static void keep(const uint8_t *data, size_t size) {
    size_t i = n_good < GOOD ? n_good : GOOD / 2 + n_good % (GOOD / 2);
    free(good[i].bytes);
    good[i].bytes = malloc(size + 1);
    if (!good[i].bytes) abort();
    if (size > 0) memcpy(good[i].bytes, data, size);
    good[i].size = size;
    n_good++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[32];
    int fd = file_of(data, size, path);
    if (reader->read(path) == 0) keep(data, size);
    close(fd);
    return 0;
}

/* Puts another number where msgpack has one: bytes alone seldom become a larger one. */
static size_t change_number(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    static const uint64_t numbers[] = {0,         1, 255, 65536, UINT32_MAX, INT64_MAX, UINT64_C(1) << 63,
                                       UINT64_MAX};
    size_t count = 0, at = 0;
    for (int pass = 0; pass < 2; pass++) {
        size_t wanted = count ? seed % count : 0;
        count = 0;
        for (size_t i = 0; i < size; i++)
            if (data[i] >= 0xcc && data[i] <= 0xd3 && count++ == wanted) at = i;
    }
    if (count == 0) return size;
    size_t width = (size_t)1 << ((data[at] - 0xcc) & 3), behind = at + 1 + width;
    if (behind > size || size - width + 8 > max_size) return size;
    uint64_t number = __builtin_bswap64(numbers[seed / 64 % (sizeof numbers / sizeof *numbers)]);
    memmove(data + at + 9, data + behind, size - behind);
    data[at] = seed & 32 ? 0xcf : 0xd3;
    memcpy(data + at + 1, &number, 8);
    return size - width + 8;
}

/* Half of all begin anew with a good input: an input of many mutations is refused for the first of them. Half
 * change a few bytes and no length. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    unsigned how = seed % 16;
    seed /= 16;
    size_t from = n_good ? seed % (n_good < GOOD ? n_good : GOOD) : 0;
    if (n_good && how & 1 && good[from].size <= max_size) {
        size = good[from].size;
        if (size > 0) memcpy(data, good[from].bytes, size);
    }
    if (how >= 8 && size > 0) {
        size_t at = seed / GOOD % size, n = 1 + seed % 8;
        LLVMFuzzerMutate(data + at, n < size - at ? n : size - at, n < size - at ? n : size - at);
    } else if (how < 2 && reader->mend == mend_stream) {
        size = change_number(data, size, max_size, seed);
    } else {
        size = LLVMFuzzerMutate(data, size, max_size);
    }
    if (reader->mend && seed % 8) reader->mend(data, size); /* the others see what a damaged file does */
    return size;
}
