/* Layers of compression, each reading from the one below through a block of its own. */
#include "io/unpack.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/memory.h"
#include "io/unpack_internal.h"

#define FREE  ((uint64_t)32 << 20) /* bytes that may always come out */
#define TIMES 250

struct layer {
    struct mf_source source; /* the layer below, or the caller's */
    const struct unpack_codec *codec;
    void *state;
    bool ended;       /* the source has no more than what is in the block */
    bool inside;      /* of a frame */
    uint64_t frames;  /* that ended */
    uint64_t written; /* bytes that came out */
    size_t at, used;  /* block[at, used) was not taken yet */
    unsigned char block[MF_UNPACK_PEEK];
};

/* layers[depth - 1] is the top one and has no codec. */
struct mf_unpack {
    struct layer *layers[MF_UNPACK_LAYERS + 1];
    size_t depth;
};

int mf_unpack_check(const char *name, uint64_t packed, uint64_t unpacked, struct mf_err *err) {
    if (unpacked <= FREE || (unpacked - 1) / TIMES < packed) return 0;
    return mf_err_set(err, EX_DATAERR,
                      "%s: unpacks to more than %d times its size (unpack it first if that is meant)", name,
                      TIMES);
}

/* Reads on until the block holds `want` bytes that were not taken, or the source ends. */
static int fill(struct layer *l, size_t want, struct mf_err *err) {
    if (l->used - l->at >= want || l->ended) return 0;
    memmove(l->block, l->block + l->at, l->used - l->at);
    l->used -= l->at;
    l->at = 0;
    size_t space = sizeof l->block - l->used;
    int64_t n = l->source.read(l->source.context, l->block + l->used, space, err);
    if (n < 0) return -1;
    l->used += (size_t)n;
    l->ended = (size_t)n < space;
    return 0;
}

/* Another frame begins, or something that does not belong here. */
static int begin_frame(struct layer *l, struct mf_err *err) {
    if (l->frames > 0 && (l->codec->once || !l->codec->begins(l->block + l->at, l->used - l->at)))
        return mf_err_set(err, EX_DATAERR, "%s: bytes after the end of the %s data", l->source.name,
                          l->codec->name);
    l->inside = true;
    return 0;
}

/* Once through the decompressor: *size bytes came out. */
static int step(struct layer *l, unsigned char *out, size_t *size, struct mf_err *err) {
    struct unpack_step s = {l->block + l->at, out, l->used - l->at, *size, l->ended, NULL};
    int status = l->codec->step(l->state, &s);
    l->at += s.in_size;
    *size = s.out_size;
    if (status < 0)
        return mf_err_set(err, EX_DATAERR, "%s: damaged %s data: %s", l->source.name, l->codec->name, s.why);
    if (status == 0 && s.in_size == 0 && s.out_size == 0)
        return mf_err_set(err, EX_DATAERR, "%s: damaged %s data: cut off before its end", l->source.name,
                          l->codec->name);
    l->frames += status == 1;
    l->inside = status == 0;
    l->written += s.out_size;
    return mf_unpack_check(l->source.name, *l->source.packed, l->written, err);
}

static int64_t decompress(void *context, void *buffer, size_t size, struct mf_err *err) {
    struct layer *l = context;
    size_t done = 0;
    while (done < size) {
        size_t n = size - done;
        if (fill(l, l->inside ? 1 : UNPACK_BEGIN, err) < 0) return -1;
        if (!l->inside && l->frames > 0 && l->at == l->used) break;
        if (!l->inside && begin_frame(l, err) < 0) return -1;
        if (step(l, (unsigned char *)buffer + done, &n, err) < 0) return -1;
        done += n;
    }
    return (int64_t)done;
}

static int open_layers(struct mf_unpack *u, struct mf_source source, size_t max, struct mf_err *err) {
    for (;;) {
        struct layer *l = calloc(1, sizeof *l);
        if (!l) mf_no_memory();
        l->source = source;
        u->layers[u->depth++] = l;
        if (fill(l, UNPACK_BEGIN, err) < 0) return -1;
        l->codec = unpack_codec_of(l->block, l->used);
        if (!l->codec) return 0;
        if (u->depth > max)
            return mf_err_set(err, EX_DATAERR, "%s: compressed more than %zu times over", source.name, max);
        l->state = l->codec->open();
        if (!l->state) mf_no_memory();
        source.read = decompress;
        source.context = l;
    }
}

int mf_unpack_open(struct mf_unpack **unpack, const struct mf_source *source, size_t layers,
                   struct mf_err *err) {
    struct mf_unpack *u = calloc(1, sizeof *u);
    if (!u) mf_no_memory();
    if (open_layers(u, *source, layers < MF_UNPACK_LAYERS ? layers : MF_UNPACK_LAYERS, err) < 0) {
        mf_unpack_close(u);
        return -1;
    }
    *unpack = u;
    return 0;
}

int64_t mf_unpack_peek(struct mf_unpack *u, const unsigned char **bytes, size_t want, struct mf_err *err) {
    struct layer *top = u->layers[u->depth - 1];
    if (fill(top, want, err) < 0) return -1;
    *bytes = top->block + top->at;
    return (int64_t)(top->used - top->at);
}

int64_t mf_unpack_read(struct mf_unpack *u, void *buffer, size_t size, struct mf_err *err) {
    struct layer *top = u->layers[u->depth - 1];
    size_t done = 0;
    while (done < size) {
        if (fill(top, 1, err) < 0) return -1;
        size_t here = top->used - top->at;
        if (here == 0) break;
        if (here > size - done) here = size - done;
        memcpy((unsigned char *)buffer + done, top->block + top->at, here);
        top->at += here;
        done += here;
    }
    return (int64_t)done;
}

size_t mf_unpack_layers(const struct mf_unpack *u) {
    return u->depth - 1;
}

void mf_unpack_close(struct mf_unpack *u) {
    if (!u) return;
    while (u->depth > 0) {
        struct layer *l = u->layers[--u->depth];
        if (l->state) l->codec->close(l->state);
        free(l);
    }
    free(u);
}

size_t mf_unpack_stem(const char *name, bool *tar) {
    static const char *const suffixes[] = {".gz",  ".bz2", ".xz",   ".lzma", ".zst",
                                           ".lz4", ".tgz", ".tbz2", ".txz",  ".tzst"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t s = strlen(suffixes[i]);
        *tar = suffixes[i][1] == 't';
        if (n > s && strcasecmp(name + n - s, suffixes[i]) == 0) return n - s;
    }
    *tar = false;
    return n;
}
