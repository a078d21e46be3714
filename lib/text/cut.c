/* Cutting long documents. */
#include "text/cut.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static bool continues(char c) {
    return ((unsigned char)c & 0xc0) == 0x80;
}

uint64_t mf_characters(const char *text, size_t size) {
    uint64_t n = 0;
    for (size_t i = 0; i < size; i++) n += !continues(text[i]);
    return n;
}

size_t mf_characters_prefix(const char *text, size_t size, uint64_t limit) {
    size_t i = 0;
    for (uint64_t n = 0; i < size; i++)
        if (!continues(text[i]) && n++ == limit) break;
    return i;
}

/* --- parts: as long as allowed --- */

/* Behind the last `mark` in text[0..size), or 0 when it has none or only in its first quarter. */
static size_t last_end(const char *text, size_t size, const char *mark) {
    size_t n = strlen(mark);
    for (size_t i = size; i > size / 4 && i >= n; i--)
        if (memcmp(text + i - n, mark, n) == 0) return i;
    return 0;
}

size_t mf_cut_part(const char *text, size_t size, uint64_t limit) {
    static const char *const marks[] = {"\n\n", "\n", " "};
    size_t max = mf_characters_prefix(text, size, limit);
    if (max == size) return size;
    for (size_t i = 0; i < 3; i++) {
        size_t at = last_end(text, max, marks[i]);
        if (at) return at;
    }
    return max ? max : size;
}

/* --- blocks: as short as allowed --- */

/* Whether the line that ends in a newline at `at` holds nothing but white space. */
static bool blank_line(const char *text, size_t at) {
    while (at > 0 && memchr(" \t\r", text[at - 1], 3)) at--;
    return at == 0 || text[at - 1] == '\n';
}

static bool ends_paragraph(const char *text, size_t at) {
    return text[at - 1] == '\n' && blank_line(text, at - 1);
}

static bool ends_line(const char *text, size_t at) {
    return text[at - 1] == '\n';
}

static bool ends_word(const char *text, size_t at) {
    return text[at - 1] == ' ';
}

static bool ends_character(const char *text, size_t at) {
    return !continues(text[at]);
}

size_t mf_cut_block(const char *text, size_t size, size_t min) {
    static bool (*const ends[])(const char *text, size_t at) = {ends_paragraph, ends_line, ends_word,
                                                                ends_character};
    if (size / 2 < min) return size;
    size_t max = 2 * min - 1 < size - min ? 2 * min - 1 : size - min;
    for (size_t i = 0; i < 4; i++)
        for (size_t at = min; at <= max; at++)
            if (ends[i](text, at)) return at;
    return min;
}

/* --- parts as documents --- */

void mf_part_begin(struct mf_part *p, const struct mf_doc *doc) {
    *p = (struct mf_part){.doc = *doc, .id = malloc(doc->id_size + 32), .id_size = doc->id_size};
    if (!p->id) mf_no_memory();
    if (doc->id_size) memcpy(p->id, doc->id, doc->id_size);
    p->doc.id = p->id;
    p->doc.signature = NULL; /* is of the whole text */
}

void mf_part_next(struct mf_part *p, const struct mf_doc *doc, size_t size) {
    p->doc.text = doc->text + p->at;
    p->doc.size = size;
    p->doc.id_size = p->id_size + (size_t)snprintf(p->id + p->id_size, 32, "+%llu", ++p->number);
    p->at += size;
}

void mf_part_end(struct mf_part *p) {
    free(p->id);
}
