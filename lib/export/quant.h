/* Numbers as GGUF stores them, and back. The rounding is that of ggml's reference (quantize_row_*_ref), so a
 * file is byte for byte what llama.cpp's own converter would store.
 *
 *   F32, F16, BF16   the number, to the nearest, ties to even
 *   Q8_0             32 numbers: scale d = max|x| / 127 in F16, then round(x / d) as int8
 *   Q4_0             32 numbers: d = x_m / -8 in F16, x_m the first of largest magnitude; then 16 bytes, in
 *                    byte i the number i in the low half and i + 16 in the high one, each
 *                    floor(x / d + 8.5), at most 15: it stands for d (q - 8)
 *
 * A scale is rounded to F16 only where it is stored: the numbers were divided by the exact one. */
#ifndef MF_EXPORT_QUANT_H
#define MF_EXPORT_QUANT_H

#include <stddef.h>
#include <stdint.h>
#include "io/gguf.h"

/* Stores n finite numbers, whole blocks of the type. */
void mf_quant_narrow(void *to, const float *from, size_t n, enum mf_gguf_type type);

/* Whole blocks back into numbers: 0, or -1 for a type that is not one of the five. */
int mf_quant_widen(float *to, const void *from, size_t n, uint32_t type);

/* The largest magnitude that a type can hold without becoming infinite. */
float mf_quant_limit(enum mf_gguf_type type);

#endif
