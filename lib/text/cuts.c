/* The list of documents that were cut, and its file. */
#include "text/cuts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/memory.h"
#include "io/file.h"

#define FILE_LIMIT ((size_t)1 << 24)

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
    struct mf_out *out;
    int status = 0;
    if (mf_out_open(&out, path, err) < 0) return -1;
    for (size_t i = 0; i < c->count && status == 0; i++)
        status = mf_out_printf(out, err, "%016" PRIx64 " %" PRIu64 "\n", c->items[i].hash, c->items[i].min);
    if (status == 0) return mf_out_commit_changed(out, err);
    mf_out_abandon(out);
    return -1;
}

void mf_cuts_free(struct mf_cuts *c) {
    free(c->items);
    *c = (struct mf_cuts){0};
}
