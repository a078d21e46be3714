/* Marks in their canonical order. */
#ifndef MF_TEXT_FORMS_ORDER_H
#define MF_TEXT_FORMS_ORDER_H

#include <stdbool.h>
#include <stddef.h>

/* Valid UTF-8 with its characters taken apart (`compat`: also those that are only compatible), and each run
 * of marks in the order of their combining classes, those of one class as they are (The Unicode Standard,
 * D109): NFD or NFKD, from which the composed forms are the same as from the text. It takes time in
 * proportion to the size, where utf8proc takes the square of a run's. New, freed by free(). */
char *mf_marks_order(const char *text, size_t size, bool compat, size_t *ordered);

#endif
