/* One block's product by oneDNN. Making a kernel takes longer than running it, so each is kept. */
#include "nn/bf16_internal.h"

#include <cblas.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include "base/memory.h"
#include "nn/onednn.h"

enum { A, B, C, SCRATCH, OPERANDS };
enum { BUCKETS = 256 };

/* A kernel, and for each thread what it is run on. */
struct kernel {
    struct bf16_shape shape;
    dnnl_primitive_t primitive;
    size_t scratch; /* bytes */
    dnnl_memory_t (*operands)[OPERANDS];
    struct kernel *next; /* in its bucket */
};

struct worker {
    dnnl_stream_t stream;
    void *scratch;
    size_t bytes;
};

struct bf16_kernels {
    int n_threads;
    bool rounded; /* operands are floats that were rounded, for sgemm */
    struct onednn onednn;
    dnnl_engine_t engine;
    struct worker *workers; /* [n_threads] */
    pthread_mutex_t lock;   /* of who adds a kernel; what is there stays, and is read without */
    _Atomic(struct kernel *) buckets[BUCKETS];
};

static void free_kernel(const struct bf16_kernels *k, struct kernel *kernel) {
    for (int t = 0; kernel->operands && t < k->n_threads; t++)
        for (size_t i = 0; i < OPERANDS; i++) k->onednn.memory_destroy(kernel->operands[t][i]);
    k->onednn.primitive_destroy(kernel->primitive);
    free(kernel->operands);
    free(kernel);
}

void bf16_kernels_free(struct bf16_kernels *k) {
    if (!k) return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct kernel *kernel = k->buckets[i], *next; kernel; kernel = next) {
            next = kernel->next;
            free_kernel(k, kernel);
        }
    for (int t = 0; k->workers && t < k->n_threads; t++) {
        if (!k->rounded) k->onednn.stream_destroy(k->workers[t].stream);
        free(k->workers[t].scratch);
    }
    if (!k->rounded) k->onednn.engine_destroy(k->engine);
    pthread_mutex_destroy(&k->lock);
    free(k->workers);
    free(k);
}

static bool begin_onednn(struct bf16_kernels *k) {
    const struct onednn *o = &k->onednn;
    bool made = o->engine_create(&k->engine, dnnl_cpu, 0) == dnnl_success;
    for (int t = 0; made && t < k->n_threads; t++)
        made = o->stream_create(&k->workers[t].stream, k->engine, dnnl_stream_default_flags) == dnnl_success;
    return made;
}

int bf16_kernels_new(struct bf16_kernels **out, int n_threads, struct mf_err *err) {
    struct bf16_kernels *k = calloc(1, sizeof *k);
    if (!k) return mf_err_set(err, EX_OSERR, "out of memory");
    k->n_threads = n_threads;
    k->rounded = bf16_units() == BF16_NONE || !onednn_open(&k->onednn);
    k->workers = calloc((size_t)n_threads, sizeof *k->workers);
    pthread_mutex_init(&k->lock, NULL);
    if (!k->workers || (!k->rounded && !begin_onednn(k))) {
        bf16_kernels_free(k);
        return mf_err_set(err, EX_OSERR, "oneDNN cannot begin: out of memory");
    }
    *out = k;
    return 0;
}

size_t bf16_number(const struct bf16_kernels *k) {
    return k->rounded ? sizeof(float) : sizeof(uint16_t);
}

/* --- kernels --- */

static bool describe(const struct onednn *o, dnnl_memory_desc_t *d, size_t rows, size_t columns, size_t ld,
                     bool turn, dnnl_data_type_t type) {
    dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns}, strides = {(dnnl_dim_t)ld, 1};
    if (turn) {
        strides[0] = 1;
        strides[1] = (dnnl_dim_t)ld;
    }
    return o->memory_desc_init_by_strides(d, 2, dims, type, strides) == dnnl_success;
}

/* Memory for the kernel's scratch is ours; with `add` the product is added to what is there. */
static bool describe_attributes(const struct onednn *o, dnnl_primitive_attr_t attributes,
                                dnnl_post_ops_t after, bool add) {
    return (!add || o->post_ops_append_sum(after, 1) == dnnl_success) &&
           o->primitive_attr_set_post_ops(attributes, after) == dnnl_success &&
           o->primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user) == dnnl_success;
}

static bool make_primitive(struct bf16_kernels *k, struct kernel *kernel, const dnnl_memory_desc_t d[3],
                           dnnl_memory_desc_t *scratch) {
    const struct onednn *o = &k->onednn;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t after = NULL;
    dnnl_matmul_desc_t product;
    dnnl_primitive_desc_t plan = NULL;
    bool made = o->primitive_attr_create(&attributes) == dnnl_success &&
                o->post_ops_create(&after) == dnnl_success &&
                describe_attributes(o, attributes, after, kernel->shape.add) &&
                o->matmul_desc_init(&product, &d[A], &d[B], NULL, &d[C]) == dnnl_success &&
                o->primitive_desc_create(&plan, &product, attributes, k->engine, NULL) == dnnl_success;
    if (made) *scratch = *o->primitive_desc_query_md(plan, dnnl_query_scratchpad_md, 0);
    made = made && o->primitive_create(&kernel->primitive, plan) == dnnl_success;
    o->primitive_desc_destroy(plan);
    o->post_ops_destroy(after);
    o->primitive_attr_destroy(attributes);
    return made;
}

static bool make(struct bf16_kernels *k, struct kernel *kernel) {
    const struct onednn *o = &k->onednn;
    const struct bf16_shape *s = &kernel->shape;
    dnnl_memory_desc_t d[OPERANDS];
    if (!describe(o, &d[A], s->M, s->K, s->turn_a ? s->M : s->K, s->turn_a, dnnl_bf16) ||
        !describe(o, &d[B], s->K, s->N, s->ld_b, s->turn_b, dnnl_bf16) ||
        !describe(o, &d[C], s->M, s->N, s->ld_c, false, dnnl_f32) ||
        !make_primitive(k, kernel, d, &d[SCRATCH]))
        return false;
    kernel->scratch = o->memory_desc_get_size(&d[SCRATCH]);
    kernel->operands = calloc((size_t)k->n_threads, sizeof *kernel->operands);
    for (int t = 0; kernel->operands && t < k->n_threads; t++)
        for (size_t i = 0; i < OPERANDS; i++)
            if (o->memory_create(&kernel->operands[t][i], &d[i], k->engine, DNNL_MEMORY_NONE) != dnnl_success)
                return false;
    return kernel->operands != NULL;
}

static bool same(const struct bf16_shape *a, const struct bf16_shape *b) {
    return a->M == b->M && a->N == b->N && a->K == b->K && a->ld_b == b->ld_b && a->ld_c == b->ld_c &&
           a->turn_a == b->turn_a && a->turn_b == b->turn_b && a->add == b->add;
}

static size_t bucket_of(const struct bf16_shape *s) {
    size_t h = ((s->M * 31 + s->N) * 31 + s->K) * 31 + s->ld_b * 7 + s->ld_c;
    return (h * 8 + (size_t)s->turn_a * 4 + (size_t)s->turn_b * 2 + s->add) * 0x9e3779b1u / 4096 % BUCKETS;
}

static const struct kernel *find(const struct bf16_kernels *k, const struct bf16_shape *shape) {
    const struct kernel *kernel = k->buckets[bucket_of(shape)];
    while (kernel && !same(&kernel->shape, shape)) kernel = kernel->next;
    return kernel;
}

/* The same where there is none yet; NULL where there is no memory for one. */
static const struct kernel *add(struct bf16_kernels *k, const struct bf16_shape *shape) {
    size_t bucket = bucket_of(shape);
    struct kernel *kernel = calloc(1, sizeof *kernel);
    if (!kernel) return NULL;
    kernel->shape = *shape;
    if (!make(k, kernel)) {
        free_kernel(k, kernel);
        return NULL;
    }
    kernel->next = k->buckets[bucket];
    k->buckets[bucket] = kernel;
    return kernel;
}

static const struct kernel *kernel_of(struct bf16_kernels *k, const struct bf16_shape *shape) {
    const struct kernel *kernel = find(k, shape);
    if (kernel) return kernel;
    pthread_mutex_lock(&k->lock);
    kernel = find(k, shape);
    if (!kernel) kernel = add(k, shape);
    pthread_mutex_unlock(&k->lock);
    return kernel;
}

/* --- products --- */

static bool has_scratch(struct worker *worker, size_t bytes) {
    if (worker->bytes >= bytes) return true;
    free(worker->scratch);
    worker->scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
    worker->bytes = worker->scratch ? bytes : 0;
    return worker->scratch != NULL;
}

static bool run(struct bf16_kernels *k, const struct kernel *kernel, float *c, const void *a, const void *b,
                int thread) {
    struct worker *worker = &k->workers[thread];
    if (!kernel || !has_scratch(worker, kernel->scratch)) return false;
    void *at[OPERANDS] = {(void *)(uintptr_t)a, (void *)(uintptr_t)b, c, worker->scratch};
    const int roles[OPERANDS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD};
    dnnl_exec_arg_t arguments[OPERANDS];
    for (size_t i = 0; i < OPERANDS; i++) {
        dnnl_memory_t memory = kernel->operands[thread][i];
        if (k->onednn.memory_set_data_handle_v2(memory, at[i], NULL) != dnnl_success) return false;
        arguments[i] = (dnnl_exec_arg_t){roles[i], memory};
    }
    return k->onednn.primitive_execute(kernel->primitive, worker->stream, OPERANDS, arguments) ==
           dnnl_success;
}

/* Rounded operands in fp32: the same products, summed in another order. */
static void by_sgemm(const struct bf16_shape *s, float *c, const float *a, const float *b) {
    cblas_sgemm(CblasRowMajor, s->turn_a ? CblasTrans : CblasNoTrans, s->turn_b ? CblasTrans : CblasNoTrans,
                (int)s->M, (int)s->N, (int)s->K, 1, a, (int)(s->turn_a ? s->M : s->K), b, (int)s->ld_b,
                s->add ? 1 : 0, c, (int)s->ld_c);
}

void bf16_multiply(struct bf16_kernels *k, const struct bf16_shape *shape, float *c, const void *a,
                   const void *b, int thread) {
    if (k->rounded) {
        by_sgemm(shape, c, a, b);
        return;
    }
    k->onednn.set_threads(1); /* each thread has its own number, asked for when a kernel is made or run */
    if (!run(k, kernel_of(k, shape), c, a, b, thread)) mf_no_memory(); /* it fails for nothing else */
}
