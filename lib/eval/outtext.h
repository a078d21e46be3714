/* Text that grows token by token and is handed on as soon as it is settled: whole characters only, nothing
 * that may still turn out to belong to a stop string. */
#ifndef MF_EVAL_OUTTEXT_H
#define MF_EVAL_OUTTEXT_H

#include <stdbool.h>
#include "base/strings.h"

struct mf_outtext {
    const struct mf_strs *stops; /* borrowed; NULL or empty: none. An empty string among them never stops */
    char *bytes;                 /* all text so far, valid UTF-8 only where it was handed on */
    size_t size, capacity;
    size_t done; /* bytes handed on */
    bool stopped;
};

/* Appends bytes; true when a stop string is complete: the text then ends before it. */
bool mf_outtext_add(struct mf_outtext *t, const char *bytes, size_t size);

/* The next settled text: 1, valid UTF-8 (U+FFFD for stray bytes), borrowed until the next call; 0 when there
 * is none. With `end` everything is settled. To be called until it returns 0. */
int mf_outtext_next(struct mf_outtext *t, bool end, const char **bytes, size_t *size);

void mf_outtext_clear(struct mf_outtext *t); /* frees the text; keeps the stops */

#endif
