/* The byte alphabet of byte-level BPE: each byte is written as one printable character in tokenizer.json.
 * The bytes of '!'..'~', U+00A1..U+00AC and U+00AE..U+00FF are themselves; the others, in order, are U+0100,
 * U+0101, ... */
#ifndef MF_TEXT_ALPHABET_H
#define MF_TEXT_ALPHABET_H

#include <stddef.h>
#include <stdint.h>

struct mf_alphabet {
    uint16_t character[256]; /* of each byte */
    int16_t byte[512];       /* of each character below 512, or -1 */
};
void mf_alphabet_fill(struct mf_alphabet *alphabet);

/* Writes bytes in the alphabet as UTF-8 into text (room for 2 * size + 1); returns its length. */
size_t mf_alphabet_spell(const struct mf_alphabet *alphabet, const char *bytes, size_t size, char *text);

/* The reverse into bytes (room for size); the number of bytes, or -1 when a character is not of the alphabet.
 */
int64_t mf_alphabet_read(const struct mf_alphabet *alphabet, const char *text, size_t size, char *bytes);

#endif
