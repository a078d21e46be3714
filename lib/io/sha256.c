/* SHA-256 in hex, through libcrypto. */
#include "io/sha256.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct mf_sha256 {
    EVP_MD_CTX *context;
};

struct mf_sha256 *mf_sha256_new(void) {
    struct mf_sha256 *sha = malloc(sizeof *sha);
    if (!sha) mf_no_memory();
    sha->context = EVP_MD_CTX_new();
    if (!sha->context || EVP_DigestInit_ex(sha->context, EVP_sha256(), NULL) != 1) mf_no_memory();
    return sha;
}

void mf_sha256_add(struct mf_sha256 *sha, const void *bytes, size_t size) {
    if (EVP_DigestUpdate(sha->context, bytes, size) != 1) mf_no_memory();
}

void mf_sha256_end(struct mf_sha256 *sha, char hex[65]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (EVP_DigestFinal_ex(sha->context, digest, NULL) != 1) mf_no_memory();
    for (size_t i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    EVP_MD_CTX_free(sha->context);
    free(sha);
}

void mf_sha256_of(const void *bytes, size_t size, char hex[65]) {
    struct mf_sha256 *sha = mf_sha256_new();
    mf_sha256_add(sha, bytes, size);
    mf_sha256_end(sha, hex);
}

bool mf_sha256_valid(const char *text) {
    return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}
