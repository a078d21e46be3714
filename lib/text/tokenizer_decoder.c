/* Reading the decoder of a tokenizer.json. What it does to each token is done once, when the file is read, so
 * that decoding is to join the tokens' bytes; what it does to the joined text is left out of the first token.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "text/growth.h"
#include "text/tokenizer_internal.h"

static int refuse(struct reading *r, const char *what) {
    return reading_bad(r, "not supported: a decoder with", what);
}

static int add(struct reading *r, struct decode_step step) {
    if (r->n_decode == DECODE_STEPS) return refuse(r, "so many steps");
    r->decode[r->n_decode++] = step;
    return 0;
}

static int read_replace(struct reading *r, const json_t *part) {
    const json_t *pattern = json_object_get(json_object_get(part, "pattern"), "String"),
                 *content = json_object_get(part, "content");
    if (!json_string_length(pattern) || !json_is_string(content))
        return refuse(r, "a Replace of anything but a String");
    return add(r, (struct decode_step){.kind = DECODE_REPLACE,
                                       .pattern = json_string_value(pattern),
                                       .pattern_size = json_string_length(pattern),
                                       .content = json_string_value(content),
                                       .content_size = json_string_length(content)});
}

/* Before Fuse of each token, behind it of the text: there only its first blank can go. */
static int read_strip(struct reading *r, const json_t *part, bool fused) {
    const json_t *content = json_object_get(part, "content");
    const json_t *from = json_object_get(part, "start"), *to = json_object_get(part, "stop");
    const json_int_t start = json_integer_value(from), stop = json_integer_value(to);
    if (!json_string_length(content) || !json_is_integer(from) || !json_is_integer(to) || start < 0 ||
        stop < 0 || start > 1000 || stop > 1000)
        return refuse(r, "a Strip of no character, or of so many");
    if (!fused)
        return add(r, (struct decode_step){.kind = DECODE_STRIP,
                                           .content = json_string_value(content),
                                           .content_size = json_string_length(content),
                                           .start = (size_t)start,
                                           .stop = (size_t)stop});
    if (strcmp(json_string_value(content), " ") != 0 || start > 1 || stop > 0)
        return refuse(r, "a Strip of more than a text's first blank");
    r->t->blank_lead = start == 1;
    return 0;
}

static int read_metaspace(struct reading *r, const json_t *part) {
    const json_t *mark = json_object_get(part, "replacement"),
                 *scheme = json_object_get(part, "prepend_scheme");
    if (!json_string_length(mark)) return refuse(r, "a Metaspace without a replacement");
    r->t->blanks_lead = true;
    if (reading_flag(r, part, "add_prefix_space", &r->t->blanks_lead) < 0) return -1;
    if (!reading_absent(scheme) && !json_is_string(scheme))
        return refuse(r, "a prepend_scheme that is no string");
    if (json_is_string(scheme)) r->t->blanks_lead = strcmp(json_string_value(scheme), "never") != 0;
    return add(r, (struct decode_step){.kind = DECODE_MARK,
                                       .pattern = json_string_value(mark),
                                       .pattern_size = json_string_length(mark),
                                       .content = " ",
                                       .content_size = 1});
}

/* Bytes that fall back are joined to characters, and no step may look at those. */
static int read_part(struct reading *r, const json_t *part, bool *fused) {
    const char *type = reading_type(part);
    bool bytes = r->n_decode && r->decode[r->n_decode - 1].kind == DECODE_FALLBACK;
    if (strcmp(type, "Fuse") == 0) {
        *fused = true;
        return 0;
    }
    if (strcmp(type, "Strip") == 0 && (*fused || !bytes)) return read_strip(r, part, *fused);
    if (*fused || bytes) return refuse(r, "steps in this order");
    if (strcmp(type, "Replace") == 0) return read_replace(r, part);
    if (strcmp(type, "ByteFallback") == 0) return add(r, (struct decode_step){.kind = DECODE_FALLBACK});
    if (strcmp(type, "Metaspace") == 0) return read_metaspace(r, part);
    return reading_unsupported(r, "decoder", part);
}

int decoder_read(struct reading *r, const json_t *part) {
    const json_t *item, *list;
    size_t i;
    bool fused = false;
    if (!r->t->characters) /* without a decoder the library puts blanks between tokens, which we do not */
        return reading_absent(part) || strcmp(reading_type(part), "ByteLevel") == 0
                   ? 0
                   : reading_unsupported(r, "decoder", part);
    if (reading_absent(part)) return reading_bad(r, "no decoder, and no ByteLevel pre_tokenizer", NULL);
    if (strcmp(reading_type(part), "Sequence") != 0) return read_part(r, part, &fused);
    if (reading_list(r, part, "decoders", &list) < 0) return -1;
    json_array_foreach(list, i, item) {
        if (read_part(r, item, &fused) < 0) return -1;
    }
    return 0;
}

/* --- tokens --- */

/* `limit`: bytes that may be behind r->bytes at last. */
static int put_replaced(struct reading *r, const struct decode_step *s, const char *text, size_t size,
                        size_t limit) {
    for (const char *end = text + size, *next; text < end; text = next + s->pattern_size) {
        next = memmem(text, (size_t)(end - text), s->pattern, s->pattern_size);
        if (mf_text_add(&r->bytes, text, (size_t)((next ? next : end) - text), r->err) < 0) return -1;
        if (!next) return 0;
        if (mf_text_add(&r->bytes, s->content, s->content_size, r->err) < 0) return -1;
        if (r->bytes.size > limit)
            return refuse(r, "a Replace that makes more than 32 times as much of a token");
    }
    return 0;
}

/* "<0x0A>" is the byte 10. */
static int put_fallback(struct reading *r, const char *text, size_t size) {
    bool is_byte = size == 6 && memcmp(text, "<0x", 3) == 0 && text[5] == '>' &&
                   isxdigit((unsigned char)text[3]) && isxdigit((unsigned char)text[4]);
    char byte = is_byte ? (char)strtoul(text + 3, NULL, 16) : 0;
    return is_byte ? mf_text_add(&r->bytes, &byte, 1, r->err) : mf_text_add(&r->bytes, text, size, r->err);
}

static int put_stripped(struct reading *r, const struct decode_step *s, const char *text, size_t size) {
    for (size_t i = 0; i < s->start && size >= s->content_size; i++) {
        if (memcmp(text, s->content, s->content_size) != 0) break;
        text += s->content_size;
        size -= s->content_size;
    }
    for (size_t i = 0; i < s->stop && size >= s->content_size; i++) {
        if (memcmp(text + size - s->content_size, s->content, s->content_size) != 0) break;
        size -= s->content_size;
    }
    return mf_text_add(&r->bytes, text, size, r->err);
}

static int put_step(struct reading *r, const struct decode_step *s, const char *text, size_t size,
                    size_t limit) {
    if (s->kind == DECODE_FALLBACK) return put_fallback(r, text, size);
    if (s->kind == DECODE_STRIP) return put_stripped(r, s, text, size);
    return put_replaced(r, s, text, size, limit);
}

/* Each step reads what the one before it wrote behind the bytes, and its own result is moved over that. */
int decoder_put(struct reading *r, const char *text, size_t size, size_t *put) {
    const size_t begin = r->bytes.size;
    if (mf_text_add(&r->bytes, text, size, r->err) < 0) return -1;
    for (size_t i = 0; i < r->n_decode; i++) {
        const size_t from = r->bytes.size;
        char *copy = malloc(from - begin + 1);
        if (!copy) mf_no_memory();
        memcpy(copy, r->bytes.bytes + begin, from - begin);
        int status = put_step(r, &r->decode[i], copy, from - begin, from + MF_GROWTH * size);
        free(copy);
        if (status < 0) return -1;
        memmove(r->bytes.bytes + begin, r->bytes.bytes + from, r->bytes.size - from);
        r->bytes.size -= from - begin;
    }
    *put = r->bytes.size - begin;
    return 0;
}
