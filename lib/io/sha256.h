/* SHA-256 as 64 hex digits and a zero. */
#ifndef MF_IO_SHA256_H
#define MF_IO_SHA256_H

#include <stdbool.h>
#include <stddef.h>

struct mf_sha256;
struct mf_sha256 *mf_sha256_new(void); /* ends the process when memory is out */
void mf_sha256_add(struct mf_sha256 *sha, const void *bytes, size_t size);
void mf_sha256_end(struct mf_sha256 *sha, char hex[65]); /* frees */

void mf_sha256_of(const void *bytes, size_t size, char hex[65]); /* all in one */

bool mf_sha256_valid(const char *text); /* 64 digits, lower case; of NULL false */

#endif
