/* Messages with strings too long for one line. */
#ifndef MF_BASE_SHORTEN_H
#define MF_BASE_SHORTEN_H

#include <stdarg.h>
#include <stddef.h>

/* Formats into `text` of `capacity` bytes, with ": " and `reason` (or NULL) appended. Where that is too long,
 * the longest of the strings among the arguments lose their middle, "/tmp/a/.../b.tar", at the borders of
 * characters, until it fits; what is still too long is cut at its end. Knows the conversions s d i u c x g e
 * f p, with l, z or j. */
void mf_shorten(char *text, size_t capacity, const char *format, va_list args, const char *reason);

#endif
