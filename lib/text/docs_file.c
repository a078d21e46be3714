/* One file: below its layers of compression it is an archive, a text, or left out. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "base/strings.h"
#include "text/docs_internal.h"

static int64_t read_more(struct docs_file *f, struct mf_err *err) {
    if (f->encoding != DOCS_BYTES) return docs_decode(f, f->bytes + f->end, err);
    return mf_unpack_read(f->unpack, f->bytes + f->end, DOCS_BLOCK, err);
}

/* Makes space for another block behind what is there. */
static int make_space(struct docs_file *f, struct mf_err *err) {
    if (f->begin > 0 && f->begin >= f->capacity / 2) {
        memmove(f->bytes, f->bytes + f->begin, f->end - f->begin);
        f->end -= f->begin;
        f->begin = 0;
    }
    if (f->capacity - f->end >= DOCS_BLOCK) return 0;
    if (f->end - f->begin > MF_DOC_LIMIT)
        return mf_err_set(err, EX_DATAERR, "%s: a document of more than %zu bytes", f->place->name,
                          MF_DOC_LIMIT);
    size_t capacity = 2 * f->capacity + 2 * DOCS_BLOCK;
    char *grown = realloc(f->bytes, capacity);
    if (!grown) return mf_err_set(err, EX_OSERR, "%s: out of memory", f->place->name);
    f->bytes = grown;
    f->capacity = capacity;
    return 0;
}

int docs_fill(struct docs_file *f, size_t want, struct mf_err *err) {
    struct docs_root *root = f->place->root;
    while (!f->ended && f->end - f->begin < want) {
        if (make_space(f, err) < 0) return -1;
        int64_t n = read_more(f, err);
        if (n < 0) return -1;
        root->unpacked += (uint64_t)n;
        if (mf_unpack_check(root->name, root->packed, root->unpacked, err) < 0) return -1;
        f->ended = n == 0;
        f->end += (size_t)n;
    }
    return 0;
}

/* "corpus.jsonl.gz" -> "corpus.jsonl": what a compressed file would be called unpacked. */
static char *id_of(const struct mf_unpack *u, const char *id) {
    bool tar = false;
    size_t n = mf_unpack_layers(u) > 0 ? mf_unpack_stem(id, &tar) : strlen(id);
    return mf_format("%.*s", (int)n, id);
}

static int read_text(struct mf_unpack *u, const struct docs_place *place, const unsigned char *bytes,
                     size_t n, const struct mf_docs_options *o, struct mf_err *err) {
    struct docs_file f = {.unpack = u, .place = place};
    size_t mark;
    char skip[4], *id = id_of(u, place->id);
    f.id = id;
    f.encoding = docs_encoding_of(bytes, n, &mark);
    int status = mf_unpack_read(u, skip, mark, err) < 0 ? -1 : docs_parse(&f, o, err);
    free(f.bytes);
    free(id);
    return status;
}

int docs_content(struct mf_unpack *u, const struct docs_place *place, const struct mf_docs_options *o,
                 struct mf_err *err) {
    const unsigned char *bytes;
    int64_t got = mf_unpack_peek(u, &bytes, MF_UNPACK_PEEK, err);
    if (got <= 0) return got < 0 ? -1 : 0;
    size_t n = (size_t)got;
    enum docs_kind kind = docs_kind_of(bytes, n);
    bool plain = mf_unpack_layers(u) == 0;
    if (plain && kind != DOCS_TAR && kind != DOCS_ZIP && kind != DOCS_OWN && !o->all &&
        docs_is_damaged(place->name, bytes, n))
        return mf_err_set(err, EX_DATAERR, "%s: damaged: it does not begin as its name says", place->name);
    if (kind == DOCS_OWN || (kind == DOCS_BINARY && !o->all && o->format == MF_DOCS_AUTO)) {
        if (o->left) o->left(o->context, kind == DOCS_OWN ? MF_DOCS_OWN : MF_DOCS_NO_TEXT, place->name);
        return 0;
    }
    if (kind == DOCS_TAR) return docs_tar(u, place, o, err);
    if (kind == DOCS_ZIP) return docs_zip(u, place, o, err);
    return read_text(u, place, bytes, n, o, err);
}
