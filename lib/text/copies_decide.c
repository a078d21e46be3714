/* Deciding copies in fixed memory (time-forward processing; Chiang and others 1995).
 *
 * Documents that share a key are a group. Sorting the keys of all documents brings groups together, and each
 * member learns of the next one. Then documents are decided in their order, range by range. Each group has a
 * list of its kept documents so far, at most COPIES_MAX. It travels from member to member: to one of the
 * same range in memory, to one of a later range through that range's bucket on disk. So every document finds
 * the lists of its groups, and in them exactly the kept documents before it, as if all were looked up in one
 * large table. A group of one never gets here. */
#include <stdlib.h>
#include <string.h>
#include "io/buckets.h"
#include "text/copies_internal.h"

#define SPARE 72 /* buckets for halves of ranges; a range is halved 32 times at most */

/* A record of a bucket: the next member of a group, or a kept one. */
enum message { NEXT, KEPT };
#define MESSAGE 9

/* Documents [first, end) and what was sent to them. */
struct range {
    uint32_t first, end;
    size_t bucket;
};

struct join {
    struct mf_copies *c;
    struct mf_buckets *buckets;
    size_t slots, per_range;
    struct range now;
    struct range later[SPARE]; /* other halves of the same range, the next on top */
    size_t n_later;
    size_t spare[SPARE]; /* buckets in no use */
    size_t n_spare;
    uint32_t *next,
        *list; /* [per_range, slots]: the group's next member, 0: none; the first node of its list */
    struct copies_node *nodes;
    size_t n_nodes, max_nodes;
    uint32_t *candidates; /* [slots * COPIES_MAX] */
};

/* --- sending --- */

static size_t bucket_of(const struct join *j, uint32_t doc) {
    for (size_t i = j->n_later; i-- > 0;)
        if (doc >= j->later[i].first && doc < j->later[i].end) return j->later[i].bucket;
    return doc / j->per_range;
}

static int send(struct join *j, uint32_t to, size_t slot, enum message kind, uint32_t value,
                struct mf_err *err) {
    unsigned char record[MESSAGE];
    memcpy(record, &to, 4);
    memcpy(record + 4, &value, 4);
    record[8] = (unsigned char)(slot << 1 | kind);
    return mf_buckets_add(j->buckets, bucket_of(j, to), record, err);
}

static uint32_t receiver(const unsigned char *record) {
    uint32_t doc;
    memcpy(&doc, record, 4);
    return doc;
}

static uint32_t big_endian(const unsigned char *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Tells each member of a group of its next one. */
static int send_groups(struct join *j, struct mf_err *err) {
    unsigned char last[COPIES_RECORD] = {0};
    const unsigned char *record;
    bool is_first = true;
    int status = mf_sort_begin(j->c->sort, err);
    while (status >= 0 && (status = mf_sort_next(j->c->sort, &record, err)) > 0) {
        if (!is_first && memcmp(last, record, 8) == 0)
            status =
                send(j, big_endian(last + 8), last[7] & COPIES_SLOT_MASK, NEXT, big_endian(record + 8), err);
        memcpy(last, record, sizeof last);
        is_first = false;
    }
    return status;
}

/* --- lists --- */

static size_t place(const struct join *j, uint32_t doc, size_t slot) {
    return (size_t)(doc - j->now.first) * j->slots + slot;
}

static void add_node(struct join *j, uint32_t *list, uint32_t doc) {
    j->nodes[++j->n_nodes] = (struct copies_node){doc, *list};
    *list = (uint32_t)j->n_nodes;
}

static int receive(void *context, const unsigned char *record, struct mf_err *err) {
    struct join *j = context;
    uint32_t value;
    size_t at = place(j, receiver(record), record[8] >> 1);
    (void)err;
    memcpy(&value, record + 4, 4);
    if ((record[8] & 1) == NEXT)
        j->next[at] = value;
    else
        add_node(j, &j->list[at], value);
    return 0;
}

static size_t length(const struct join *j, uint32_t list) {
    size_t n = 0;
    for (; list; list = j->nodes[list].link) n++;
    return n;
}

/* Hands the list of a group on to its next member, with this document if it is kept. */
static int pass_on(struct join *j, uint32_t doc, size_t slot, bool kept, struct mf_err *err) {
    size_t at = place(j, doc, slot);
    uint32_t next = j->next[at], list = j->list[at];
    if (kept && length(j, list) < COPIES_MAX) add_node(j, &list, doc);
    if (next < j->now.end) {
        j->list[place(j, next, slot)] = list;
        return 0;
    }
    for (; list; list = j->nodes[list].link)
        if (send(j, next, slot, KEPT, j->nodes[list].doc, err) < 0) return -1;
    return 0;
}

/* --- ranges --- */

static int decide_range(struct join *j, struct mf_err *err) {
    struct mf_copies *c = j->c;
    struct copies_verdict verdict;
    for (uint32_t doc = j->now.first; doc < j->now.end; doc++) {
        bool is_new = doc >= c->decided;
        struct copies_lists lists = {j->list + place(j, doc, 0), j->nodes, j->slots, j->candidates};
        int status = is_new ? copies_compare(c, doc, &lists, &verdict, err)
                            : copies_verdict_read(c, doc, &verdict, err);
        if (status < 0) return -1;
        if (is_new && mf_spill_append(&c->verdicts, &verdict, sizeof verdict, err) < 0) return -1;
        for (size_t slot = 0; slot < j->slots; slot++)
            if (j->next[place(j, doc, slot)] && pass_on(j, doc, slot, verdict.copy == MF_COPY_NONE, err) < 0)
                return -1;
    }
    return 0;
}

static int resend(void *context, const unsigned char *record, struct mf_err *err) {
    struct join *j = context;
    return mf_buckets_add(j->buckets, bucket_of(j, receiver(record)), record, err);
}

/* The range becomes two halves, and what was sent to it is distributed to them. */
static int halve(struct join *j, struct range r, struct mf_err *err) {
    uint32_t middle = r.first + (r.end - r.first) / 2;
    j->later[j->n_later++] = (struct range){middle, r.end, j->spare[--j->n_spare]};
    j->later[j->n_later++] = (struct range){r.first, middle, j->spare[--j->n_spare]};
    return mf_buckets_empty(j->buckets, r.bucket, resend, j, err);
}

/* Each message becomes a node at most: one of KEPT when it comes, one of NEXT when its document is kept. */
static bool fits(const struct join *j, const struct range *r) {
    return mf_buckets_count(j->buckets, r->bucket) < j->max_nodes || r->end - r->first == 1;
}

static int do_range(struct join *j, struct range r, size_t n_ranges, struct mf_err *err) {
    j->later[j->n_later++] = r;
    while (j->n_later > 0) {
        r = j->later[--j->n_later];
        int status = 0;
        if (fits(j, &r)) {
            size_t n = (size_t)(r.end - r.first) * j->slots;
            memset(j->next, 0, n * sizeof *j->next);
            memset(j->list, 0, n * sizeof *j->list);
            j->n_nodes = 0;
            j->now = r;
            status = mf_buckets_empty(j->buckets, r.bucket, receive, j, err);
            if (status == 0) status = decide_range(j, err);
        } else
            status = halve(j, r, err);
        if (r.bucket >= n_ranges) j->spare[j->n_spare++] = r.bucket;
        if (status < 0) return -1;
    }
    return 0;
}

static int do_all(struct join *j, size_t n_ranges, struct mf_err *err) {
    if (send_groups(j, err) < 0) return -1;
    for (size_t i = 0; i < n_ranges; i++) {
        uint64_t first = (uint64_t)i * j->per_range, end = first + j->per_range;
        struct range r = {(uint32_t)first, end < j->c->count ? (uint32_t)end : j->c->count, i};
        if (do_range(j, r, n_ranges, err) < 0) return -1;
    }
    return 0;
}

static int make_join(struct join *j, size_t n_ranges, struct mf_err *err) {
    const struct mf_copies_plan *plan = &j->c->plan;
    size_t min = j->slots * (COPIES_MAX + 1) + 2; /* for a range of one document */
    j->max_nodes = j->per_range * j->slots + plan->state / 4 / sizeof *j->nodes;
    if (j->max_nodes < min) j->max_nodes = min;
    for (size_t i = 0; i < SPARE; i++) j->spare[j->n_spare++] = n_ranges + i;
    j->next = malloc(j->per_range * j->slots * sizeof *j->next);
    j->list = malloc(j->per_range * j->slots * sizeof *j->list);
    j->nodes = malloc(j->max_nodes * sizeof *j->nodes);
    j->candidates = malloc(j->slots * COPIES_MAX * sizeof *j->candidates);
    if (!j->next || !j->list || !j->nodes || !j->candidates)
        return mf_err_set(err, EX_OSERR, "out of memory for finding copies");
    return mf_buckets_new(&j->buckets, n_ranges + SPARE, MESSAGE, plan->queues, err);
}

static void free_join(struct join *j) {
    mf_buckets_free(j->buckets);
    free(j->next);
    free(j->list);
    free(j->nodes);
    free(j->candidates);
}

int mf_copies_decide(struct mf_copies *c, struct mf_err *err) {
    struct join j = {.c = c, .slots = COPIES_SLOTS(c->near), .per_range = (size_t)c->plan.per_range};
    if (c->decided == c->count) return 0;
    if (j.per_range > c->count) j.per_range = c->count;
    size_t n_ranges = (c->count - 1) / j.per_range + 1;
    int status = make_join(&j, n_ranges, err);
    if (status == 0) status = do_all(&j, n_ranges, err);
    free_join(&j);
    if (status == 0) c->decided = c->count;
    return status;
}
