/* The symbols that a word begins as, before merges. */
#include "text/tokenizer_internal.h"

/* Symbols of a word so far. An unknown token waits until a token that is none follows, or the end; bytes that
 * a character falls back to overtake it, as in the library. */
struct spelling {
    const struct mf_tokenizer *t;
    uint32_t *ids;
    size_t n;
    bool waits;
};

static void add_symbol(struct spelling *s, uint32_t id) {
    if (s->waits) s->ids[s->n++] = (uint32_t)s->t->unk;
    s->waits = false;
    s->ids[s->n++] = id;
}

static int add_unknown(struct spelling *s, unsigned char first, struct mf_err *err) {
    if (s->t->unk < 0)
        return mf_err_set(err, EX_DATAERR, "the vocabulary has no token for %s 0x%02x",
                          s->t->characters ? "the character of byte" : "byte", first);
    if (s->waits && !s->t->fuse_unk) s->ids[s->n++] = (uint32_t)s->t->unk;
    s->waits = true;
    return 0;
}

/* The tokens of a character's bytes; or false where one has none. */
static bool fall_back(struct spelling *s, const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (s->t->byte_ids[(unsigned char)bytes[i]] < 0) return false;
    for (size_t i = 0; i < size; i++) s->ids[s->n++] = (uint32_t)s->t->byte_ids[(unsigned char)bytes[i]];
    return true;
}

static int spell_characters(struct spelling *s, const char *word, size_t size, struct mf_err *err) {
    for (size_t at = 0, length; at < size; at += length) {
        int32_t c = mf_character(word + at, size - at, &length);
        uint32_t id = c < 0 ? 0 : s->t->character_ids[c];
        if (id)
            add_symbol(s, id - 1);
        else if (!(s->t->byte_fallback && fall_back(s, word + at, length)) &&
                 add_unknown(s, (unsigned char)word[at], err) < 0)
            return -1;
    }
    return 0;
}

static int spell_bytes(struct spelling *s, const char *word, size_t size, struct mf_err *err) {
    for (size_t i = 0; i < size; i++) {
        int64_t id = s->t->byte_ids[(unsigned char)word[i]];
        if (id >= 0)
            add_symbol(s, (uint32_t)id);
        else if (add_unknown(s, (unsigned char)word[i], err) < 0)
            return -1;
    }
    return 0;
}

int word_spell(const struct mf_tokenizer *t, const char *word, size_t size, uint32_t *ids, size_t *n,
               struct mf_err *err) {
    struct spelling s = {.t = t, .ids = ids};
    int status = t->characters ? spell_characters(&s, word, size, err) : spell_bytes(&s, word, size, err);
    if (status == 0 && s.waits) s.ids[s.n++] = (uint32_t)t->unk;
    *n = s.n;
    return status;
}
