/* The functions of oneDNN that are used, looked up when products in bf16 begin: the library has 5 MB that
 * nobody else needs to load. */
#ifndef MF_NN_ONEDNN_H
#define MF_NN_ONEDNN_H

#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>

/* clang-format off */
#define ONEDNN_FUNCTIONS(F) \
    F(get_effective_cpu_isa) F(engine_create) F(engine_destroy) F(stream_create) F(stream_destroy) \
    F(memory_create) F(memory_destroy) F(memory_set_data_handle_v2) F(memory_desc_init_by_strides) \
    F(memory_desc_get_size) F(matmul_desc_init) F(post_ops_create) F(post_ops_destroy) F(post_ops_append_sum) \
    F(primitive_attr_create) F(primitive_attr_destroy) F(primitive_attr_set_post_ops) \
    F(primitive_attr_set_scratchpad_mode) F(primitive_desc_create) F(primitive_desc_destroy) \
    F(primitive_desc_query_md) F(primitive_create) F(primitive_destroy) F(primitive_execute)
/* clang-format on */

struct onednn {
#define ONEDNN_FIELD(name) __typeof__(dnnl_##name) *name;
    ONEDNN_FUNCTIONS(ONEDNN_FIELD)
#undef ONEDNN_FIELD
    void (*set_threads)(int n); /* how many a kernel may use that this thread makes or runs */
};

/* Has this processor AVX512-BF16? Without it oneDNN is of no use. */
bool onednn_useful(void);

/* False where the library is missing or of no use. Once loaded it stays until the process ends. */
bool onednn_open(struct onednn *o);

#endif
