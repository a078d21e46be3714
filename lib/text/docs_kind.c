/* What a file is, by its name and by its first bytes. */
#include <string.h>
#include <strings.h>
#include "io/utf8.h"
#include "text/docs_internal.h"

bool docs_ends_with(const char *name, const char *suffix) {
    size_t n = strlen(name), s = strlen(suffix);
    return n >= s && strcasecmp(name + n - s, suffix) == 0;
}

static bool is_hidden(const char *part, size_t n) {
    bool link = n == 1 || (n == 2 && part[1] == '.'); /* "." and ".." */
    return (part[0] == '.' && !link) || (n == 8 && memcmp(part, "__MACOSX", 8) == 0);
}

bool docs_is_hidden(const char *path) {
    for (size_t n;; path += n + 1) {
        n = strcspn(path, "/");
        if (is_hidden(path, n)) return true;
        if (!path[n]) return false;
    }
}

bool docs_names_no_text(const char *name) {
    static const char *const suffixes[] = {
        ".png",  ".jpg",   ".jpeg",       ".gif",  ".webp",   ".ico",  ".bmp",     ".tif",     ".tiff",
        ".heic", ".avif",  ".psd",        ".xcf",  ".svgz",   ".pdf",  ".ps",      ".djvu",    ".so",
        ".o",    ".a",     ".exe",        ".dll",  ".pyc",    ".jar",  ".class",   ".woff",    ".ttf",
        ".otf",  ".woff2", ".mp3",        ".mp4",  ".m4a",    ".avi",  ".mov",     ".mkv",     ".webm",
        ".wav",  ".flac",  ".ogg",        ".opus", ".npy",    ".npz",  ".pt",      ".pth",     ".pkl",
        ".onnx", ".gguf",  ".h5",         ".hdf5", ".sqlite", ".db",   ".bin",     ".dat",     ".iso",
        ".img",  ".deb",   ".rpm",        ".7z",   ".rar",    ".docx", ".doc",     ".xlsx",    ".xls",
        ".pptx", ".ppt",   ".odt",        ".ods",  ".odp",    ".epub", ".parquet", ".feather", ".arrow",
        ".avro", ".orc",   ".safetensors"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (docs_ends_with(name, suffixes[i])) return true;
    return false;
}

static bool holds(const unsigned char *bytes, size_t n, const char *what) {
    return memmem(bytes, n, what, strlen(what)) != NULL;
}

/* The sum of a tar's header, in which the sum itself counts as blanks. */
static bool is_tar(const unsigned char *b, size_t n) {
    unsigned sum = 8 * ' ', said = 0;
    if (n < 512) return false;
    for (int i = 0; i < 512; i++) sum += i < 148 || i >= 156 ? b[i] : 0;
    if (sum == 8 * ' ') { /* nothing but zeros, and not many: a tar of nothing */
        for (size_t i = 512; i < n; i++) sum += b[i];
        return sum == 8 * ' ' && n >= 1024 && n < DOCS_BLOCK;
    }
    int i = 148;
    while (i < 156 && b[i] == ' ') i++;
    for (; i < 156 && b[i] >= '0' && b[i] <= '7'; i++) said = 8 * said + (b[i] - '0');
    return said == sum;
}

static bool is_zip(const unsigned char *b, size_t n) {
    return n >= 4 && (memcmp(b, "PK\3\4", 4) == 0 || memcmp(b, "PK\5\6", 4) == 0);
}

/* Documents of office programs, books and Java's archives are zips of other things than text. */
static bool is_office(const unsigned char *b, size_t n) {
    static const char *const first[] = {"[Content_Types].xml", "mimetype", "META-INF/", "_rels/"};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        if (n >= 30 + strlen(first[i]) && memcmp(b + 30, first[i], strlen(first[i])) == 0) return true;
    return false;
}

static bool is_stream(const unsigned char *b, size_t n) {
    if (n < 8) return false;
    size_t skip = *b == 0xde ? 3 : *b == 0xdf ? 5 : (*b & 0xf0) == 0x80 ? 1 : 0;
    if (skip == 0) return false;
    return memcmp(b + skip, "\xa2mf", 3) == 0 || (n >= skip + 4 && memcmp(b + skip, "\xd9\2mf", 4) == 0);
}

static bool is_own_json(const unsigned char *b, size_t n) {
    size_t begin = n < 200 ? n : 200;
    if (n == 0 || *b != '{') return false;
    return (holds(b, begin, "\"removed\":") && holds(b, n, "\"copy\":") && holds(b, n, "\"kept\":")) ||
           (holds(b, begin, "\"truncation\"") && holds(b, n, "\"added_tokens\"")) ||
           (holds(b, begin, "\"version\"") && holds(b, n, "\"bits_per_byte\""));
}

static bool is_safetensors(const unsigned char *b, size_t n) {
    return n >= 10 && b[4] == 0 && b[5] == 0 && b[6] == 0 && b[7] == 0 && memcmp(b + 8, "{\"", 2) == 0;
}

static bool is_own(const unsigned char *b, size_t n) {
    size_t begin = n < 1000 ? n : 1000;
    return is_stream(b, n) || is_own_json(b, n) ||
           (is_safetensors(b, n) && holds(b, n, "tokenizer_sha256")) ||
           (holds(b, begin, "<link rel=\"icon\" href=\"data:,\">\n<title>Report: "));
}

/* Control characters that text has no use for, and whether all is UTF-8. Of what was begun at the end nothing
 * is said. */
static size_t controls(const unsigned char *b, size_t n, bool *utf8) {
    size_t found = 0, step;
    *utf8 = true;
    for (bool valid; n > 0 && (step = mf_utf8_step(b, n, &valid)) > 0; b += step, n -= step) {
        *utf8 = *utf8 && valid;
        found += (*b < 0x20 && !memchr("\t\n\v\f\r\b\033", *b, 7)) || *b == 0x7f;
    }
    return found;
}

/* A zero byte may stand in a text, many do not: what is compressed, and numbers, are full of such. */
static bool is_text(const unsigned char *b, size_t n) {
    bool utf8;
    size_t found = controls(b, n, &utf8);
    if (n >= 5 && memcmp(b, "%PDF-", 5) == 0) return false;
    if (n >= 4 && memcmp(b, "PAR1", 4) == 0) return false;
    return !is_safetensors(b, n) && found <= 1 + n / (utf8 ? 32 : 64);
}

enum docs_encoding docs_encoding_of(const unsigned char *b, size_t n, size_t *mark) {
    static const struct {
        const char *bytes;
        size_t size;
        enum docs_encoding encoding;
    } marks[] = {{"\xff\xfe\0\0", 4, DOCS_UTF32LE},
                 {"\0\0\xfe\xff", 4, DOCS_UTF32BE},
                 {"\xff\xfe", 2, DOCS_UTF16LE},
                 {"\xfe\xff", 2, DOCS_UTF16BE},
                 {"\xef\xbb\xbf", 3, DOCS_BYTES}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        *mark = marks[i].size;
        if (n >= *mark && memcmp(b, marks[i].bytes, *mark) == 0) return marks[i].encoding;
    }
    *mark = 0;
    return DOCS_BYTES;
}

enum docs_kind docs_kind_of(const unsigned char *b, size_t n) {
    size_t mark;
    if (is_tar(b, n))
        return memcmp(b, "manifest.json", 14) == 0 && holds(b, n, "\"mf\"") ? DOCS_OWN : DOCS_TAR;
    if (is_zip(b, n)) return is_office(b, n) ? DOCS_BINARY : DOCS_ZIP;
    if (is_own(b, n)) return DOCS_OWN;
    if (docs_encoding_of(b, n, &mark) != DOCS_BYTES) return DOCS_TEXT;
    return is_text(b, n) ? DOCS_TEXT : DOCS_BINARY;
}

bool docs_is_damaged(const char *name, const unsigned char *b, size_t n) {
    bool tar, utf8;
    if (mf_unpack_stem(name, &tar) == strlen(name) && !docs_ends_with(name, ".tar") &&
        !docs_ends_with(name, ".zip"))
        return false;
    return controls(b, n, &utf8) > 0 || !utf8;
}
