/* Reading a GGUF file from front to back, never beyond the bytes that it has. */
#include "io/gguf_internal.h"

#include <string.h>

/* Fills the buffer from the cursor's place on. */
static int fill(struct gguf_cursor *c, struct mf_err *err) {
    uint64_t left = c->g->size - c->at, size = left < sizeof c->buffer ? left : sizeof c->buffer;
    if (mf_pread_all(c->g->fd, c->buffer, size, c->at, c->g->name, err) < 0) return -1;
    c->from = c->at;
    c->until = c->at + size;
    return 0;
}

int gguf_take(struct gguf_cursor *c, void *to, uint64_t size, struct mf_err *err) {
    if (size > c->g->size - c->at)
        return mf_err_set(err, EX_DATAERR, "%s: the header wants %llu bytes at byte %llu of %llu", c->g->name,
                          (unsigned long long)size, (unsigned long long)c->at,
                          (unsigned long long)c->g->size);
    unsigned char *bytes = to;
    while (bytes && size > 0) {
        if ((c->at < c->from || c->at >= c->until) && fill(c, err) < 0) return -1;
        uint64_t here = c->until - c->at < size ? c->until - c->at : size;
        memcpy(bytes, c->buffer + (c->at - c->from), here);
        bytes += here;
        c->at += here;
        size -= here;
    }
    c->at += size;
    return 0;
}

int gguf_take_number(struct gguf_cursor *c, size_t size, uint64_t *value, struct mf_err *err) {
    unsigned char bytes[8];
    if (gguf_take(c, bytes, size, err) < 0) return -1;
    *value = 0;
    for (size_t i = size; i-- > 0;) *value = *value << 8 | bytes[i];
    return 0;
}
