/* The table of words. */
#include "text/words_internal.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "text/pretokenize.h"

#define CAPACITY_MIN ((size_t)4096)
#define TEXT_MIN     ((size_t)64 << 10)

/* Of the memory a quarter is for the table, which is half as large again while it grows, an eighth for the
 * bytes of its words, a quarter for the sort that merges what was spilled; counting a stream takes the rest.
 */
static void limit(struct mf_words *w, size_t memory) {
    for (w->max_capacity = CAPACITY_MIN; w->max_capacity * 3 * sizeof *w->table <= memory / 4;)
        w->max_capacity *= 2;
    w->max_text = memory / 8 < TEXT_MIN ? TEXT_MIN : memory / 8;
    w->spill.memory = memory / 4;
}

int mf_words_new(struct mf_words **out, size_t max_word, size_t memory, struct mf_err *err) {
    *out = calloc(1, sizeof **out);
    if (!*out) return mf_err_set(err, EX_OSERR, "out of memory");
    (*out)->max_word = max_word ? max_word : SIZE_MAX;
    (*out)->max_hash = UINT64_MAX;
    if (memory) limit(*out, memory);
    return 0;
}

void mf_words_sample(struct mf_words *w, double share) {
    w->max_hash = share < 1 ? (uint64_t)(share * 0x1p64) : UINT64_MAX;
}

void mf_words_free(struct mf_words *w) {
    if (!w) return;
    words_spill_free(&w->spill);
    free(w->table);
    free(w->text);
    free(w);
}

uint64_t mf_words_bytes(const struct mf_words *w) {
    return w->bytes;
}

size_t mf_words_distinct(const struct mf_words *w) {
    return w->count;
}

uint64_t mf_words_next(const struct mf_words *w, size_t *at, const char **word, size_t *size) {
    while (*at < w->capacity && w->table[*at].count == 0) ++*at;
    if (*at == w->capacity) return 0;
    const struct word *x = &w->table[(*at)++];
    *word = w->text + x->at;
    *size = x->size;
    return x->count;
}

static struct word *find(const struct mf_words *w, uint64_t hash, const char *text, size_t size) {
    size_t i = (size_t)hash & (w->capacity - 1);
    for (;; i = (i + 1) & (w->capacity - 1)) {
        struct word *x = &w->table[i];
        if (x->count == 0) return x;
        if (x->hash == hash && x->size == size && memcmp(w->text + x->at, text, size) == 0) return x;
    }
}

static int grow(struct mf_words *w, struct mf_err *err) {
    size_t old_capacity = w->capacity;
    struct word *old = w->table, *table;
    w->capacity = old_capacity ? 2 * old_capacity : CAPACITY_MIN;
    table = calloc(w->capacity, sizeof *table);
    if (!table) {
        w->capacity = old_capacity;
        return mf_err_set(err, EX_OSERR, "out of memory for %zu words", 2 * old_capacity);
    }
    w->table = table;
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].count) *find(w, old[i].hash, w->text + old[i].at, old[i].size) = old[i];
    free(old);
    return 0;
}

/* Memory for the bytes of one more word; under a limit for no more than that and the longest word. */
static int grow_text(struct mf_words *w, size_t size, struct mf_err *err) {
    size_t capacity = 2 * w->text_capacity + size + TEXT_MIN;
    if (w->text_capacity - w->text_used > size) return 0;
    if (w->max_text && capacity > w->max_text + size + 1) capacity = w->max_text + size + 1;
    char *grown = realloc(w->text, capacity);
    if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for words");
    w->text = grown;
    w->text_capacity = capacity;
    return 0;
}

static int count(struct mf_words *w, uint64_t hash, const char *text, size_t size, uint64_t times,
                 struct mf_err *err) {
    if (2 * w->count >= w->capacity && grow(w, err) < 0) return -1;
    struct word *x = find(w, hash, text, size);
    x->count += times;
    if (x->count != times) return 0;
    x->count = 0;
    if (grow_text(w, size, err) < 0) return -1;
    memcpy(w->text + w->text_used, text, size);
    *x = (struct word){hash, times, w->text_used, size};
    w->text_used += size;
    w->count++;
    return 0;
}

int mf_words_put(struct mf_words *w, const void *word, size_t size, uint64_t times, struct mf_err *err) {
    return count(w, XXH3_64bits(word, size), word, size, times, err);
}

int64_t words_add_some(struct mf_words *w, const char *text, size_t size, size_t *done, struct mf_err *err) {
    int64_t cut = 0;
    while (*done < size && !words_full(w)) {
        const char *word = text + *done;
        size_t length = mf_word_length(word, size - *done);
        size_t counted = length < w->max_word ? length : w->max_word;
        cut += counted < length;
        if (mf_words_put(w, word, counted, 1, err) < 0) return -1;
        *done += length;
        w->bytes += length;
    }
    return cut;
}

int64_t mf_words_add(struct mf_words *w, const char *text, size_t size, struct mf_err *err) {
    int64_t cut = 0;
    for (size_t done = 0; done < size;) {
        if (words_full(w) && words_spill(w, err) < 0) return -1;
        int64_t more = words_add_some(w, text, size, &done, err);
        if (more < 0) return -1;
        cut += more;
    }
    return cut;
}

void words_empty(struct mf_words *w) {
    if (w->capacity) memset(w->table, 0, w->capacity * sizeof *w->table);
    w->count = w->text_used = 0;
}

void words_release(struct mf_words *w) {
    free(w->table);
    free(w->text);
    w->table = NULL;
    w->text = NULL;
    w->capacity = w->count = w->text_capacity = w->text_used = 0;
}

bool mf_words_spilled(const struct mf_words *w) {
    return w->spill.sort != NULL;
}

int mf_words_each(struct mf_words *w, mf_words_take *take, void *context, struct mf_err *err) {
    const char *word;
    size_t at = 0, size;
    uint64_t times;
    int status = 0;
    if (mf_words_spilled(w)) return words_spilled_each(w, take, context, err);
    while (status == 0 && (times = mf_words_next(w, &at, &word, &size)) > 0)
        status = take(context, word, size, times, err);
    words_release(w);
    return status;
}

int mf_words_merge(struct mf_words *w, struct mf_words *from, struct mf_err *err) {
    w->bytes += from->bytes;
    from->bytes = 0;
    for (size_t i = 0; i < from->capacity; i++) {
        const struct word *x = &from->table[i];
        if (x->count == 0) continue;
        if (words_full(w) && words_spill(w, err) < 0) return -1;
        if (count(w, x->hash, from->text + x->at, x->size, x->count, err) < 0) return -1;
    }
    words_empty(from);
    return 0;
}

/* The table and the words' bytes; and for learning, 8 bytes a symbol, about 12 an occurrence of a pair with
 * the capacity that lists grow into, and 8 a word (lib/text/bpe_learn.c). */
size_t mf_words_memory(const struct mf_words *w, size_t symbol) {
    size_t capacity = CAPACITY_MIN;
    while (2 * w->count >= capacity) capacity *= 2;
    return capacity * sizeof *w->table + 2 * w->text_used + TEXT_MIN +
           (w->text_used / symbol + w->count) * 20 + w->count * 8;
}
