/* MF_CLONES compiles a function for newer processors too, and chooses when the program is loaded; MF_TARGETS
 * says that it does. MF_IVDEP before a loop: what a round writes, no later one reads. MF_FUSED, once in a
 * file: from here on a product and the sum that takes it are rounded once where the processor can, so results
 * differ in the last bit between the clones. MF_UNROLL: a short loop of a constant number of rounds. */
#ifndef MF_BASE_SIMD_H
#define MF_BASE_SIMD_H

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) &&             \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MF_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define MF_TARGETS
#else
#define MF_CLONES
#endif

#if defined(__clang__)
#define MF_IVDEP  _Pragma("clang loop vectorize(assume_safety)")
#define MF_FUSED  _Pragma("STDC FP_CONTRACT ON")
#define MF_UNROLL _Pragma("clang loop unroll(full)")
#else
#define MF_IVDEP  _Pragma("GCC ivdep")
#define MF_FUSED  _Pragma("GCC optimize(\"fp-contract=fast\")")
#define MF_UNROLL _Pragma("GCC unroll 16")
#endif

#define MF_INLINE static inline __attribute__((always_inline))

#endif
