/* Added tokens in a text. */
#include <string.h>
#include "text/pretokenize.h"
#include "text/tokenizer_internal.h"

/* The longest one spelled at the beginning of text, or NULL. */
static const struct added *spelled(const struct mf_tokenizer *t, bool late, bool special, const char *text,
                                   size_t size) {
    const struct added *best = NULL;
    for (size_t i = 0; i < t->n_added; i++) {
        const struct added *a = &t->added[i];
        if (a->late != late || (a->special && !special) || a->size > size || (best && a->size <= best->size))
            continue;
        if (memcmp(text, a->text, a->size) == 0) best = a;
    }
    return best;
}

struct match added_find(const struct mf_tokenizer *t, bool late, bool special, const char *text, size_t size,
                        size_t from) {
    for (size_t at = from; at < size; at++) {
        if (!t->begins[late][(unsigned char)text[at]]) continue;
        const struct added *a = spelled(t, late, special, text + at, size - at);
        if (!a) continue;
        size_t begin = at, end = at + a->size;
        if (a->single_word && (mf_ends_in_word(text, begin) || mf_begins_with_word(text + end, size - end))) {
            at = end - 1;
            continue;
        }
        if (a->lstrip) {
            begin -= mf_space_at_end(text, begin);
            if (begin < from) begin = from;
        }
        if (a->rstrip) end += mf_space_at_begin(text + end, size - end);
        return (struct match){a, begin, end};
    }
    return (struct match){NULL, size, size};
}
