/* Selecting documents. */
#include "text/select_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/json_file.h"
#include "text/minhash.h"

void mf_tally_add(struct mf_tally *t, size_t size) {
    t->documents++;
    t->bytes += size;
}

#define MIN_BLOCK 128 /* bytes: some dozen tokens */

/* --- what goes out --- */

int mf_selection_emit(struct mf_selection *s, const struct mf_doc *doc, enum mf_split split,
                      struct mf_err *err) {
    struct mf_part part;
    int status = 0;
    if (s->max_chars == 0 || mf_characters_prefix(doc->text, doc->size, s->max_chars) == doc->size) {
        mf_tally_add(&s->kept[split], doc->size);
        return s->take(s->context, doc, split, err);
    }
    mf_part_begin(&part, doc);
    while (part.at < doc->size && status == 0) {
        mf_part_next(&part, doc, mf_cut_part(doc->text + part.at, doc->size - part.at, s->max_chars));
        mf_tally_add(&s->parts, part.doc.size);
        mf_tally_add(&s->kept[split], part.doc.size);
        status = s->take(s->context, &part.doc, split, err);
    }
    mf_part_end(&part);
    return status;
}

/* --- copies --- */

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

/* The id of a document as JSON. */
static int put_id(struct mf_selection *s, json_t *line, const char *key, uint32_t number,
                  struct mf_err *err) {
    const char *id;
    size_t size;
    if (mf_copies_id(s->copies, number, &id, &size, err) < 0) return -1;
    json_object_set_new(line, key, bytes_json(id, size));
    return 0;
}

int mf_selection_remove(struct mf_selection *s, uint32_t number, const struct mf_copies_doc *doc,
                        struct mf_err *err) {
    bool exact = doc->copy == MF_COPY_EXACT;
    mf_tally_add(exact ? &s->exact : &s->near, (size_t)doc->size);
    if (!s->removed) return 0;
    json_t *line = json_object();
    int status = put_id(s, line, "removed", number, err);
    json_object_set_new(line, "copy", json_string(exact ? "exact" : "near"));
    if (status == 0) status = put_id(s, line, "kept", doc->kept, err);
    if (status == 0) return mf_json_line(s->removed, line, err);
    json_decref(line);
    return -1;
}

/* --- blocks --- */

uint64_t mf_selection_block(const struct mf_selection *s) {
    double max = fmin((double)s->total / (double)s->blocks, 4 * sqrt((double)s->total));
    uint64_t size = MIN_BLOCK;
    while ((double)size * 2 <= max) size *= 2;
    return size;
}

bool mf_selection_is_large(const struct mf_selection *s, uint64_t size) {
    if (s->blocks == 0 || (double)size * (double)s->blocks <= (double)s->total) return false;
    return size / 2 >= mf_selection_block(s);
}

/* --- reading --- */

static bool is_blank(const struct mf_doc *doc) {
    size_t n = 0;
    while (n < doc->size && memchr(" \t\n\v\f\r", doc->text[n], 6)) n++;
    return n == doc->size;
}

int mf_selection_add(struct mf_selection *s, const struct mf_doc *doc, struct mf_err *err) {
    bool enough = s->max_docs > 0 && s->read.documents + 1 >= s->max_docs;
    mf_tally_add(&s->read, doc->size);
    if (s->min_chars > 0 && (mf_characters(doc->text, doc->size) < s->min_chars || is_blank(doc))) {
        mf_tally_add(&s->brief, doc->size);
        return enough;
    }
    uint64_t hash = mf_text_hash(doc->text, doc->size);
    if (mf_copies_add(s->copies, hash, doc, err) < 0) return -1;
    return mf_doc_spool_add(&s->spool, doc, err) < 0 ? -1 : enough;
}
