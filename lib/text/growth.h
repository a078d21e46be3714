/* How much longer a tokenizer's steps may make a text. Unicode's forms make 11 bytes of one at most, marks
 * for blanks 3, and no public tokenizer more than 13; steps in a row could fill any memory. */
#ifndef MF_TEXT_GROWTH_H
#define MF_TEXT_GROWTH_H

#include <stddef.h>
#include <stdint.h>

#define MF_GROWTH      ((size_t)32)   /* times a text's bytes */
#define MF_GROWTH_FREE ((size_t)1024) /* and so many more, for what is put before it */

static inline size_t mf_growth_limit(size_t size) {
    return size < (SIZE_MAX - MF_GROWTH_FREE) / MF_GROWTH ? MF_GROWTH * size + MF_GROWTH_FREE : SIZE_MAX;
}

#endif
