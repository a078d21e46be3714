/* GGUF files that are put together byte by byte. */
#ifndef TESTS_GGUF_HEAD_H
#define TESTS_GGUF_HEAD_H

#include "scratch.h"

#include "io/gguf.h"

static struct mf_err err;

/* A header that is put together byte by byte. */
struct head {
    unsigned char bytes[4096];
    size_t size;
};

static inline void put(struct head *h, uint64_t value, int size) {
    for (int i = 0; i < size; i++) h->bytes[h->size++] = (unsigned char)(value >> 8 * i);
}

static inline void put_text(struct head *h, const char *text) {
    put(h, strlen(text), 8);
    memcpy(h->bytes + h->size, text, strlen(text));
    h->size += strlen(text);
}

static inline struct head begin(uint64_t version, uint64_t tensors, uint64_t keys) {
    struct head h = {.bytes = "GGUF", .size = 4};
    put(&h, version, 4);
    put(&h, tensors, 8);
    put(&h, keys, 8);
    return h;
}

/* Writes the header, padding, and so many bytes of data. */
static inline void save(const struct head *h, size_t data) {
    unsigned char bytes[8192] = {0};
    memcpy(bytes, h->bytes, h->size);
    write_file("m", bytes, (h->size + 31) / 32 * 32 + data);
}

static inline int open_file(void) {
    struct mf_gguf *g;
    err = (struct mf_err){0};
    if (mf_gguf_open(&g, "m", &err) < 0) return -1;
    mf_gguf_close(g);
    return 0;
}

#endif
