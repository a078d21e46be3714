/* Reading the merges of a tokenizer.json. */
#include <stdlib.h>
#include <string.h>
#include "text/tokenizer_internal.h"

/* Added tokens of several bytes that need no merges. */
static size_t plain_added(const struct mf_tokenizer *t) {
    size_t n = 0;
    for (size_t i = 0; i < t->n_added; i++) n += !t->added[i].special && t->tokens[t->added[i].id].size > 1;
    return n;
}

/* The two halves of a merge: "a b", or ["a", "b"]. */
static int split_merge(struct reading *r, const json_t *merge, size_t i, const char **left, size_t *left_size,
                       const char **right) {
    const json_t *a = json_array_get(merge, 0), *b = json_array_get(merge, 1);
    if (json_is_array(merge) && json_array_size(merge) == 2 && json_is_string(a) && json_is_string(b)) {
        *left = json_string_value(a);
        *left_size = json_string_length(a);
        *right = json_string_value(b);
        return 0;
    }
    const char *both = json_string_value(merge), *space = both ? strchr(both, ' ') : NULL;
    if (!space || strchr(space + 1, ' '))
        return mf_err_set(r->err, EX_DATAERR, "%s: merge %zu is neither \"a b\" nor [\"a\", \"b\"]", r->path,
                          i);
    *left = both;
    *left_size = (size_t)(space - both);
    *right = space + 1;
    return 0;
}

/* The id of the token whose name is in `name`. */
static int merge_part(struct reading *r, const char *name, size_t i, uint32_t *id) {
    const json_t *value = json_object_get(r->vocab, name);
    if (!value)
        return mf_err_set(r->err, EX_DATAERR,
                          "%s: merge %zu names a token missing from the vocabulary: '%.60s'", r->path, i,
                          name);
    *id = (uint32_t)json_integer_value(value);
    return 0;
}

/* Is the token a byte, or does it stand for what has no token? Its text is not the text that it stands for.
 */
static bool stands_in(const struct mf_tokenizer *t, uint32_t id) {
    bool found = id == t->unk;
    for (int b = 0; b < 256 && !found; b++) found = t->byte_ids[b] == id;
    return found;
}

static void add_glued(struct mf_tokenizer *t, int32_t c) {
    for (size_t i = 0; i < t->n_glued; i++)
        if (t->glued[i] == c) return;
    if (t->n_glued == GLUED)
        t->uncut = true;
    else
        t->glued[t->n_glued++] = c;
}

/* Text of characters is cut before marks of blanks, unless some merge joins a mark to the character before
 * it. */
static void note_glue(struct mf_tokenizer *t, const char *name, size_t size, uint32_t left) {
    size_t length;
    int32_t c, before = BLANK_MARK_CHARACTER;
    for (size_t at = 0; at < size; at += length, before = c) {
        c = mf_character(name + at, size - at, &length);
        if (c != BLANK_MARK_CHARACTER || before == BLANK_MARK_CHARACTER) continue;
        if (stands_in(t, left)) t->uncut = true;
        add_glued(t, before);
    }
}

/* `room` is for the name of what the merge makes. */
static int read_merge(struct reading *r, const json_t *merge, size_t i, struct mf_text *room) {
    const char *left = "", *right = "";
    size_t left_size = 0;
    uint32_t a = 0, b = 0, both = 0;
    if (split_merge(r, merge, i, &left, &left_size, &right) < 0) return -1;
    room->size = 0;
    if (mf_text_add(room, left, left_size, r->err) < 0 ||
        mf_text_add(room, right, strlen(right) + 1, r->err) < 0)
        return -1;
    char *name = room->bytes;
    name[left_size] = '\0';
    if (merge_part(r, name, i, &a) < 0 || merge_part(r, right, i, &b) < 0) return -1;
    name[left_size] = *right;
    if (merge_part(r, name, i, &both) < 0) return -1;
    if (r->t->characters) note_glue(r->t, name, left_size + strlen(right), a);
    uint64_t key = mf_pair(a, b);
    if (mf_pair_map_get(&r->t->merges, key)) {
        name[left_size] = '\0';
        return mf_err_set(r->err, EX_DATAERR, "%s: merge %zu ('%.40s' '%.40s') is there twice", r->path, i,
                          name, right);
    }
    return mf_pair_map_put(&r->t->merges, key, (uint64_t)i << 32 | both, r->err);
}

/* Without merges no token of several bytes can be made of text. */
static int check_some(struct reading *r, size_t merges) {
    size_t longer = 0;
    for (size_t id = 0; id < r->t->size; id++) longer += r->t->tokens[id].size > 1;
    longer -= plain_added(r->t);
    if (merges > 0 || longer == 0 || r->t->characters) return 0;
    return mf_err_set(r->err, EX_DATAERR,
                      "%s: merges is empty, but the vocabulary has %zu tokens of several bytes", r->path,
                      longer);
}

/* The next merges; all at once where the file spells their key so that it was not found in the text. */
static int next_piece(struct reading *r, const json_t *model, size_t before, json_t **piece) {
    json_t *all = json_object_get(model, "merges");
    if (r->merges.bytes) return mf_json_list_next(&r->merges, piece, r->err);
    if (before > 0 || json_array_size(all) == 0) return 0;
    *piece = json_incref(all);
    return 1;
}

int vocab_merges(struct reading *r, const json_t *model) {
    struct mf_text room = {0};
    json_t *piece, *merge;
    size_t merges = 0, i;
    int got = 0, status = 0;
    while (status == 0 && (got = next_piece(r, model, merges, &piece)) > 0) {
        json_array_foreach(piece, i, merge) {
            if (status == 0) status = read_merge(r, merge, merges + i, &room);
        }
        merges += i;
        json_decref(piece);
    }
    free(room.bytes);
    return status < 0 || got < 0 ? -1 : check_some(r, merges);
}
