/* Sorting outside of memory: the block, its runs, and their merge. */
#include "io/sort.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "io/sort_internal.h"
#include "io/spill.h"

#define READ_MAX ((size_t)64 << 10) /* bytes read of a run at a time */
#define FAN_MIN  16                 /* runs merged at once, however little memory there is */

/* A sorted run on disk, and the part of it that is in memory while runs are merged. */
struct run {
    uint64_t begin, end;        /* in the spill */
    uint64_t at;                /* what is to be read next */
    const unsigned char *first; /* the records in memory, [first, last) */
    const unsigned char *last;
    unsigned char *part;
};

struct mf_sort {
    size_t record_size, capacity, part; /* records of the block; bytes of a part of it */
    unsigned char *block;
    size_t used;  /* records in the block */
    size_t given; /* of those: handed out by mf_sort_next */
    uint64_t count;
    struct mf_spill spill;
    struct run *runs;
    size_t n_runs, runs_capacity;
    struct run **heap; /* of the runs that are not at their end, the one with the first record on top */
    size_t heap_size;
    bool taken; /* the top's first record was handed out */
};

int mf_sort_new(struct mf_sort **out, size_t record_size, size_t memory, struct mf_err *err) {
    struct mf_sort *s = calloc(1, sizeof *s);
    if (!s) return mf_err_set(err, EX_OSERR, "out of memory");
    s->record_size = record_size;
    s->capacity = memory / record_size < MF_SORT_MIN ? MF_SORT_MIN : memory / record_size;
    size_t part = s->capacity / FAN_MIN, max = READ_MAX / record_size;
    if (part > max && max > 0) part = max;
    s->part = part * record_size;
    s->block = malloc(s->capacity * record_size);
    if (!s->block) {
        mf_sort_free(s);
        return mf_err_set(err, EX_OSERR, "out of memory for sorting");
    }
    *out = s;
    return 0;
}

void mf_sort_free(struct mf_sort *s) {
    if (!s) return;
    mf_spill_free(&s->spill);
    free(s->block);
    free(s->runs);
    free((void *)s->heap);
    free(s);
}

uint64_t mf_sort_count(const struct mf_sort *s) {
    return s->count;
}

size_t mf_sort_runs(const struct mf_sort *s) {
    return s->n_runs;
}

/* --- writing runs --- */

static int add_run(struct mf_sort *s, uint64_t begin, uint64_t end, struct mf_err *err) {
    if (s->n_runs == s->runs_capacity) {
        size_t capacity = s->runs_capacity ? 2 * s->runs_capacity : 64;
        struct run *runs = realloc(s->runs, capacity * sizeof *runs);
        if (runs) s->runs = runs;
        struct run **heap = realloc((void *)s->heap, capacity * sizeof(struct run *));
        if (heap) s->heap = heap;
        if (!runs || !heap) return mf_err_set(err, EX_OSERR, "out of memory for sorting");
        s->runs_capacity = capacity;
    }
    s->runs[s->n_runs++] = (struct run){.begin = begin, .end = end};
    return 0;
}

static int write_run(struct mf_sort *s, struct mf_err *err) {
    uint64_t begin = s->spill.size;
    if (s->used == 0) return 0;
    mf_sort_records(s->block, s->used, s->record_size);
    if (mf_spill_append(&s->spill, s->block, s->used * s->record_size, err) < 0) return -1;
    s->used = 0;
    return add_run(s, begin, s->spill.size, err);
}

int mf_sort_add(struct mf_sort *s, const void *record, struct mf_err *err) {
    if (s->used == s->capacity && write_run(s, err) < 0) return -1;
    memcpy(s->block + s->used++ * s->record_size, record, s->record_size);
    s->count++;
    return 0;
}

/* --- merging --- */

/* Reads on in a run: 1, or 0 at its end. */
static int read_part(struct mf_sort *s, struct run *r, struct mf_err *err) {
    size_t size = r->end - r->at < s->part ? (size_t)(r->end - r->at) : s->part;
    if (size == 0) return 0;
    if (mf_spill_read(&s->spill, r->part, size, r->at, err) < 0) return -1;
    r->at += size;
    r->first = r->part;
    r->last = r->part + size;
    return 1;
}

static bool before(const struct mf_sort *s, const struct run *a, const struct run *b) {
    return memcmp(a->first, b->first, s->record_size) < 0;
}

/* Moves the run at `i` down to where the heap is in order again. */
static void sift(struct mf_sort *s, size_t i) {
    struct run **heap = s->heap, *moved = heap[i];
    for (size_t child; (child = 2 * i + 1) < s->heap_size; i = child) {
        child += child + 1 < s->heap_size && before(s, heap[child + 1], heap[child]);
        if (!before(s, heap[child], moved)) break;
        heap[i] = heap[child];
    }
    heap[i] = moved;
}

/* Begins to merge the runs [from, from + n), each with a part of the block. */
static int begin_merge(struct mf_sort *s, size_t from, size_t n, struct mf_err *err) {
    s->heap_size = n;
    s->taken = false;
    for (size_t i = 0; i < n; i++) {
        struct run *r = s->heap[i] = &s->runs[from + i];
        r->at = r->begin;
        r->part = s->block + i * s->part;
        if (read_part(s, r, err) < 0) return -1;
    }
    for (size_t i = n / 2; i-- > 0;) sift(s, i);
    return 0;
}

static int next_merged(struct mf_sort *s, const unsigned char **record, struct mf_err *err) {
    if (s->taken) {
        struct run *top = s->heap[0];
        top->first += s->record_size;
        int more = top->first < top->last ? 1 : read_part(s, top, err);
        if (more < 0) return -1;
        if (more == 0) s->heap[0] = s->heap[--s->heap_size];
        if (s->heap_size > 1) sift(s, 0);
    }
    s->taken = s->heap_size > 0;
    if (s->taken) *record = s->heap[0]->first;
    return s->taken;
}

/* Merges each `fan` runs into one of a new spill. */
static int merge_some(struct mf_sort *s, size_t fan, struct mf_err *err) {
    struct mf_spill merged = {0};
    const unsigned char *record;
    size_t n = 0;
    int status = 0;
    for (size_t from = 0; from < s->n_runs && status == 0; from += fan, n++) {
        uint64_t begin = merged.size;
        status = begin_merge(s, from, s->n_runs - from < fan ? s->n_runs - from : fan, err);
        while (status >= 0 && (status = next_merged(s, &record, err)) > 0)
            if (mf_spill_append(&merged, record, s->record_size, err) < 0) status = -1;
        s->runs[n] = (struct run){.begin = begin, .end = merged.size};
    }
    if (status < 0) return mf_spill_free(&merged), -1;
    mf_spill_free(&s->spill);
    s->spill = merged;
    s->n_runs = n;
    return 0;
}

int mf_sort_begin(struct mf_sort *s, struct mf_err *err) {
    size_t fan = s->capacity * s->record_size / s->part;
    s->given = 0;
    if (s->n_runs == 0) {
        mf_sort_records(s->block, s->used, s->record_size);
        return 0;
    }
    if (write_run(s, err) < 0) return -1;
    while (s->n_runs > fan)
        if (merge_some(s, fan, err) < 0) return -1;
    return begin_merge(s, 0, s->n_runs, err);
}

int mf_sort_next(struct mf_sort *s, const unsigned char **record, struct mf_err *err) {
    if (s->n_runs > 0) return next_merged(s, record, err);
    if (s->given == s->used) return 0;
    *record = s->block + s->given++ * s->record_size;
    return 1;
}
