/* `auto`, and its reason. */
#include "cli/precision.h"

#include "nn/bf16.h"

bool mf_precision_bf16(int setting) {
    return setting == MF_PRECISION_BF16 || (setting == MF_PRECISION_AUTO && bf16_pays());
}

const char *mf_precision_name(bool bf16) {
    return bf16 ? "bf16" : "fp32";
}

const char *mf_precision_units(void) {
    switch (bf16_units()) {
    case BF16_AMX:
        return "this processor has AMX";
    case BF16_AVX512:
        return bf16_pays() ? "this processor has AVX512-BF16"
                           : "this processor has AVX512-BF16, which is slower than its fp32, and no AMX";
    default:
        return "this processor has neither AMX nor AVX512-BF16";
    }
}
