/* Documents in a compressed scratch file: for each a header, then id, domain and text. */
#include "text/doc_spool.h"

#include <stdbool.h>
#include <stdlib.h>

#define LEVEL (-3) /* of zstd: half of the text, in half of level 1's time, which takes a third */
#define BLOCK ((size_t)64 << 10)

struct header {
    uint64_t id_size, domain_size, size, has_domain;
};

static int no_memory(struct mf_err *err) {
    return mf_err_set(err, EX_OSERR, "out of memory for documents that wait");
}

void mf_doc_spool_free(struct mf_doc_spool *s) {
    mf_spill_free(&s->spill);
    ZSTD_freeCCtx(s->writer);
    ZSTD_freeDCtx(s->reader);
    free(s->block);
    free(s->bytes);
    *s = (struct mf_doc_spool){0};
}

/* --- writing --- */

static int open_writer(struct mf_doc_spool *s, struct mf_err *err) {
    if (!s->block && !(s->block = malloc(BLOCK))) return no_memory(err);
    s->writer = ZSTD_createCCtx();
    if (!s->writer) return no_memory(err);
    ZSTD_CCtx_setParameter(s->writer, ZSTD_c_compressionLevel, LEVEL);
    return 0;
}

static int compress(struct mf_doc_spool *s, const void *bytes, size_t size, ZSTD_EndDirective end,
                    struct mf_err *err) {
    ZSTD_inBuffer in = {bytes, size, 0};
    size_t left;
    do {
        ZSTD_outBuffer out = {s->block, BLOCK, 0};
        left = ZSTD_compressStream2(s->writer, &out, &in, end);
        if (ZSTD_isError(left)) return no_memory(err); /* nothing else can go wrong */
        if (out.pos && mf_spill_append(&s->spill, s->block, out.pos, err) < 0) return -1;
    } while (end == ZSTD_e_end ? left > 0 : in.pos < in.size);
    return 0;
}

int mf_doc_spool_add(struct mf_doc_spool *s, const struct mf_doc *doc, struct mf_err *err) {
    struct header h = {doc->id_size, doc->domain ? doc->domain_size : 0, doc->size, doc->domain != NULL};
    if (!s->writer && open_writer(s, err) < 0) return -1;
    if (compress(s, &h, sizeof h, ZSTD_e_continue, err) < 0) return -1;
    if (compress(s, doc->id, doc->id_size, ZSTD_e_continue, err) < 0) return -1;
    if (compress(s, doc->domain, h.domain_size, ZSTD_e_continue, err) < 0) return -1;
    return compress(s, doc->text, doc->size, ZSTD_e_continue, err);
}

/* --- reading --- */

int mf_doc_spool_begin(struct mf_doc_spool *s, struct mf_err *err) {
    if (s->writer && compress(s, NULL, 0, ZSTD_e_end, err) < 0) return -1;
    ZSTD_freeCCtx(s->writer);
    s->writer = NULL;
    if (!s->reader && !(s->reader = ZSTD_createDCtx())) return no_memory(err);
    ZSTD_DCtx_reset(s->reader, ZSTD_reset_session_only);
    s->at = 0;
    s->unread = (ZSTD_inBuffer){0};
    return 0;
}

static int read_block(struct mf_doc_spool *s, struct mf_err *err) {
    uint64_t left = s->spill.size - s->at;
    size_t n = left < BLOCK ? (size_t)left : BLOCK;
    if (mf_spill_read(&s->spill, s->block, n, s->at, err) < 0) return -1;
    s->at += n;
    s->unread = (ZSTD_inBuffer){s->block, n, 0};
    return 0;
}

/* Fills `size` bytes. The decompressor may hold some that were taken in before. */
static int decompress(struct mf_doc_spool *s, void *bytes, size_t size, struct mf_err *err) {
    ZSTD_outBuffer out = {bytes, size, 0};
    while (out.pos < size) {
        size_t before = out.pos;
        size_t status = ZSTD_decompressStream(s->reader, &out, &s->unread);
        if (ZSTD_isError(status))
            return mf_err_set(err, EX_IOERR, "scratch file: %s", ZSTD_getErrorName(status));
        if (out.pos > before) continue;
        if (s->at == s->spill.size) return mf_err_set(err, EX_IOERR, "scratch file: ends too soon");
        if (s->unread.pos == s->unread.size && read_block(s, err) < 0) return -1;
    }
    return 0;
}

int mf_doc_spool_next(struct mf_doc_spool *s, struct mf_doc *doc, struct mf_err *err) {
    struct header h = {0};
    if (decompress(s, &h, sizeof h, err) < 0) return -1;
    size_t size = (size_t)(h.id_size + h.domain_size + h.size);
    if (size >= s->capacity) {
        free(s->bytes);
        s->capacity = 0;
        s->bytes = malloc(size + 1);
        if (!s->bytes) return mf_err_set(err, EX_OSERR, "out of memory for a document of %zu bytes", size);
        s->capacity = size + 1;
    }
    if (decompress(s, s->bytes, size, err) < 0) return -1;
    const char *domain = s->bytes + h.id_size;
    *doc = (struct mf_doc){.id = s->bytes,
                           .id_size = (size_t)h.id_size,
                           .domain = h.has_domain ? domain : NULL,
                           .domain_size = (size_t)h.domain_size,
                           .text = domain + h.domain_size,
                           .size = (size_t)h.size};
    return 0;
}
