/* The end of a zip. libarchive looks for it backwards and takes what it finds, so that bytes before and
 * behind are passed over, and a directory that breaks off is a short one. */
#include <string.h>
#include <sys/stat.h>
#include "text/docs_internal.h"

#define END_SIZE   22
#define LARGE_END  56 /* of zip64 */
#define LARGE_LINK 20

static uint64_t little(const unsigned char *b, int bytes) {
    uint64_t n = 0;
    while (bytes-- > 0) n = n << 8 | b[bytes];
    return n;
}

struct directory {
    uint64_t members, size, offset, end; /* end: where what closes it begins */
};

/* Of zip64, where the fields of the old end are too small. */
static int read_large(int fd, const char *name, struct directory *d, struct mf_err *err) {
    unsigned char link[LARGE_LINK], end[LARGE_END];
    if (d->end < LARGE_LINK + LARGE_END) return 0;
    if (mf_pread_all(fd, link, sizeof link, d->end - sizeof link, name, err) < 0) return -1;
    if (memcmp(link, "PK\6\7", 4) != 0) return 0;
    uint64_t at = little(link + 8, 8);
    if (at > d->end - sizeof link - sizeof end) at = d->end - sizeof link - sizeof end;
    if (mf_pread_all(fd, end, sizeof end, at, name, err) < 0) return -1;
    if (memcmp(end, "PK\6\6", 4) != 0)
        return mf_err_set(err, EX_DATAERR, "%s: damaged zip: no end where it should be", name);
    *d = (struct directory){little(end + 32, 8), little(end + 40, 8), little(end + 48, 8), at};
    return 0;
}

/* The end whose comment reaches to the last byte. */
static const unsigned char *find_end(const unsigned char *tail, size_t n) {
    for (size_t i = n < END_SIZE ? 0 : n - END_SIZE + 1; i-- > 0;)
        if (memcmp(tail + i, "PK\5\6", 4) == 0 && i + END_SIZE + little(tail + i + 20, 2) == n)
            return tail + i;
    return NULL;
}

int docs_zip_check(int fd, const char *name, uint64_t *members, struct mf_err *err) {
    static const size_t max = END_SIZE + 65535;
    unsigned char tail[END_SIZE + 65535];
    struct stat st;
    if (fstat(fd, &st) < 0) return mf_err_sys(err, EX_IOERR, "%s", name);
    uint64_t size = (uint64_t)st.st_size;
    size_t n = size < max ? (size_t)size : max;
    if (mf_pread_all(fd, tail, n, size - n, name, err) < 0) return -1;
    const unsigned char *end = find_end(tail, n);
    if (!end) return mf_err_set(err, EX_DATAERR, "%s: damaged zip: cut off, or bytes after its end", name);
    struct directory d = {little(end + 10, 2), little(end + 12, 4), little(end + 16, 4),
                          size - n + (uint64_t)(end - tail)};
    if (read_large(fd, name, &d, err) < 0) return -1;
    if (d.size > d.end || d.offset != d.end - d.size)
        return mf_err_set(err, EX_DATAERR, "%s: damaged zip: its directory is not where it says", name);
    *members = d.members;
    return 0;
}
