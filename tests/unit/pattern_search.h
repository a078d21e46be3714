/* Searching for a pattern. */
#ifndef TESTS_PATTERN_SEARCH_H
#define TESTS_PATTERN_SEARCH_H

#include "scratch.h"
#include "text/pattern.h"

static struct mf_err err;

static inline struct mf_search *search_for(enum mf_pattern_kind kind, const char *text,
                                           struct mf_pattern **pattern) {
    if (mf_pattern_new(pattern, kind, text, strlen(text), &err) < 0) fail_msg("%s", err.text);
    return mf_search_new(*pattern);
}

#endif
