/* Between the files of text/copies.h. */
#ifndef MF_TEXT_COPIES_INTERNAL_H
#define MF_TEXT_COPIES_INTERNAL_H

#include <stdbool.h>
#include "io/sort.h"
#include "io/spill.h"
#include "text/copies.h"
#include "text/minhash.h"

#define COPIES_BANDS 32
#define COPIES_ROWS  (MF_MINHASHES / COPIES_BANDS)
#define COPIES_MAX   256 /* kept documents looked at for one band */

/* What documents are grouped by, the slots: the hash of the text (0), then the bands. A key is the upper 58
 * bits of a hash and the slot in the lower 6, so that groups of different slots never meet. */
#define COPIES_SLOTS(near) ((near) > 0 ? 1 + (size_t)COPIES_BANDS : 1)
#define COPIES_SLOT_MASK   ((uint64_t)63)

/* A record of the sort: the key, then the document's number, both big-endian. */
#define COPIES_RECORD 12

/* What is spilled of each document. Without near copies the signature is left away. */
struct copies_facts {
    uint64_t hash, size, id_at; /* id_at: in the spilled ids */
    uint64_t id_size;
    uint16_t signature[MF_MINHASHES]; /* the lower halves */
};
#define COPIES_FACTS(near)                                                                                   \
    ((near) > 0 ? sizeof(struct copies_facts) : offsetof(struct copies_facts, signature))

struct copies_verdict {
    uint32_t copy, kept;
};

/* A kept document in the list of a group. Node 0 is the end of a list. */
struct copies_node {
    uint32_t doc, link;
};

/* For one document, the lists of its groups. */
struct copies_lists {
    const uint32_t *heads; /* [slots] */
    const struct copies_node *nodes;
    size_t slots;
    uint32_t *candidates; /* [slots * COPIES_MAX], to work with */
};

struct mf_copies {
    double near;
    struct mf_copies_plan plan;
    struct mf_minhash minhash;
    struct mf_sort *sort;
    struct mf_spill facts, verdicts, ids;
    uint32_t count, decided;
    uint32_t *forgotten; /* [n_forgotten], ascending */
    size_t n_forgotten, forgotten_capacity;
    char *id; /* that was asked for last */
};

/* What is spilled of a document; the signature too, or only what stands before it. EX_IOERR. */
int copies_facts_read(const struct mf_copies *c, uint32_t number, bool signature, struct copies_facts *facts,
                      struct mf_err *err);
int copies_verdict_read(const struct mf_copies *c, uint32_t number, struct copies_verdict *verdict,
                        struct mf_err *err);

/* Decides one document. EX_IOERR. */
int copies_compare(const struct mf_copies *c, uint32_t doc, const struct copies_lists *lists,
                   struct copies_verdict *verdict, struct mf_err *err);

#endif
