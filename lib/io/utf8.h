/* UTF-8 out of bytes that need not be UTF-8: what people and JSON are shown. */
#ifndef MF_IO_UTF8_H
#define MF_IO_UTF8_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The length of the character at the start of bytes [n], n >= 1: 1 to 4. With *valid false, that many bytes
 * are no part of any character (shown as U+FFFD). 0 when the character is begun rightly but not ended (The
 * Unicode Standard, table 3-7). */
size_t mf_utf8_step(const unsigned char *bytes, size_t n, bool *valid);

/* Are they UTF-8 from end to end? */
bool mf_utf8_valid(const char *bytes, size_t size);

/* Copies bytes [size] into `line` as valid UTF-8 with '?' for control characters and U+FFFD for what is no
 * character; cut between characters to fit `capacity` (>= 1) with its ending zero. */
void mf_utf8_line(char *line, size_t capacity, const char *bytes, size_t size);

/* A JSON string with U+FFFD for what is no character; new. Zero bytes and control characters stay. */
json_t *mf_utf8_json(const char *bytes, size_t size);

/* A JSON number, or null for what JSON cannot write (NaN, infinities); new. */
json_t *mf_real_json(double value);

#endif
