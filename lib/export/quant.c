/* Rounding to the five types that are written to GGUF. All bytes are little-endian, as the machine's. */
#include "export/quant.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/tensor.h"

#define BLOCK 32 /* numbers of Q8_0 and Q4_0 */

struct q8_0 {
    uint16_t scale;
    int8_t q[BLOCK];
};
struct q4_0 {
    uint16_t scale;
    uint8_t q[BLOCK / 2];
};

/* 0 for a scale so small that it is stored as 0 anyway. */
static float inverse(float d) {
    return isfinite(1 / d) ? 1 / d : 0;
}

static void narrow_q8_0(struct q8_0 *to, const float *x) {
    float max = 0;
    for (size_t i = 0; i < BLOCK; i++) max = fmaxf(max, fabsf(x[i]));
    float d = max / 127, scale = inverse(d);
    mf_f16_round(&to->scale, &d, 1);
    for (size_t i = 0; i < BLOCK; i++) to->q[i] = (int8_t)roundf(x[i] * scale);
}

static void widen_q8_0(float *x, const struct q8_0 *from) {
    float d;
    mf_f16_widen(&d, &from->scale, 1);
    for (size_t i = 0; i < BLOCK; i++) x[i] = (float)from->q[i] * d;
}

static uint8_t nibble(float x) {
    int q = (int)(x + 8.5f);
    return (uint8_t)(q < 15 ? q : 15);
}

static void narrow_q4_0(struct q4_0 *to, const float *x) {
    float max = 0;
    for (size_t i = 0; i < BLOCK; i++)
        if (fabsf(x[i]) > fabsf(max)) max = x[i];
    float d = max / -8, scale = inverse(d);
    mf_f16_round(&to->scale, &d, 1);
    for (size_t i = 0; i < BLOCK / 2; i++)
        to->q[i] = (uint8_t)(nibble(x[i] * scale) | nibble(x[i + BLOCK / 2] * scale) << 4);
}

static void widen_q4_0(float *x, const struct q4_0 *from) {
    float d;
    mf_f16_widen(&d, &from->scale, 1);
    for (size_t i = 0; i < BLOCK / 2; i++) {
        x[i] = (float)((from->q[i] & 15) - 8) * d;
        x[i + BLOCK / 2] = (float)((from->q[i] >> 4) - 8) * d;
    }
}

void mf_quant_narrow(void *to, const float *from, size_t n, enum mf_gguf_type type) {
    switch (type) {
    case MF_GGUF_F32:
        memcpy(to, from, n * sizeof *from);
        return;
    case MF_GGUF_F16:
        mf_f16_round(to, from, n);
        return;
    case MF_GGUF_BF16:
        mf_bf16_round(to, from, n);
        return;
    case MF_GGUF_Q8_0:
        for (size_t i = 0; i < n / BLOCK; i++) narrow_q8_0((struct q8_0 *)to + i, from + i * BLOCK);
        return;
    case MF_GGUF_Q4_0:
        for (size_t i = 0; i < n / BLOCK; i++) narrow_q4_0((struct q4_0 *)to + i, from + i * BLOCK);
        return;
    }
    abort();
}

int mf_quant_widen(float *to, const void *from, size_t n, uint32_t type) {
    switch (type) {
    case MF_GGUF_F32:
        if (n > 0) memcpy(to, from, n * sizeof *to);
        return 0;
    case MF_GGUF_F16:
        mf_f16_widen(to, from, n);
        return 0;
    case MF_GGUF_BF16:
        mf_bf16_widen(to, from, n);
        return 0;
    case MF_GGUF_Q8_0:
        for (size_t i = 0; i < n / BLOCK; i++) widen_q8_0(to + i * BLOCK, (const struct q8_0 *)from + i);
        return 0;
    case MF_GGUF_Q4_0:
        for (size_t i = 0; i < n / BLOCK; i++) widen_q4_0(to + i * BLOCK, (const struct q4_0 *)from + i);
        return 0;
    default:
        return -1;
    }
}

float mf_quant_limit(enum mf_gguf_type type) {
    static const float half = 65504; /* F16's largest; what is below 65520 rounds to it */
    switch (type) {
    case MF_GGUF_F32:
        return FLT_MAX;
    case MF_GGUF_BF16:
        return 0x1.fep127f;
    case MF_GGUF_F16:
        return half;
    case MF_GGUF_Q8_0:
        return half * 127;
    case MF_GGUF_Q4_0:
        return half * 8;
    }
    abort();
}
