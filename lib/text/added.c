/* Added tokens in a text. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "text/pretokenize.h"
#include "text/tokenizer_internal.h"

/* --- in order --- */

static int by_text(const void *a, const void *b) {
    const struct added *x = ((const struct added_item *)a)->added, *y = ((const struct added_item *)b)->added;
    int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);
    if (order == 0) order = (x->size > y->size) - (x->size < y->size);
    return order ? order : (x > y) - (x < y);
}

static bool same_text(const struct added_item *a, const struct added_item *b) {
    return a->added->size == b->added->size && memcmp(a->added->text, b->added->text, a->added->size) == 0;
}

static void sort(const struct mf_tokenizer *t, bool late, struct added_index *index) {
    index->items = calloc(t->n_added + 1, sizeof *index->items);
    if (!index->items) mf_no_memory();
    for (size_t i = 0; i < t->n_added; i++)
        if (t->added[i].late == late) index->items[index->n++].added = &t->added[i];
    qsort(index->items, index->n, sizeof *index->items, by_text);
    for (size_t i = index->n; i-- > 0;) {
        struct added_item *item = &index->items[i];
        item->plain = item->added;
        if (item->added->special)
            item->plain = i + 1 < index->n && same_text(item, item + 1) ? item[1].plain : NULL;
    }
    for (size_t i = 0; i < index->n; i++)
        index->first[(unsigned char)*index->items[i].added->text + 1] = i + 1;
    for (size_t c = 1; c <= 256; c++)
        if (index->first[c] < index->first[c - 1]) index->first[c] = index->first[c - 1];
}

void added_sort(struct mf_tokenizer *t) {
    for (int late = 0; late < 2; late++) sort(t, late, &t->index[late]);
}

/* --- in a text --- */

/* The first item in [low, high), which all begin with the same `depth` bytes, whose next byte is `c` or more.
 */
static size_t bound(const struct added_index *index, size_t low, size_t high, size_t depth, int c) {
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct added *a = index->items[middle].added;
        if (a->size <= depth || (unsigned char)a->text[depth] < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest one spelled at the beginning of text, or NULL. */
static const struct added *spelled(const struct added_index *index, bool special, const char *text,
                                   size_t size) {
    const struct added *best = NULL;
    unsigned char c = (unsigned char)*text;
    size_t low = index->first[c], high = index->first[c + 1];
    for (size_t depth = 1; low < high; depth++) {
        const struct added_item *first = &index->items[low]; /* those of just so many bytes come first */
        const struct added *a = special ? first->added : first->plain;
        if (a && first->added->size == depth) best = a;
        if (depth == size) break;
        c = (unsigned char)text[depth];
        low = bound(index, low, high, depth, c);
        high = bound(index, low, high, depth, c + 1);
    }
    return best;
}

struct match added_find(const struct mf_tokenizer *t, bool late, bool special, const char *text, size_t size,
                        size_t from) {
    const struct added_index *index = &t->index[late];
    if (index->n == 0) return (struct match){NULL, size, size};
    for (size_t at = from; at < size; at++) {
        unsigned char c = (unsigned char)text[at];
        if (index->first[c] == index->first[c + 1]) continue;
        const struct added *a = spelled(index, special, text + at, size - at);
        if (!a) continue;
        size_t begin = at, end = at + a->size;
        if (a->single_word && (mf_ends_in_word(text, begin) || mf_begins_with_word(text + end, size - end))) {
            at = end - 1;
            continue;
        }
        if (a->lstrip) begin -= mf_space_at_end(text + from, begin - from);
        if (a->rstrip) end += mf_space_at_begin(text + end, size - end);
        return (struct match){a, begin, end};
    }
    return (struct match){NULL, size, size};
}
