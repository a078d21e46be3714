/* Where long documents are cut. */
#ifndef MF_TEXT_CUT_H
#define MF_TEXT_CUT_H

#include "text/docs.h"

/* Characters of UTF-8: bytes that do not continue one. */
uint64_t mf_characters(const char *text, size_t size);

/* The bytes of the first `limit` characters, or all of them. */
size_t mf_characters_prefix(const char *text, size_t size, uint64_t limit);

/* The bytes of the first part of at most `limit` (> 0) characters: it ends behind the last paragraph, else
 * line, else space that is not in its first quarter, else between two characters. 0 only when size is. */
size_t mf_cut_part(const char *text, size_t size, uint64_t limit);

/* The bytes of the first block, at least `min` (> 0) and fewer than twice as many, unless the text is
 * shorter: it ends behind the first paragraph, else line, else space, else character at `min` bytes or
 * more. What it leaves is nothing or a block. */
size_t mf_cut_block(const char *text, size_t size, size_t min);

/* The parts of a document, one after the other: the same but for text and id, which is ID+1, ID+2, ... */
struct mf_part {
    struct mf_doc doc; /* the part; its text is the whole document's */
    size_t at;         /* where the next one begins in the text */
    char *id;
    size_t id_size; /* of the whole document's id */
    unsigned long long number;
};

void mf_part_begin(struct mf_part *part, const struct mf_doc *doc);
void mf_part_next(struct mf_part *part, const struct mf_doc *doc, size_t size); /* the next `size` bytes */
void mf_part_end(struct mf_part *part);

#endif
