/* What reading and writing bundles share. */
#ifndef MF_IO_BUNDLE_INTERNAL_H
#define MF_IO_BUNDLE_INTERNAL_H

#include <archive.h>
#include <stdbool.h>
#include "io/bundle.h"
#include "io/sha256.h"
#include "io/unpack.h"

#define MF_BUNDLE_VERSION 1
#define MF_MANIFEST       "manifest.json"
#define MF_MEMBER_NAME    (MF_TENSOR_NAME + 8)

#define BUNDLE_BLOCK ((size_t)64 << 10)

/* A bundle that is read. */
struct mf_bundle {
    struct mf_in *in;
    struct mf_unpack *unpack; /* reads `in` */
    struct archive *archive;  /* reads `unpack` */
    struct mf_err *err;       /* of the call in progress, for the archive's callback */
    bool failed;              /* reading the input failed and `err` holds the reason */
    bool compressed;
    bool ended;         /* all was there */
    uint64_t packed;    /* bytes read of the input */
    uint64_t unpacked;  /* bytes of the tar */
    uint64_t last_byte; /* one past the last byte of the tar that is not zero */
    json_t *manifest;
    char hash[65]; /* of the manifest's bytes */
    struct mf_tensor *tensors;
    const char **hashes; /* promised SHA-256 of each tensor, in the manifest */
    size_t count;
    size_t next;           /* tensors already begun */
    uint64_t left;         /* unread bytes of the current tensor */
    struct mf_sha256 *sha; /* over the current tensor; NULL when it is checked */
    unsigned char block[BUNDLE_BLOCK];
};

/* The tar member of a tensor: its name and ".f32", ".bf16" or ".i64". */
void mf_bundle_member(const struct mf_tensor *t, char name[MF_MEMBER_NAME]);

/* --- the tar (bundle_archive.c) --- */

int bundle_open_archive(struct mf_bundle *b, struct mf_err *err);

/* The next member: 1 with a plain file's name (borrowed) and size, 0 at the end, -1. */
int bundle_next_member(struct mf_bundle *b, const char **name, int64_t *size, struct mf_err *err);

/* The next `size` bytes of the member, in full. EX_DATAERR. */
int bundle_read_data(struct mf_bundle *b, void *buffer, size_t size, struct mf_err *err);

/* Where in the file of a mappable bundle the member begins, of which nothing has been read yet. */
uint64_t bundle_place(const struct mf_bundle *b);

/* After the last member. EX_DATAERR: the end of the tar is missing, or data follow. */
int bundle_check_end(struct mf_bundle *b, struct mf_err *err);

#endif
