/* MF_CLONES compiles a function for newer processors too, and chooses when the program is loaded. MF_IVDEP
 * before a loop: what a round writes, no later one reads. */
#ifndef MF_BASE_SIMD_H
#define MF_BASE_SIMD_H

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) &&             \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MF_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MF_CLONES
#endif

#if defined(__clang__)
#define MF_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define MF_IVDEP _Pragma("GCC ivdep")
#endif

#endif
