/* Checksums of mutated files, set right. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "io/bundle.h"
#include "io/sha256.h"
#include "io/stream.h"

int file_of(const uint8_t *data, size_t size, char path[32]) {
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

void mend_stream(uint8_t *data, size_t size) {
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

void mend_bundle(uint8_t *data, size_t size) {
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
