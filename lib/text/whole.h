/* Words that are tokens: bytes to ids. */
#ifndef MF_TEXT_WHOLE_H
#define MF_TEXT_WHOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Open addressing over bytes that belong to others. Zeroed at first: it holds nothing. */
struct mf_whole {
    const char *bytes;
    struct mf_whole_slot {
        size_t at;
        uint32_t size, id; /* size 0: empty */
    } * slots;
    size_t capacity;
};

/* Takes at most `count` words, all parts of `bytes`. Ends the process when memory is out. */
void mf_whole_begin(struct mf_whole *whole, const char *bytes, size_t count);
void mf_whole_put(struct mf_whole *whole, size_t at, uint32_t size, uint32_t id);
bool mf_whole_get(const struct mf_whole *whole, const char *word, size_t size, uint32_t *id);
void mf_whole_free(struct mf_whole *whole);

#endif
