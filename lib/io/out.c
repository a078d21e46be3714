/* Writing outputs: one buffer, and what the system is asked to begin with. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/out_internal.h"

#define STRETCH ((uint64_t)4 << 20)

/* Asks the system to begin with what the sync at the end waits for, each time that bytes [offset, end)
 * complete a stretch of the file. It may decline: the sync will tell. */
static void begin_sync(const struct mf_out *out, uint64_t offset, uint64_t end) {
    uint64_t from = offset / STRETCH * STRETCH, to = end / STRETCH * STRETCH;
    if (out->path && from < to)
        sync_file_range(out->fd, (off_t)from, (off_t)(to - from), SYNC_FILE_RANGE_WRITE);
}

static int send(struct mf_out *out, const void *bytes, size_t size, struct mf_err *err) {
    if (mf_write_all(out->fd, bytes, size, out->name, err) < 0) {
        out->failed = true;
        return -1;
    }
    begin_sync(out, out->sent, out->sent + size);
    out->sent += size;
    return 0;
}

/* Opens a file that rests, behind its last byte. */
static int wake(struct mf_out *out, struct mf_err *err) {
    if (out->fd >= 0) return 0;
    out->fd = file_open(out->path, O_RDWR | O_NOFOLLOW);
    if (out->fd >= 0 && lseek(out->fd, (off_t)out->sent, SEEK_SET) >= 0) return 0;
    out->failed = true;
    return mf_err_sys(err, EX_IOERR, "%s", out->name);
}

int mf_out_rest(struct mf_out *out, struct mf_err *err) {
    if (!out->temp || out->fd < 0) return 0;
    if (mf_out_flush(out, err) < 0) return -1;
    close(out->fd); /* what a close could tell of a file, its sync will */
    out->fd = -1;
    return 0;
}

int mf_out_flush(struct mf_out *out, struct mf_err *err) {
    if (out->failed) return mf_err_set(err, EX_IOERR, "%s: an earlier write failed", out->name);
    if (wake(out, err) < 0) return -1;
    size_t size = out->used;
    out->used = 0;
    return send(out, out->buffer, size, err);
}

int mf_out_write(struct mf_out *out, const void *bytes, size_t size, struct mf_err *err) {
    if (size == 0) return 0;
    if (size > OUT_BUFFER - out->used) {
        if (mf_out_flush(out, err) < 0) return -1;
        if (size >= OUT_BUFFER) return send(out, bytes, size, err);
    }
    memcpy(out->buffer + out->used, bytes, size);
    out->used += size;
    return 0;
}

int mf_out_reserve(struct mf_out *out, uint64_t size, uint64_t *offset, struct mf_err *err) {
    if (!out->path) return 0;
    if (mf_out_flush(out, err) < 0) return -1;
    if (lseek(out->fd, (off_t)size, SEEK_CUR) < 0) return mf_err_sys(err, EX_IOERR, "%s", out->name);
    *offset = out->sent;
    out->sent += size;
    return 1;
}

int mf_out_fill(const struct mf_out *out, uint64_t offset, const void *bytes, size_t size,
                struct mf_err *err) {
    if (mf_pwrite_all(out->fd, bytes, size, offset, out->name, err) < 0) return -1;
    begin_sync(out, offset, offset + size);
    return 0;
}

int mf_out_printf(struct mf_out *out, struct mf_err *err, const char *format, ...) {
    char small[512], *text = small, *large = NULL;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0) abort();
    if ((size_t)n >= sizeof small) {
        va_start(args, format);
        if (vasprintf(&large, format, args) < 0) mf_no_memory();
        va_end(args);
        text = large;
    }
    int result = mf_out_write(out, text, (size_t)n, err);
    free(large);
    return result;
}

uint64_t mf_out_offset(const struct mf_out *out) {
    return out->sent + out->used;
}

const char *mf_out_name(const struct mf_out *out) {
    return out->name;
}
