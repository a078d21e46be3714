/* Selecting documents. */
#include "text/select_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/json_file.h"

void mf_tally_add(struct mf_tally *t, size_t size) {
    t->documents++;
    t->bytes += size;
}

#define LEAST_BLOCK 128 /* bytes: some dozen tokens */

/* --- what goes out --- */

int mf_selection_hand_on(struct mf_selection *s, const struct mf_doc *doc, enum mf_split split,
                         struct mf_err *err) {
    struct mf_part piece;
    int status = 0;
    if (s->max_chars == 0 || mf_characters_prefix(doc->text, doc->size, s->max_chars) == doc->size) {
        mf_tally_add(&s->kept[split], doc->size);
        return s->take(s->context, doc, split, err);
    }
    mf_part_begin(&piece, doc);
    while (piece.at < doc->size && status == 0) {
        mf_part_next(&piece, doc, mf_cut_piece(doc->text + piece.at, doc->size - piece.at, s->max_chars));
        mf_tally_add(&s->pieces, piece.doc.size);
        mf_tally_add(&s->kept[split], piece.doc.size);
        status = s->take(s->context, &piece.doc, split, err);
    }
    mf_part_end(&piece);
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

static int tell_removed(struct mf_selection *s, const struct mf_doc *doc, const char *why, const char *kept,
                        size_t kept_size, struct mf_err *err) {
    if (!s->removed) return 0;
    json_t *line = json_object();
    json_object_set_new(line, "removed", bytes_json(doc->id, doc->id_size));
    json_object_set_new(line, "copy", json_string(why));
    json_object_set_new(line, "kept", bytes_json(kept, kept_size));
    return mf_json_line(s->removed, line, err);
}

int mf_selection_is_copy(struct mf_selection *s, const struct mf_doc *doc, uint64_t hash,
                         struct mf_err *err) {
    const char *kept;
    size_t kept_size;
    int copy =
        mf_copies_check(s->copies, hash, doc->id, doc->id_size, doc->text, doc->size, &kept, &kept_size, err);
    if (copy < 0 || copy == MF_COPY_NONE) return copy < 0 ? -1 : 0;
    bool exact = copy == MF_COPY_EXACT;
    mf_tally_add(exact ? &s->exact : &s->near, doc->size);
    return tell_removed(s, doc, exact ? "exact" : "near", kept, kept_size, err) < 0 ? -1 : 1;
}

/* --- blocks --- */

uint64_t mf_selection_block(const struct mf_selection *s) {
    double most = fmin((double)s->total / (double)s->blocks, 4 * sqrt((double)s->total));
    uint64_t size = LEAST_BLOCK;
    while ((double)size * 2 <= most) size *= 2;
    return size;
}

bool mf_selection_is_large(const struct mf_selection *s, uint64_t size) {
    if (s->blocks == 0 || (double)size * (double)s->blocks <= (double)s->total) return false;
    return size / 2 >= mf_selection_block(s);
}

/* --- waiting --- */

/* Whether the documents that wait go out as they would at the end of the input: none is large, and validation
 * and test have enough by their hashes alone. */
static bool is_decided(const struct mf_selection *s) {
    for (int split = MF_VAL; split <= MF_TEST; split++)
        if (s->rule.fraction[split] > 0 && s->counted[split] < s->rule.floor) return false;
    return !mf_selection_is_large(s, s->largest_held);
}

static int hand_on_held(struct mf_selection *s, struct mf_err *err) {
    uint64_t offset = 0;
    struct mf_doc doc;
    for (size_t i = 0; i < s->held.count; i++) {
        if (mf_held_read(&s->held, i, &offset, &doc, err) < 0) return -1;
        if (mf_selection_hand_on(s, &doc, mf_split_of(&s->rule, s->held.docs[i].hash), err) < 0) return -1;
    }
    mf_held_clear(&s->held);
    return 0;
}

static int split_one(struct mf_selection *s, const struct mf_doc *doc, uint64_t hash, struct mf_err *err) {
    enum mf_split split = mf_split_of(&s->rule, hash);
    s->total += doc->size;
    s->counted[split] += mf_floor_count(&s->rule, doc->size);
    if (doc->size > s->largest_held) s->largest_held = doc->size;
    if (!is_decided(s)) return mf_held_add(&s->held, doc, hash, mf_copies_last(s->copies), err);
    s->largest_held = 0;
    if (hand_on_held(s, err) < 0) return -1;
    return mf_selection_hand_on(s, doc, split, err);
}

int mf_selection_add(struct mf_selection *s, const struct mf_doc *doc, struct mf_err *err) {
    bool enough = s->max_docs > 0 && s->read.documents + 1 >= s->max_docs;
    mf_tally_add(&s->read, doc->size);
    if (s->min_chars > 0 && mf_characters(doc->text, doc->size) < s->min_chars) {
        mf_tally_add(&s->brief, doc->size);
        return enough;
    }
    uint64_t hash = mf_text_hash(doc->text, doc->size);
    int status = mf_selection_is_copy(s, doc, hash, err);
    if (status == 0)
        status = s->splitting ? split_one(s, doc, hash, err) : mf_selection_hand_on(s, doc, MF_TRAIN, err);
    return status < 0 ? -1 : enough;
}
