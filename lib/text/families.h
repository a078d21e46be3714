/* Scanners for the patterns of today's families of tokenizers (Llama 3, GPT-4o, Qwen, DeepSeek), each known
 * by its exact text, and for the sets of characters that pre-tokenizers cut at. They find what the pattern
 * finds, at several times the speed. */
#ifndef MF_TEXT_FAMILIES_H
#define MF_TEXT_FAMILIES_H

#include "text/pattern.h"

/* NULL: a pattern without one. */
mf_scanner *mf_family_scanner(const char *regex, size_t size);

/* The patterns that are known. */
enum mf_family {
    MF_FAMILY_LLAMA3,
    MF_FAMILY_QWEN,
    MF_FAMILY_GPT4O,
    MF_FAMILY_DEEPSEEK_NUMBERS, /* DeepSeek's are applied in this order */
    MF_FAMILY_DEEPSEEK_KANA,
    MF_FAMILY_DEEPSEEK,
    MF_FAMILIES
};
const char *mf_family_pattern(enum mf_family family);

/* One character of \p{N}; one of \p{P} or of ASCII's punctuation. */
mf_scanner mf_scan_number, mf_scan_punctuation;

#endif
