/* A step of k is an outer product: a tile of c stays in registers while k runs. How large a tile is depends
 * on the registers that a processor has, so each kind has its own copy, chosen at the call. */
#include "nn/small_product.h"

#include "base/simd.h"

MF_FUSED

#ifdef MF_TARGETS
#define NAME    tiles_v4 /* 32 registers of 16 floats */
#define TARGET  __attribute__((target("arch=x86-64-v4")))
#define LANES   ((size_t)16)
#define ROWS    ((size_t)8)
#define VECTORS ((size_t)2)
#include "nn/small_product_tiles.inc"

#define NAME    tiles_v3 /* 16 of 8 */
#define TARGET  __attribute__((target("arch=x86-64-v3")))
#define LANES   ((size_t)8)
#define ROWS    ((size_t)4)
#define VECTORS ((size_t)2)
#include "nn/small_product_tiles.inc"
#endif

#define NAME tiles /* at least 16 of 4 */
#define TARGET
#define LANES   ((size_t)4)
#define ROWS    ((size_t)4)
#define VECTORS ((size_t)2)
#include "nn/small_product_tiles.inc"

void small_product(const struct small_product *p) {
#ifdef MF_TARGETS
    if (__builtin_cpu_supports("x86-64-v4")) {
        tiles_v4(p);
        return;
    }
    if (__builtin_cpu_supports("x86-64-v3")) {
        tiles_v3(p);
        return;
    }
#endif
    tiles(p);
}
