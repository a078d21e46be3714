/* What this processor multiplies bf16 with. */
#include "nn/bf16.h"

#include "nn/onednn.h"

enum bf16_units bf16_units(void) {
    struct onednn onednn;
    if (!onednn_open(&onednn)) return BF16_NONE;
    dnnl_cpu_isa_t isa = onednn.get_effective_cpu_isa();
    if ((isa & dnnl_cpu_isa_avx512_core_amx) == dnnl_cpu_isa_avx512_core_amx) return BF16_AMX;
    return (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16 ? BF16_AVX512 : BF16_NONE;
}

bool bf16_pays(void) {
    enum bf16_units units = bf16_units();
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
    return units == BF16_AMX || (units == BF16_AVX512 && __builtin_cpu_is("amd"));
#else
    return units == BF16_AMX;
#endif
}
