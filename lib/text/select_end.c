/* The end of the input: large documents are cut into blocks, and all that wait are split together. */
#include <stdlib.h>

#include "text/select_internal.h"

struct last {
    struct mf_selection *s;
    uint64_t least; /* bytes of a block */
    struct mf_unit *units;
    size_t count, capacity, handed_on;
};

static int add_unit(struct last *l, struct mf_unit unit, struct mf_err *err) {
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 256;
        struct mf_unit *grown = realloc(l->units, capacity * sizeof *grown);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for splitting documents");
        l->units = grown;
        l->capacity = capacity;
    }
    l->units[l->count++] = unit;
    return 0;
}

static void next_block(struct mf_part *block, const struct mf_doc *doc, uint64_t least) {
    mf_part_next(block, doc, mf_cut_block(doc->text + block->at, doc->size - block->at, least));
}

/* Blocks are compared with all documents that are not cut and the blocks before them. */
static int add_blocks(struct last *l, const struct mf_doc *doc, struct mf_err *err) {
    struct mf_selection *s = l->s;
    struct mf_part block;
    int status = 0;
    mf_part_begin(&block, doc);
    while (block.at < doc->size && status >= 0) {
        next_block(&block, doc, l->least);
        uint64_t hash = mf_text_hash(block.doc.text, block.doc.size);
        mf_tally_add(&s->cut, block.doc.size);
        status = mf_selection_is_copy(s, &block.doc, hash, err);
        struct mf_unit unit = {.hash = hash, .size = block.doc.size, .removed = status == 1};
        if (status >= 0) status = add_unit(l, unit, err);
    }
    mf_part_end(&block);
    return status < 0 ? -1 : 0;
}

static void forget_large(struct mf_selection *s) {
    for (size_t i = 0; i < s->held.count; i++)
        if (mf_selection_is_large(s, s->held.docs[i].size))
            mf_copies_forget(s->copies, s->held.docs[i].known);
}

static int list_units(struct last *l, struct mf_err *err) {
    struct mf_held *held = &l->s->held;
    uint64_t offset = 0;
    struct mf_doc doc;
    forget_large(l->s);
    for (size_t i = 0; i < held->count; i++) {
        if (mf_selection_is_large(l->s, held->docs[i].size)) {
            if (mf_held_read(held, i, &offset, &doc, err) < 0 || add_blocks(l, &doc, err) < 0) return -1;
            continue;
        }
        struct mf_unit unit = {.hash = held->docs[i].hash, .size = held->docs[i].size};
        if (add_unit(l, unit, err) < 0) return -1;
        mf_held_skip(held, i, &offset);
    }
    return 0;
}

static int hand_on_unit(struct last *l, const struct mf_doc *doc, struct mf_err *err) {
    const struct mf_unit *unit = &l->units[l->handed_on++];
    return unit->removed ? 0 : mf_selection_hand_on(l->s, doc, unit->split, err);
}

static int hand_on_blocks(struct last *l, const struct mf_doc *doc, struct mf_err *err) {
    struct mf_part block;
    int status = 0;
    mf_part_begin(&block, doc);
    while (block.at < doc->size && l->handed_on < l->count && status == 0) {
        next_block(&block, doc, l->least);
        status = hand_on_unit(l, &block.doc, err);
    }
    mf_part_end(&block);
    return status;
}

/* The documents are read and cut once more, in the order of the units. */
static int hand_on_units(struct last *l, struct mf_err *err) {
    struct mf_held *held = &l->s->held;
    uint64_t offset = 0;
    struct mf_doc doc;
    int status = 0;
    for (size_t i = 0; l->handed_on < l->count && status == 0; i++) {
        status = mf_held_read(held, i, &offset, &doc, err);
        if (status < 0) return -1;
        status =
            mf_selection_is_large(l->s, doc.size) ? hand_on_blocks(l, &doc, err) : hand_on_unit(l, &doc, err);
    }
    return status;
}

int mf_selection_end(struct mf_selection *s, struct mf_err *err) {
    struct last last = {.s = s};
    struct mf_split_rule rule = s->rule;
    if (s->held.count == 0) return 0;
    if (s->blocks) last.least = mf_selection_block(s);
    if (s->is_decided) rule.floor = 0;
    int status = list_units(&last, err);
    if (status == 0) status = mf_split_all(&rule, last.units, last.count, &s->moved, err);
    if (status == 0) status = hand_on_units(&last, err);
    free(last.units);
    return status;
}

void mf_selection_free(struct mf_selection *s) {
    mf_held_free(&s->held);
}
