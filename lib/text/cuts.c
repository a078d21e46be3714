/* The list of documents that were cut, and its file. */
#include "text/cuts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/memory.h"
#include "io/file.h"

#define FILE_LIMIT ((size_t)1 << 24)
#define LINE       ((size_t)40) /* bytes of a line at most, with its end */

/* Where the hash is, or would be. */
static size_t place_of(const struct mf_cuts *c, uint64_t hash) {
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->items[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t mf_cuts_find(const struct mf_cuts *c, uint64_t hash) {
    size_t at = place_of(c, hash);
    return at < c->count && c->items[at].hash == hash ? c->items[at].min : 0;
}

void mf_cuts_add(struct mf_cuts *c, uint64_t hash, uint64_t min) {
    size_t at = place_of(c, hash);
    c->items = reallocarray(c->items, c->count + 1, sizeof *c->items);
    if (!c->items) mf_no_memory();
    memmove(c->items + at + 1, c->items + at, (c->count - at) * sizeof *c->items);
    c->items[at] = (struct mf_cut){hash, min};
    c->count++;
}

/* One line, its end taken away. */
static bool add_line(struct mf_cuts *c, const char *line) {
    if (strspn(line, "0123456789abcdef") != 16 || line[16] != ' ') return false;
    size_t digits = strspn(line + 17, "0123456789");
    if (digits < 1 || digits > 18 || line[17 + digits]) return false;
    uint64_t hash = strtoull(line, NULL, 16), min = strtoull(line + 17, NULL, 10);
    if (min == 0 || (c->count && hash <= c->items[c->count - 1].hash)) return false;
    mf_cuts_add(c, hash, min);
    return true;
}

int mf_cuts_read(struct mf_cuts *c, const char *path, struct mf_err *err) {
    unsigned char *bytes;
    size_t size, number = 1;
    *c = (struct mf_cuts){0};
    if (access(path, F_OK) < 0 && errno == ENOENT) return 0;
    if (mf_read_all(path, FILE_LIMIT, &bytes, &size, err) < 0) return -1;
    char *line = (char *)bytes, *end;
    for (; (end = memchr(line, '\n', size - (size_t)(line - (char *)bytes))); line = end + 1, number++) {
        *end = '\0';
        if (strlen(line) != (size_t)(end - line) || !add_line(c, line)) break;
    }
    bool whole = line == (char *)bytes + size;
    free(bytes);
    if (whole) return 0;
    mf_cuts_free(c);
    return mf_err_set(err, EX_DATAERR, "%s: line %zu is not a hash and a number, in the order of hashes",
                      path, number);
}

int mf_cuts_write(const struct mf_cuts *c, const char *path, struct mf_err *err) {
    char *text = malloc(c->count * LINE + 1);
    size_t size = 0, old_size;
    unsigned char *old;
    struct mf_err unused;
    if (!text) mf_no_memory();
    for (size_t i = 0; i < c->count; i++)
        size += (size_t)snprintf(text + size, LINE, "%016" PRIx64 " %" PRIu64 "\n", c->items[i].hash,
                                 c->items[i].min);
    bool same = mf_read_all(path, FILE_LIMIT, &old, &old_size, &unused) == 0;
    if (same) {
        same = old_size == size && memcmp(old, text, size) == 0;
        free(old);
    }
    int status = same ? 0 : mf_out_whole(path, text, size, err);
    free(text);
    return status;
}

void mf_cuts_free(struct mf_cuts *c) {
    free(c->items);
    *c = (struct mf_cuts){0};
}
