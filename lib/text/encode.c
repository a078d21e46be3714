/* Encoding batches of documents. */
#include "text/encode.h"

#include <stdatomic.h>
#include <stdlib.h>
#include "base/memory.h"
#include "base/pool.h"
#include "text/batch.h"

#define BATCH_BYTES ((size_t)2 << 20)

/* What is foreign text (encode.h). */
#define JUDGED_TOKENS   1000
#define MANY_TOKENS     (256 + MF_SPECIALS + 512)
#define BYTES_OF_MANY   1.35
#define BYTES_OF_OTHERS 1.15

/* Between batches a thread keeps no more than this for its tokens. */
#define KEPT_BYTES (4 * BATCH_BYTES)

/* What became of a document of the batch. */
struct encoded {
    int thread;
    size_t begin, size; /* of the thread's bytes */
    struct mf_err err;
};

struct worker {
    struct mf_encoder *encoder;
    struct mf_ids ids;     /* not yet among the bytes */
    unsigned char *bytes;  /* the tokens of all its documents of the batch, little-endian */
    size_t used, capacity; /* of bytes */
    size_t width;          /* bytes of a token */
};

struct mf_encoding {
    enum mf_special special;
    size_t vocabulary;
    uint64_t text, tokens; /* bytes and tokens of all documents so far */
    struct mf_pool *pool;
    size_t threads;
    struct worker *workers; /* [threads] */
    struct mf_docs_batch batch;
    const struct mf_doc *docs; /* [count] being encoded */
    size_t count;
    struct encoded *encoded; /* [capacity] */
    size_t capacity;
    atomic_size_t next;
};

/* Moves ids to the worker's bytes; drains its list (text/tokenizer.h). A document's tokens take their width
 * while they wait to be written, not the four bytes of an id. */
static int pack(void *context, struct mf_ids *ids, struct mf_err *err) {
    struct worker *w = context;
    size_t size = ids->count * w->width;
    if (w->capacity - w->used < size) {
        size_t capacity = 2 * w->capacity + size;
        unsigned char *grown = realloc(w->bytes, capacity);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for %zu bytes of tokens", capacity);
        w->bytes = grown;
        w->capacity = capacity;
    }
    for (size_t i = 0; i < ids->count; i++)
        for (size_t b = 0; b < w->width; b++) w->bytes[w->used++] = (unsigned char)(ids->ids[i] >> (8 * b));
    ids->count = 0;
    return 0;
}

int mf_encoding_new(struct mf_encoding **encoding, const struct mf_tokenizer *tokenizer,
                    enum mf_special special, int threads, struct mf_err *err) {
    struct mf_encoding *e = calloc(1, sizeof *e);
    if (e) e->workers = calloc((size_t)threads, sizeof *e->workers);
    if (!e || !e->workers) mf_no_memory();
    e->special = special;
    e->vocabulary = mf_tokenizer_size(tokenizer);
    e->threads = (size_t)threads;
    int status = mf_pool_new(&e->pool, threads, err);
    for (size_t t = 0; t < e->threads && status == 0; t++) {
        struct worker *w = &e->workers[t];
        w->ids = (struct mf_ids){.drain = pack, .context = w};
        w->width = (size_t)mf_tokens_header_of(tokenizer).width;
        status = mf_encoder_new(&w->encoder, tokenizer, err);
    }
    if (status < 0) mf_encoding_free(e);
    if (status == 0) *encoding = e;
    return status;
}

void mf_encoding_free(struct mf_encoding *e) {
    if (!e) return;
    for (size_t t = 0; t < e->threads; t++) {
        mf_encoder_free(e->workers[t].encoder);
        free(e->workers[t].ids.ids);
        free(e->workers[t].bytes);
    }
    free(e->workers);
    mf_pool_free(e->pool);
    free(e->encoded);
    mf_docs_batch_free(&e->batch);
    free(e);
}

static void encode_job(void *context, size_t begin, size_t end, int thread) {
    struct mf_encoding *e = context;
    struct worker *w = &e->workers[thread];
    (void)begin;
    (void)end;
    w->used = 0;
    for (size_t i; (i = atomic_fetch_add(&e->next, 1)) < e->count;) {
        const struct mf_doc *doc = &e->docs[i];
        struct encoded *to = &e->encoded[i];
        *to = (struct encoded){.thread = thread, .begin = w->used};
        w->ids.count = 0;
        if (mf_encode_document(w->encoder, doc->text, doc->size, e->special, &w->ids, &to->err) < 0) continue;
        if (pack(w, &w->ids, &to->err) == 0) to->size = w->used - to->begin;
    }
}

static int put(struct mf_encoding *e, size_t i, struct mf_stream_writer *tokens, struct mf_err *err) {
    const struct mf_doc *doc = &e->docs[i];
    const struct encoded *from = &e->encoded[i];
    if (from->err.status)
        return mf_err_set(err, from->err.status, "document %.*s: %s",
                          (int)(doc->id_size < 100 ? doc->id_size : 100), doc->id, from->err.text);
    struct mf_token_doc to = {doc->id, doc->domain, doc->id_size, doc->domain_size, .partition = -1};
    to.size = from->size;
    e->text += doc->size;
    e->tokens += to.size / e->workers[from->thread].width;
    if (to.size) to.bytes = e->workers[from->thread].bytes + from->begin;
    return mf_tokens_put(tokens, &to, err);
}

/* Large documents that different threads encode one after another are not held by each of them. */
static void shrink(struct mf_encoding *e) {
    for (size_t t = 0; t < e->threads; t++) {
        struct worker *w = &e->workers[t];
        if (w->capacity <= KEPT_BYTES) continue;
        free(w->bytes);
        w->bytes = NULL;
        w->capacity = w->used = 0;
    }
}

static int encode(struct mf_encoding *e, const struct mf_doc *docs, size_t count,
                  struct mf_stream_writer *tokens, struct mf_err *err) {
    if (count > e->capacity) {
        free(e->encoded);
        e->capacity = 2 * count;
        e->encoded = malloc(e->capacity * sizeof *e->encoded);
        if (!e->encoded) return mf_err_set(err, EX_OSERR, "out of memory for %zu documents", count);
    }
    e->docs = docs;
    e->count = count;
    atomic_store(&e->next, 0);
    mf_pool_run(e->pool, e->threads, 1, encode_job, e);
    for (size_t i = 0; i < count; i++)
        if (put(e, i, tokens, err) < 0) return -1;
    shrink(e);
    return 0;
}

int mf_encoding_stream(struct mf_encoding *e, struct mf_stream_reader *docs, struct mf_stream_writer *tokens,
                       void (*shown)(void *context, uint64_t documents), void *context, struct mf_err *err) {
    int more;
    while ((more = mf_docs_batch_read(&e->batch, docs, BATCH_BYTES, err)) > 0) {
        if (encode(e, e->batch.docs, e->batch.count, tokens, err) < 0) return -1;
        if (shown) shown(context, mf_stream_count(docs));
    }
    return more;
}

int mf_encoding_doc(struct mf_encoding *e, const struct mf_doc *doc, struct mf_stream_writer *tokens,
                    struct mf_err *err) {
    return encode(e, doc, 1, tokens, err);
}

bool mf_encoding_foreign(const struct mf_encoding *e, double *bytes) {
    const bool merges = e->vocabulary > 256 + MF_SPECIALS;
    if (e->tokens < JUDGED_TOKENS || !merges) return false;
    *bytes = (double)e->text / (double)e->tokens;
    return *bytes < (e->vocabulary >= MANY_TOKENS ? BYTES_OF_MANY : BYTES_OF_OTHERS);
}
