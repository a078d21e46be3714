/* Reading the vocabulary and the merges of a tokenizer.json. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "text/tokenizer_internal.h"

/* --- tokens --- */

/* Puts the bytes that a token stands for behind r->bytes: in the byte alphabet its letters spell them,
 * elsewhere decoders make them of its text. *size is 0 where the letters do not. */
static int put_bytes(struct reading *r, const char *text, size_t length, size_t *size) {
    if (r->t->characters) return decoder_put(r, text, length, size);
    if (mf_text_add(&r->bytes, text, length, r->err) < 0) return -1;
    r->bytes.size -= length;
    int64_t n = mf_alphabet_read(&r->alphabet, text, length, r->bytes.bytes + r->bytes.size);
    *size = n < 1 ? 0 : (size_t)n;
    r->bytes.size += *size;
    return 0;
}

/* Added tokens that are not special, late ones in their normalized spelling; one whose letters are not all of
 * the alphabet stands for its text. */
static int read_added_bytes(struct reading *r) {
    struct mf_tokenizer *t = r->t;
    for (size_t i = 0; i < t->n_added; i++) {
        const struct added *a = &t->added[i];
        struct token_bytes *p = &t->tokens[a->id];
        if (p->special) continue;
        p->at = r->bytes.size;
        if (put_bytes(r, a->text, a->size, &p->size) < 0) return -1;
        if (p->size || t->characters) continue;
        p->size = a->size;
        if (mf_text_add(&r->bytes, a->text, p->size, r->err) < 0) return -1;
    }
    return 0;
}

/* The token of a byte, of a character, or of a byte that a character falls back to. */
static void note_symbol(struct mf_tokenizer *t, const char *text, size_t length, const char *bytes,
                        size_t size, uint32_t id) {
    static const char digits[] = "0123456789ABCDEF";
    size_t n;
    if (!t->characters) {
        if (size == 1) t->byte_ids[(unsigned char)*bytes] = id;
        return;
    }
    int32_t c = length ? mf_character(text, length, &n) : -1;
    if (c >= 0 && n == length) t->character_ids[c] = id + 1;
    if (!t->byte_fallback || length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return;
    const char *high = strchr(digits, text[3]), *low = strchr(digits, text[4]);
    if (high && low) t->byte_ids[16 * (high - digits) + (low - digits)] = id;
}

static int read_token(struct reading *r, const char *text, const json_t *value, bool *seen) {
    struct mf_tokenizer *t = r->t;
    const size_t length = strlen(text), at = r->bytes.size;
    uint32_t id = 0;
    size_t size;
    if (reading_id(r, text, value, &id) < 0) return -1;
    struct token_bytes *p = &t->tokens[id];
    const bool added = p->there && p->in_vocabulary;
    if (seen[id] || (p->there && !added)) return reading_bad(r, "an id used twice, by token", text);
    seen[id] = true;
    if (put_bytes(r, text, length, &size) < 0) return -1;
    note_symbol(t, text, length, r->bytes.bytes + at, size, id);
    if (!added && size == 0 && !t->characters)
        return reading_bad(r, "a token outside the byte alphabet:", text);
    if (added) /* it has its bytes, or as a special one none */
        r->bytes.size = at;
    else
        *p = (struct token_bytes){at, size, true, false, true};
    return 0;
}

/* A first token whose blanks are not all at its beginning would lose them where the library decodes it. */
static int check_lead(struct reading *r) {
    for (size_t i = 0; r->t->blanks_lead && i < r->t->size; i++) {
        const struct token_bytes *p = &r->t->tokens[i];
        const char *text = r->t->bytes + p->at;
        size_t n = 0;
        while (n < p->size && text[n] == ' ') n++;
        if (p->size && memchr(text + n, ' ', p->size - n))
            return reading_bad(r, "not supported: a Metaspace decoder and tokens with blanks inside", NULL);
    }
    return 0;
}

static int read_tokens(struct reading *r, bool *seen) {
    struct mf_tokenizer *t = r->t;
    const char *text;
    const json_t *value;
    for (size_t b = 0; b < 256; b++) t->byte_ids[b] = -1;
    if (read_added_bytes(r) < 0) return -1;
    json_object_foreach((json_t *)(uintptr_t)r->vocab, text, value) {
        if (read_token(r, text, value, seen) < 0) return -1;
    }
    static const char slack[TOKEN_SLACK];
    if (mf_text_add(&r->bytes, slack, sizeof slack, r->err) < 0) return -1;
    t->bytes = r->bytes.bytes;
    r->bytes = (struct mf_text){0};
    return check_lead(r);
}

static int read_unk(struct reading *r, const json_t *model) {
    const json_t *name = json_object_get(model, "unk_token");
    const char *unk = json_string_value(name);
    uint32_t id = 0;
    r->t->unk = -1;
    if (reading_absent(name)) return 0;
    if (!unk) return reading_bad(r, "unk_token is not a string", NULL);
    const json_t *value = json_object_get(r->vocab, unk);
    if (!value) return reading_bad(r, "unk_token is not in the vocabulary:", unk);
    if (reading_id(r, unk, value, &id) < 0) return -1;
    r->t->unk = id;
    return 0;
}

/* ignore_merges: a word that is a token is that token. Special ones are never made of text. */
static void note_words(struct reading *r) {
    struct mf_tokenizer *t = r->t;
    const char *text;
    json_t *value;
    if (!r->whole_words) return;
    mf_whole_begin(&t->words, t->bytes, json_object_size(r->vocab));
    json_object_foreach((json_t *)(uintptr_t)r->vocab, text, value) {
        uint32_t id = (uint32_t)json_integer_value(value);
        if (!t->tokens[id].special)
            mf_whole_put(&t->words, t->tokens[id].at, (uint32_t)t->tokens[id].size, id);
    }
}

int vocab_read(struct reading *r, const json_t *model) {
    struct mf_tokenizer *t = r->t;
    bool *seen = calloc(t->size, sizeof *seen);
    if (t->characters) t->character_ids = calloc(CODE_POINTS, sizeof *t->character_ids);
    if (!seen || (t->characters && !t->character_ids)) mf_no_memory();
    int status = read_tokens(r, seen);
    free(seen);
    if (status == 0) status = read_unk(r, model);
    if (status < 0) return -1;
    for (size_t b = 0; b < 256 && !t->characters && t->byte_fallback; b++)
        if (t->byte_ids[b] < 0)
            return reading_bad(r, "not supported: byte_fallback with ByteLevel and bytes without a token",
                               NULL);
    note_words(r);
    return 0;
}
