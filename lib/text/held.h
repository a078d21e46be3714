/* Documents that wait in a scratch file until their split is known: first in, first out. */
#ifndef MF_TEXT_HELD_H
#define MF_TEXT_HELD_H

#include "text/docs.h"

/* What is known of a waiting document without reading it. */
struct mf_held_doc {
    uint64_t hash, size;
    size_t id_size, domain_size;
    uint32_t known; /* its number among the copies' known documents */
    bool has_domain;
};

struct mf_held {
    struct mf_held_doc *docs; /* [count] */
    size_t count, capacity;
    bool open; /* there is a scratch file */
    int fd;
    uint64_t written; /* bytes in it */
    char *buffer;     /* of the document that was read last */
    size_t buffer_size;
};

/* A zeroed struct holds nothing. */
void mf_held_free(struct mf_held *held);

/* Puts a document at the end. EX_CANTCREAT, EX_IOERR, EX_OSERR. */
int mf_held_add(struct mf_held *held, const struct mf_doc *doc, uint64_t hash, uint32_t known,
                struct mf_err *err);

/* Reads document i, which begins *offset bytes into the file (0 for the first), and moves *offset behind it.
 * Its bytes are borrowed until the next call. EX_IOERR, EX_OSERR. */
int mf_held_read(struct mf_held *held, size_t i, uint64_t *offset, struct mf_doc *doc, struct mf_err *err);

/* Passes over document i. */
void mf_held_skip(const struct mf_held *held, size_t i, uint64_t *offset);

/* Forgets all of them. */
void mf_held_clear(struct mf_held *held);

#endif
