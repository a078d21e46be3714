/* Reading a bundle's tensors in one pass: its members are checked against the manifest, their bytes against
 * their SHA-256. */
#include <string.h>
#include "io/bundle_internal.h"

/* After the last byte of the current tensor. */
static int check_hash(struct mf_bundle *b, struct mf_err *err) {
    char hash[65];
    mf_sha256_end(b->sha, hash);
    b->sha = NULL;
    if (strcmp(hash, b->hashes[b->next - 1]) == 0) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: tensor %s: bytes do not match their sha256: %.12s, not %.12s",
                      mf_bundle_name(b), b->tensors[b->next - 1].name, hash, b->hashes[b->next - 1]);
}

int mf_bundle_read(struct mf_bundle *b, void *buffer, size_t size, struct mf_err *err) {
    if (size > b->left)
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s: %zu bytes wanted, %llu left", mf_bundle_name(b),
                          b->next ? b->tensors[b->next - 1].name : "(none)", size,
                          (unsigned long long)b->left);
    if (bundle_read_data(b, buffer, size, err) < 0) return -1;
    b->left -= size;
    if (b->sha) mf_sha256_add(b->sha, buffer, size);
    return b->left == 0 && b->sha ? check_hash(b, err) : 0;
}

/* Reads what the caller left of the current tensor, for its hash. */
static int finish_tensor(struct mf_bundle *b, struct mf_err *err) {
    unsigned char rest[8192];
    while (b->left > 0) {
        size_t part = b->left < sizeof rest ? (size_t)b->left : sizeof rest;
        if (mf_bundle_read(b, rest, part, err) < 0) return -1;
    }
    return b->sha ? check_hash(b, err) : 0; /* a tensor of no bytes */
}

/* Says what is wrong with a member that is not the expected one. */
static int wrong_member(const struct mf_bundle *b, const char *found, struct mf_err *err) {
    char name[MF_MEMBER_NAME];
    for (size_t i = 0; i < b->count; i++) {
        mf_bundle_member(&b->tensors[i], name);
        if (strcmp(name, found) != 0) continue;
        if (i < b->next)
            return mf_err_set(err, EX_DATAERR, "%s: tensor %s is there twice", mf_bundle_name(b),
                              b->tensors[i].name);
        return mf_err_set(err, EX_DATAERR, "%s: missing tensor %s", mf_bundle_name(b),
                          b->tensors[b->next].name);
    }
    return mf_err_set(err, EX_DATAERR, "%s: unexpected member '%s'", mf_bundle_name(b), found);
}

int mf_bundle_next(struct mf_bundle *b, size_t *index, struct mf_err *err) {
    if (b->ended) return 0;
    if (finish_tensor(b, err) < 0) return -1;
    const char *found;
    char name[MF_MEMBER_NAME];
    int64_t size;
    int result = bundle_next_member(b, &found, &size, err);
    if (result < 0) return -1;
    if (result == 0 && b->next < b->count)
        return mf_err_set(err, EX_DATAERR, "%s: missing tensor %s", mf_bundle_name(b),
                          b->tensors[b->next].name);
    if (result == 0) return bundle_check_end(b, err);
    if (b->next == b->count) return wrong_member(b, found, err);
    const struct mf_tensor *t = &b->tensors[b->next];
    mf_bundle_member(t, name);
    if (strcmp(name, found) != 0) return wrong_member(b, found, err);
    if (size < 0 || (uint64_t)size != mf_tensor_bytes(t)) {
        char shape[64];
        return mf_err_set(err, EX_DATAERR, "%s: tensor %s: %lld bytes for %s %s, which has %zu",
                          mf_bundle_name(b), t->name, (long long)size, mf_dtype_name(t->dtype),
                          mf_tensor_shape(t, shape), mf_tensor_bytes(t));
    }
    b->left = (uint64_t)size;
    b->sha = mf_sha256_new();
    *index = b->next++;
    return 1;
}
