/* Ordering marks: a counting sort of each run. */
#include "text/forms_order.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include "base/memory.h"

#define CLASSES 256
#define APART   32 /* characters that one comes apart into, at most; Unicode's longest is 18 */

/* Characters, and room to sort them. */
struct points {
    int32_t *items, *other;
    size_t n, capacity;
};

static void add(struct points *p, const int32_t *from, size_t n) {
    if (!p->items || p->capacity - p->n < n) {
        p->capacity = 2 * p->capacity + n + 256;
        p->items = realloc(p->items, p->capacity * sizeof *p->items);
        if (!p->items) mf_no_memory();
    }
    memcpy(p->items + p->n, from, n * sizeof *from);
    p->n += n;
}

static void take_apart(struct points *p, const char *text, size_t size, utf8proc_option_t options) {
    int32_t c, to[APART];
    int bounds = UTF8PROC_BOUNDCLASS_START;
    for (size_t at = 0; at < size;) {
        at +=
            (size_t)utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(size - at), &c);
        utf8proc_ssize_t n = utf8proc_decompose_char(c, to, APART, options, &bounds);
        if (n < 0 || n > APART) abort();
        add(p, to, (size_t)n);
    }
}

static unsigned char class_of(int32_t c) {
    return (unsigned char)utf8proc_get_property(c)->combining_class;
}

static void sort_run(struct points *p, size_t from, size_t n) {
    int32_t *marks = p->items + from;
    size_t begin[CLASSES + 1] = {0};
    for (size_t i = 0; i < n; i++) begin[class_of(marks[i]) + 1]++;
    for (size_t i = 1; i <= CLASSES; i++) begin[i] += begin[i - 1];
    for (size_t i = 0; i < n; i++) p->other[begin[class_of(marks[i])]++] = marks[i];
    memcpy(marks, p->other, n * sizeof *marks);
}

static void sort_runs(struct points *p) {
    size_t end;
    p->other = malloc((p->n + 1) * sizeof *p->other);
    if (!p->other) mf_no_memory();
    for (size_t i = 0; i < p->n; i = end + 1) {
        for (end = i; end < p->n && class_of(p->items[end]) > 0; end++) {
        }
        if (end - i > 1) sort_run(p, i, end - i);
    }
}

char *mf_marks_order(const char *text, size_t size, bool compat, size_t *ordered) {
    struct points p = {0};
    take_apart(&p, text, size,
               (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compat ? UTF8PROC_COMPAT : 0)));
    sort_runs(&p);
    char *out = malloc(4 * p.n + 1);
    if (!out) mf_no_memory();
    *ordered = 0;
    for (size_t i = 0; i < p.n; i++)
        *ordered += (size_t)utf8proc_encode_char(p.items[i], (utf8proc_uint8_t *)out + *ordered);
    free(p.items);
    free(p.other);
    return out;
}
