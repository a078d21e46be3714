/* Symbols of words. */
#include "text/bpe_symbols.h"

#include <stdlib.h>
#include <string.h>
#include "text/bpe.h"

/* Appends a word's ids. */
static void put(struct mf_bpe_symbols *s, const char *word, size_t size, const uint32_t *byte_ids) {
    if (byte_ids)
        for (size_t k = 0; k < size; k++) s->ids[s->n++] = byte_ids[(unsigned char)word[k]];
    else {
        memcpy(s->ids + s->n, word, size);
        s->n += size / sizeof *s->ids;
    }
    s->ids[s->n++] = MF_BPE_END;
}

int mf_bpe_symbols_make(struct mf_bpe_symbols *s, const struct mf_words *w, const uint32_t *byte_ids,
                        struct mf_err *err) {
    size_t at = 0, size, bytes = 0, words = mf_words_distinct(w), symbol = byte_ids ? 1 : sizeof *s->ids;
    const char *word;
    while (mf_words_next(w, &at, &word, &size)) bytes += size;
    *s = (struct mf_bpe_symbols){.ids = malloc((1 + words + bytes / symbol) * sizeof *s->ids),
                                 .counts = malloc((words + 1) * sizeof *s->counts)};
    if (!s->ids || !s->counts) return mf_err_set(err, EX_OSERR, "out of memory for %zu words", words);
    s->ids[s->n++] = MF_BPE_END;
    at = 0;
    for (size_t i = 0; (s->counts[i] = mf_words_next(w, &at, &word, &size)) > 0; i++)
        put(s, word, size, byte_ids);
    return 0;
}

void mf_bpe_symbols_free(struct mf_bpe_symbols *s) {
    free(s->ids);
    free(s->counts);
}
