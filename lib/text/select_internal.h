/* Between the files of text/select.h. */
#ifndef MF_TEXT_SELECT_INTERNAL_H
#define MF_TEXT_SELECT_INTERNAL_H

#include "text/cut.h"
#include "text/select.h"

/* Emits a document, a longer one than max_chars in parts, all in its split. */
int mf_selection_emit(struct mf_selection *s, const struct mf_doc *doc, enum mf_split split,
                      struct mf_err *err);

/* Counts a copy and lists it in s->removed. */
int mf_selection_remove(struct mf_selection *s, uint32_t number, const struct mf_copies_doc *doc,
                        struct mf_err *err);

/* The minimum bytes of a block, a power of two: at most 1/blocks of the text, and in a large text less, 4
 * times the root of its bytes. Grows with the text. */
uint64_t mf_selection_block(const struct mf_selection *s);

/* Whether a document is large enough to be cut into blocks. One that is not will not be when the text has
 * grown; one that is may not be, which is what text/cuts.h is for. */
bool mf_selection_is_large(const struct mf_selection *s, uint64_t size);

#endif
