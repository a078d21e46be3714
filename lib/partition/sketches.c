/* Sketches kept in memory, and on disk. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "partition/sketch.h"

/* --- in memory: chunks that never move; a sketch lies in one chunk --- */

#define CHUNK ((size_t)1 << 18) /* terms; 1 MiB */

struct mf_sketches {
    struct mf_sketch_term **chunks;
    size_t n_chunks, chunks_capacity, used; /* terms used in the last chunk */
    uint64_t *place;                        /* [count] chunk * CHUNK + offset */
    uint16_t *length;                       /* [count] */
    size_t count, capacity;
};

int mf_sketches_new(struct mf_sketches **list, struct mf_err *err) {
    *list = calloc(1, sizeof **list);
    return *list ? 0 : mf_err_set(err, EX_OSERR, "out of memory");
}

static int grow_documents(struct mf_sketches *list) {
    size_t capacity = list->capacity ? list->capacity + list->capacity / 2 : 1024;
    uint64_t *place = realloc(list->place, capacity * sizeof *place);
    if (!place) return -1;
    list->place = place;
    uint16_t *length = realloc(list->length, capacity * sizeof *length);
    if (!length) return -1;
    list->length = length;
    list->capacity = capacity;
    return 0;
}

static int grow_chunks(struct mf_sketches *list) {
    if (list->n_chunks == list->chunks_capacity) {
        size_t capacity = list->chunks_capacity ? 2 * list->chunks_capacity : 16;
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers it is */
        struct mf_sketch_term **chunks = realloc(list->chunks, capacity * sizeof *chunks);
        if (!chunks) return -1;
        list->chunks = chunks;
        list->chunks_capacity = capacity;
    }
    struct mf_sketch_term *chunk = malloc(CHUNK * sizeof *chunk);
    if (!chunk) return -1;
    list->chunks[list->n_chunks++] = chunk;
    list->used = 0;
    return 0;
}

int mf_sketches_add(struct mf_sketches *list, const struct mf_sketch_term *terms, size_t count,
                    struct mf_err *err) {
    bool full = list->n_chunks == 0 || list->used + count > CHUNK;
    if ((list->count == list->capacity && grow_documents(list) < 0) || (full && grow_chunks(list) < 0))
        return mf_err_set(err, EX_OSERR, "out of memory for the sketches of %zu documents", list->count + 1);
    if (count > 0) memcpy(list->chunks[list->n_chunks - 1] + list->used, terms, count * sizeof *terms);
    list->place[list->count] = (list->n_chunks - 1) * (uint64_t)CHUNK + list->used;
    list->length[list->count++] = (uint16_t)count;
    list->used += count;
    return 0;
}

const struct mf_sketch_term *mf_sketches_get(const struct mf_sketches *list, size_t i, size_t *count) {
    *count = list->length[i];
    return list->chunks[list->place[i] / CHUNK] + list->place[i] % CHUNK;
}

void mf_sketches_free(struct mf_sketches *list) {
    if (!list) return;
    for (size_t i = 0; i < list->n_chunks; i++) free(list->chunks[i]);
    free(list->chunks);
    free(list->place);
    free(list->length);
    free(list);
}

/* --- on disk: the number of terms, in the place of a term, then the terms --- */

int mf_sketch_put(struct mf_spill *spill, const struct mf_sketch_term *terms, size_t count,
                  struct mf_err *err) {
    struct mf_sketch_term head = {(uint16_t)count, 0};
    if (mf_spill_append(spill, &head, sizeof head, err) < 0) return -1;
    return mf_spill_append(spill, terms, count * sizeof *terms, err);
}

int mf_sketch_take(struct mf_spill_reader *reader, struct mf_sketch_term *terms, size_t *count,
                   struct mf_err *err) {
    struct mf_sketch_term head;
    if (mf_spill_take(reader, &head, sizeof head, err) < 0) return -1;
    *count = head.feature;
    return mf_spill_take(reader, terms, *count * sizeof *terms, err);
}
