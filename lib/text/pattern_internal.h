/* What compiling a pattern (pattern.c) and translating it (pattern_translate.c) share. */
#ifndef MF_TEXT_PATTERN_INTERNAL_H
#define MF_TEXT_PATTERN_INTERNAL_H

#include <stddef.h>
#include "base/err.h"

/* The pattern for PCRE2 in *out, freed by free(). EX_DATAERR, naming what is not supported. */
int pattern_translate(const char *text, size_t size, char **out, size_t *out_size, struct mf_err *err);

#endif
