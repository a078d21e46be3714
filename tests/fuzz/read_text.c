/* Tokenizers, configurations, documents, and what they are compressed by. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "config/config.h"
#include "io/unpack.h"
#include "text/select.h"
#include "text/shard.h"
#include "text/tokenizer.h"

/* --- text --- */

int read_tokenizer(const char *path) {
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

int read_config(const char *path) {
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

static int read_all_of(const char *path, bool shard, const struct mf_docs_options *o, struct mf_err *err) {
    struct mf_strs paths = {0};
    mf_strs_add(&paths, path);
    int status = shard ? mf_shards_order(&paths, err) : mf_docs_read(&paths, o, err);
    if (shard && status == 0) status = mf_shard_read(path, o, err);
    mf_strs_free(&paths);
    return status;
}

static int read_documents(const char *path, bool shard, enum mf_docs_format format) {
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
    int result = read_all_of(path, shard, &o, &err);
    if (result >= 0) result = mf_selection_end(&s, &err);
    result = check(result, &err);
    mf_selection_free(&s);
    mf_copies_free(s.copies);
    return result;
}

int read_docs(const char *path) {
    return read_documents(path, false, MF_DOCS_AUTO);
}

int read_shard(const char *path) {
    return read_documents(path, true, MF_DOCS_AUTO);
}

int read_jsonl(const char *path) {
    return read_documents(path, false, MF_DOCS_JSONL);
}

int read_wikitext(const char *path) {
    return read_documents(path, false, MF_DOCS_WIKITEXT);
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
    static uint8_t out[1 << 16];
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
        n = seen < 0 ? -1 : mf_unpack_read(u, out, block, &err);
        if (n >= 0 && (n < seen || (seen > 0 && memcmp(out, ahead, (size_t)seen) != 0))) abort();
        if (n > 0) XXH64_update(state, out, (size_t)n);
    } while (n > 0);
    *digest = XXH64_digest(state);
    XXH64_freeState(state);
    mf_unpack_close(u);
    return check((int)n, &err);
}

/* The same comes out whatever the size of the blocks. */
int read_packed(const char *path) {
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
