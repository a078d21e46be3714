/* A loaded tokenizer, and decoding with it. */
#include "text/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

const char *const mf_special_names[MF_SPECIALS] = {"<pad>", "<unk>", "<bos>", "<eos>"};

void mf_tokenizer_free(struct mf_tokenizer *t) {
    if (!t) return;
    free(t->tokens);
    free(t->bytes);
    free(t->added);
    free(t->index[0].items);
    free(t->index[1].items);
    free(t->character_ids);
    mf_normal_free(&t->normal);
    mf_split_steps_free(&t->steps);
    mf_whole_free(&t->words);
    free(t->before.ids);
    free(t->after.ids);
    mf_pair_map_free(&t->merges);
    free(t->path);
    free(t);
}

size_t mf_tokenizer_size(const struct mf_tokenizer *t) {
    return t->size;
}

const char *mf_tokenizer_sha256(const struct mf_tokenizer *t) {
    return t->sha256;
}

int64_t mf_tokenizer_special(const struct mf_tokenizer *t, enum mf_special_id special) {
    return t->known[special];
}

bool mf_tokenizer_is_special(const struct mf_tokenizer *t, uint32_t id) {
    return id < t->size && t->tokens[id].special;
}

void mf_tokenizer_bytes(const struct mf_tokenizer *t, uint32_t id, const char **bytes, size_t *size) {
    *bytes = t->bytes;
    *size = 0;
    if (id >= t->size || t->tokens[id].special) return;
    *bytes = t->bytes + t->tokens[id].at;
    *size = t->tokens[id].size;
}

size_t mf_tokenizer_lead(const struct mf_tokenizer *t, uint32_t id) {
    const char *bytes;
    size_t size, n = 0;
    mf_tokenizer_bytes(t, id, &bytes, &size);
    const size_t max = t->blanks_lead ? size : t->blank_lead && size ? 1 : 0;
    while (n < max && bytes[n] == ' ') n++;
    return n;
}

/* --- lists of ids --- */

static int ids_capacity(struct mf_ids *ids, size_t more, struct mf_err *err) {
    if (ids->drain && ids->count >= MF_IDS_DRAIN && ids->drain(ids->context, ids, err) < 0) return -1;
    if (ids->capacity - ids->count >= more) return 0;
    size_t capacity = 2 * ids->capacity + more + 256;
    uint32_t *grown = realloc(ids->ids, capacity * sizeof *grown);
    if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for %zu tokens", capacity);
    ids->ids = grown;
    ids->capacity = capacity;
    return 0;
}

int mf_ids_add(struct mf_ids *ids, uint32_t id, struct mf_err *err) {
    if (ids_capacity(ids, 1, err) < 0) return -1;
    ids->ids[ids->count++] = id;
    return 0;
}

int ids_append(struct mf_ids *ids, const uint32_t *from, size_t n, struct mf_err *err) {
    if (n == 0) return 0;
    if (ids_capacity(ids, n, err) < 0) return -1;
    memcpy(ids->ids + ids->count, from, n * sizeof *from);
    ids->count += n;
    return 0;
}

/* --- texts --- */

/* Room for `more` bytes; an empty text has a place of its own too, which is not NULL. */
static int text_capacity(struct mf_text *text, size_t more, struct mf_err *err) {
    if (text->bytes && text->capacity - text->size >= more) return 0;
    size_t capacity = 2 * text->capacity + more + 4096;
    char *grown = realloc(text->bytes, capacity);
    if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for a text of %zu bytes", capacity);
    text->bytes = grown;
    text->capacity = capacity;
    return 0;
}

int mf_text_add(struct mf_text *text, const char *bytes, size_t size, struct mf_err *err) {
    if (text_capacity(text, size, err) < 0) return -1;
    if (size) memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    return 0;
}

int mf_decode(const struct mf_tokenizer *t, const uint32_t *ids, size_t n, struct mf_text *text,
              struct mf_err *err) {
    bool first = text->size == 0 && (t->blank_lead || t->blanks_lead);
    for (size_t i = 0; i < n; i++) {
        if (ids[i] >= t->size) continue;
        struct token_bytes p = t->tokens[ids[i]];
        if (text_capacity(text, p.size + TOKEN_SLACK, err) < 0) return -1;
        if (first && p.size) {
            size_t lead = mf_tokenizer_lead(t, ids[i]);
            p.at += lead;
            p.size -= lead;
            first = false;
        }
        /* copying a fixed number of bytes is much faster, and most tokens are short */
        if (p.size <= TOKEN_SLACK)
            memcpy(text->bytes + text->size, t->bytes + p.at, TOKEN_SLACK);
        else
            memcpy(text->bytes + text->size, t->bytes + p.at, p.size);
        text->size += p.size;
    }
    return 0;
}
