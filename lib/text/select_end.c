/* The end of the input: copies are decided, large documents are cut into blocks, and all are split and handed
 * on. Documents are numbered as they were read; blocks are numbered behind them, in their order. */
#include <stdlib.h>

#include "text/minhash.h"
#include "text/select_internal.h"

struct last {
    struct mf_selection *s;
    uint32_t count;        /* documents */
    uint32_t next_block;   /* its number */
    uint64_t min;          /* bytes of a block of what is cut now; 0: nothing is cut */
    struct mf_unit *units; /* of all documents and blocks by their numbers; NULL: hashes alone split them */
};

/* --- copies --- */

static int remove_copies(struct last *l, uint32_t begin, uint32_t end, struct mf_err *err) {
    struct mf_selection *s = l->s;
    struct mf_copies_doc doc;
    for (uint32_t i = begin; i < end; i++) {
        if (mf_copies_read(s->copies, i, &doc, err) < 0) return -1;
        if (doc.copy != MF_COPY_NONE && mf_selection_remove(s, i, &doc, err) < 0) return -1;
        if (doc.copy == MF_COPY_NONE && i < l->count) s->total += doc.size;
    }
    return 0;
}

/* --- blocks --- */

static void next_block(struct mf_part *block, const struct mf_doc *doc, uint64_t min) {
    mf_part_next(block, doc, mf_cut_block(doc->text + block->at, doc->size - block->at, min));
}

static int add_blocks(struct last *l, const struct mf_doc *doc, uint64_t min, struct mf_err *err) {
    struct mf_part block;
    int status = 0;
    mf_part_begin(&block, doc);
    while (block.at < doc->size && status == 0) {
        next_block(&block, doc, min);
        const struct mf_doc *b = &block.doc;
        mf_tally_add(&l->s->cut, b->size);
        status = mf_copies_add(l->s->copies, mf_text_hash(b->text, b->size), b, err);
    }
    mf_part_end(&block);
    return status;
}

/* The minimum bytes of a document's blocks, as it was cut before, or else as it is now where it is large; 0:
 * it is not kept, or whole. */
static int find_cut(const struct last *l, uint32_t number, struct mf_copies_doc *doc, uint64_t *min,
                    struct mf_err *err) {
    *min = 0;
    if (mf_copies_read(l->s->copies, number, doc, err) < 0) return -1;
    if (l->min == 0 || doc->copy != MF_COPY_NONE) return 0;
    if (l->s->cuts) *min = mf_cuts_find(l->s->cuts, doc->hash);
    if (*min == 0 && mf_selection_is_large(l->s, doc->size)) *min = l->min;
    return 0;
}

/* Nothing is a copy of what is cut. *end: behind the last such document. */
static int forget_large(struct last *l, uint32_t *end, struct mf_err *err) {
    struct mf_copies_doc doc;
    uint64_t min;
    *end = 0;
    for (uint32_t i = 0; l->min > 0 && i < l->count; i++) {
        if (find_cut(l, i, &doc, &min, err) < 0) return -1;
        if (min && mf_copies_forget(l->s->copies, i, err) < 0) return -1;
        if (min) *end = i + 1;
    }
    return 0;
}

/* Blocks are compared with all documents that are not cut and the blocks before them. */
static int cut_large(struct last *l, struct mf_err *err) {
    struct mf_copies_doc known;
    struct mf_doc doc;
    uint64_t min;
    uint32_t end;
    if (forget_large(l, &end, err) < 0) return -1;
    if (end == 0) return 0;
    if (mf_doc_spool_begin(&l->s->spool, err) < 0) return -1;
    for (uint32_t i = 0; i < end; i++) {
        if (find_cut(l, i, &known, &min, err) < 0 || mf_doc_spool_next(&l->s->spool, &doc, err) < 0)
            return -1;
        if (min && l->s->cuts && !mf_cuts_find(l->s->cuts, known.hash))
            mf_cuts_add(l->s->cuts, known.hash, min);
        if (min && add_blocks(l, &doc, min, err) < 0) return -1;
    }
    if (mf_copies_decide(l->s->copies, err) < 0) return -1;
    return remove_copies(l, l->count, mf_copies_count(l->s->copies), err);
}

/* --- splits --- */

/* A document, or a block of one; one that is in no split counts as removed. */
static int read_unit(const struct last *l, uint32_t number, struct mf_unit *unit, struct mf_err *err) {
    struct mf_copies_doc doc;
    uint64_t min;
    if (find_cut(l, number, &doc, &min, err) < 0) return -1;
    *unit = (struct mf_unit){.hash = doc.hash, .size = doc.size, .split = mf_split_of(&l->s->rule, doc.hash)};
    unit->removed = doc.copy != MF_COPY_NONE || (min && number < l->count);
    return 0;
}

/* Where hashes alone give validation and test enough, no list is made. */
static int split(struct last *l, struct mf_err *err) {
    struct mf_split_sums sums = {0};
    uint32_t n = mf_copies_count(l->s->copies);
    struct mf_unit unit;
    for (uint32_t i = 0; i < n; i++) {
        if (read_unit(l, i, &unit, err) < 0) return -1;
        if (!unit.removed) mf_split_sums_add(&sums, &l->s->rule, &unit);
    }
    if (mf_split_is_enough(&sums, &l->s->rule)) return 0;
    l->units = malloc((n + (size_t)1) * sizeof *l->units);
    if (!l->units) return mf_err_set(err, EX_OSERR, "out of memory for splitting documents");
    for (uint32_t i = 0; i < n; i++)
        if (read_unit(l, i, &l->units[i], err) < 0) return -1;
    return mf_split_all(&l->s->rule, l->units, n, &l->s->moved, err);
}

/* --- handing on --- */

static int emit(const struct last *l, const struct mf_doc *doc, uint32_t number, struct mf_err *err) {
    struct mf_unit unit = {.split = MF_TRAIN};
    if (l->units)
        unit = l->units[number];
    else if (l->s->splitting && read_unit(l, number, &unit, err) < 0)
        return -1;
    return unit.removed ? 0 : mf_selection_emit(l->s, doc, unit.split, err);
}

static int emit_blocks(struct last *l, const struct mf_doc *doc, uint64_t min, struct mf_err *err) {
    struct mf_part block;
    int status = 0;
    mf_part_begin(&block, doc);
    while (block.at < doc->size && status == 0) {
        next_block(&block, doc, min);
        status = emit(l, &block.doc, l->next_block++, err);
    }
    mf_part_end(&block);
    return status;
}

static int emit_all(struct last *l, struct mf_err *err) {
    struct mf_copies_doc known;
    struct mf_doc doc;
    uint64_t min;
    if (mf_doc_spool_begin(&l->s->spool, err) < 0) return -1;
    for (uint32_t i = 0; i < l->count; i++) {
        if (find_cut(l, i, &known, &min, err) < 0 || mf_doc_spool_next(&l->s->spool, &doc, err) < 0)
            return -1;
        if (known.copy != MF_COPY_NONE) continue;
        l->s->at = i;
        if ((min ? emit_blocks(l, &doc, min, err) : emit(l, &doc, i, err)) < 0) return -1;
    }
    return 0;
}

int mf_selection_end(struct mf_selection *s, struct mf_err *err) {
    struct last last = {.s = s, .count = mf_copies_count(s->copies)};
    last.next_block = last.count;
    if (last.count == 0) return 0;
    if (mf_copies_decide(s->copies, err) < 0 || remove_copies(&last, 0, last.count, err) < 0) return -1;
    if (s->splitting && s->blocks) last.min = mf_selection_block(s);
    int status = cut_large(&last, err);
    if (status == 0 && s->splitting) status = split(&last, err);
    if (status == 0) status = emit_all(&last, err);
    free(last.units);
    return status;
}

void mf_selection_free(struct mf_selection *s) {
    mf_doc_spool_free(&s->spool);
}
