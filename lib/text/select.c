/* Selecting documents. */
#include "text/select.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/json_file.h"

static void count(struct mf_tally *t, size_t size) {
    t->documents++;
    t->bytes += size;
}

/* The split a text belongs to: a function of its hash (mf_text_hash) alone, so a document never moves. */
static enum mf_split split_of(uint64_t hash, double val_fraction, double test_fraction) {
    double u = (double)(hash >> 11) * 0x1p-53; /* [0, 1) */
    if (u < val_fraction) return MF_VAL;
    return u < val_fraction + test_fraction ? MF_TEST : MF_TRAIN;
}

/* Characters of UTF-8: bytes that do not continue one. */
static uint64_t characters(const char *text, size_t size) {
    uint64_t n = 0;
    for (size_t i = 0; i < size; i++) n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

/* A string of any bytes as JSON: what is no UTF-8 is written as \u00XX of its byte. */
static json_t *bytes_json(const char *bytes, size_t size) {
    json_t *text = json_stringn(bytes, size);
    if (text) return text;
    char *latin = malloc(2 * size + 1);
    if (!latin) mf_no_memory();
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x80) latin[n++] = (char)(0xc0 | c >> 6);
        latin[n++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
    }
    text = json_stringn(latin, n);
    free(latin);
    return text;
}

static int tell_removed(struct mf_selection *s, const struct mf_doc *doc, const char *why, const char *kept,
                        size_t kept_size, struct mf_err *err) {
    if (!s->removed) return 0;
    json_t *line = json_object();
    json_object_set_new(line, "removed", bytes_json(doc->id, doc->id_size));
    json_object_set_new(line, "copy", json_string(why));
    json_object_set_new(line, "kept", bytes_json(kept, kept_size));
    return mf_json_line(s->removed, line, err);
}

static int select_one(struct mf_selection *s, const struct mf_doc *doc, struct mf_err *err) {
    const char *kept;
    size_t kept_size;
    if (s->min_chars > 0 && characters(doc->text, doc->size) < s->min_chars) {
        count(&s->brief, doc->size);
        return 0;
    }
    uint64_t hash = mf_text_hash(doc->text, doc->size);
    int copy =
        mf_copies_check(s->copies, hash, doc->id, doc->id_size, doc->text, doc->size, &kept, &kept_size, err);
    if (copy < 0) return -1;
    if (copy != MF_COPY_NONE) {
        count(copy == MF_COPY_EXACT ? &s->exact : &s->near, doc->size);
        return tell_removed(s, doc, copy == MF_COPY_EXACT ? "exact" : "near", kept, kept_size, err);
    }
    enum mf_split split = split_of(hash, s->val_fraction, s->test_fraction);
    count(&s->kept[split], doc->size);
    return s->take(s->context, doc, split, err);
}

/* --- long documents --- */

/* The bytes of the first `limit` characters. */
static size_t prefix(const char *text, size_t size, uint64_t limit) {
    size_t i = 0;
    for (uint64_t n = 0; i < size; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80 && n++ == limit) break;
    return i;
}

/* Behind the last `mark` in text[0..size), or 0 when it has none or only in its first quarter. */
static size_t last_end(const char *text, size_t size, const char *mark) {
    size_t n = strlen(mark);
    for (size_t i = size; i > size / 4 && i >= n; i--)
        if (memcmp(text + i - n, mark, n) == 0) return i;
    return 0;
}

/* Where to cut a text that is longer than `limit` characters. */
static size_t cut_at(const char *text, size_t size, uint64_t limit) {
    static const char *const marks[] = {"\n\n", "\n", " "};
    size_t most = prefix(text, size, limit);
    for (size_t i = 0; i < 3; i++) {
        size_t at = last_end(text, most, marks[i]);
        if (at) return at;
    }
    return most ? most : size;
}

static int select_pieces(struct mf_selection *s, const struct mf_doc *doc, struct mf_err *err) {
    size_t at = 0;
    char *id = malloc(doc->id_size + 32);
    if (!id) mf_no_memory();
    if (doc->id_size) memcpy(id, doc->id, doc->id_size);
    int status = 0;
    for (unsigned long long piece = 1; at < doc->size && status == 0; piece++) {
        size_t left = doc->size - at, size = prefix(doc->text + at, left, s->max_chars);
        if (size < left) size = cut_at(doc->text + at, left, s->max_chars);
        struct mf_doc part = *doc;
        part.text = doc->text + at;
        part.size = size;
        part.id = id;
        part.id_size = doc->id_size + (size_t)snprintf(id + doc->id_size, 32, "+%llu", piece);
        count(&s->cut, size);
        status = select_one(s, &part, err);
        at += size;
    }
    free(id);
    return status;
}

int mf_selection_add(struct mf_selection *s, const struct mf_doc *doc, struct mf_err *err) {
    count(&s->read, doc->size);
    bool is_long = s->max_chars > 0 && prefix(doc->text, doc->size, s->max_chars) < doc->size;
    if ((is_long ? select_pieces(s, doc, err) : select_one(s, doc, err)) < 0) return -1;
    return s->max_docs > 0 && s->read.documents >= s->max_docs;
}
