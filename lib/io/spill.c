/* Spilled bytes. */
#include "io/spill.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "io/file.h"

void mf_spill_free(struct mf_spill *s) {
    if (s->file) close(s->file - 1);
    free(s->buffer);
    *s = (struct mf_spill){0};
}

/* Where the buffer begins. */
static uint64_t written(const struct mf_spill *s) {
    return s->size - s->waiting;
}

static int write_out(struct mf_spill *s, const void *bytes, size_t size, uint64_t at, struct mf_err *err) {
    if (!s->file) {
        int fd = mf_scratch_open(err);
        if (fd < 0) return -1;
        s->file = fd + 1;
    }
    return mf_scratch_write(s->file - 1, bytes, size, at, err);
}

int mf_spill_append(struct mf_spill *s, const void *bytes, size_t size, struct mf_err *err) {
    if (!s->buffer && !(s->buffer = malloc(MF_SPILL_BUFFER)))
        return mf_err_set(err, EX_OSERR, "out of memory");
    if (size > MF_SPILL_BUFFER - s->waiting) {
        if (s->waiting && write_out(s, s->buffer, s->waiting, written(s), err) < 0) return -1;
        s->waiting = 0;
    }
    if (size >= MF_SPILL_BUFFER) {
        if (write_out(s, bytes, size, s->size, err) < 0) return -1;
    } else if (size) {
        memcpy(s->buffer + s->waiting, bytes, size);
        s->waiting += size;
    }
    s->size += size;
    return 0;
}

int mf_spill_read(const struct mf_spill *s, void *to, size_t size, uint64_t offset, struct mf_err *err) {
    unsigned char *bytes = to;
    uint64_t border = written(s);
    size_t there = offset >= border ? 0 : border - offset < size ? (size_t)(border - offset) : size;
    if (there && mf_pread_all(s->file - 1, bytes, there, offset, "scratch file", err) < 0) return -1;
    if (size > there) memcpy(bytes + there, s->buffer + (offset + there - border), size - there);
    return 0;
}

void mf_spill_reader_free(struct mf_spill_reader *r) {
    free(r->buffer);
    *r = (struct mf_spill_reader){0};
}

static int fill(struct mf_spill_reader *r, struct mf_err *err) {
    uint64_t left = r->spill->size - r->at;
    if (!r->buffer && !(r->buffer = malloc(MF_SPILL_BUFFER)))
        return mf_err_set(err, EX_OSERR, "out of memory");
    r->begin = r->at;
    r->size = left < MF_SPILL_BUFFER ? (size_t)left : MF_SPILL_BUFFER;
    return mf_spill_read(r->spill, r->buffer, r->size, r->begin, err);
}

int mf_spill_take(struct mf_spill_reader *r, void *to, size_t size, struct mf_err *err) {
    unsigned char *bytes = to;
    while (size > 0) {
        if ((r->at < r->begin || r->at >= r->begin + r->size) && fill(r, err) < 0) return -1;
        size_t there = (size_t)(r->begin + r->size - r->at), n = there < size ? there : size;
        memcpy(bytes, r->buffer + (r->at - r->begin), n);
        r->at += n;
        bytes += n;
        size -= n;
    }
    return 0;
}
