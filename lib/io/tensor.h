/* What a tensor is called, how it is shaped and where its numbers are. */
#ifndef MF_IO_TENSOR_H
#define MF_IO_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Named "F32", "BF16", "F16", "I64" in manifests and safetensors headers. */
enum mf_dtype { MF_F32, MF_BF16, MF_F16, MF_I64 };

#define MF_TENSOR_NAME 96
#define MF_TENSOR_DIMS 4

struct mf_tensor {
    char name[MF_TENSOR_NAME]; /* "layers.2.fc1.weight" */
    enum mf_dtype dtype;
    int n_dims;
    size_t shape[MF_TENSOR_DIMS];
    void *data; /* little-endian, row-major; NULL in a description without data */
};

size_t mf_dtype_size(enum mf_dtype dtype);
/* The name of tensor i of a list (io/names.h). */
const char *mf_tensor_name_of(const void *tensors, size_t i);

const char *mf_dtype_name(enum mf_dtype dtype);
int mf_dtype_parse(const char *name, enum mf_dtype *dtype); /* -1 when unknown */

/* F32 rounded to BF16, to the nearest, ties to even (a NaN stays one); and back, exactly. */
void mf_bf16_round(uint16_t *to, const float *from, size_t n);
void mf_bf16_widen(float *to, const uint16_t *from, size_t n);

/* The same for F16 (binary16). What rounds to more than 65504 becomes infinite. */
void mf_f16_round(uint16_t *to, const float *from, size_t n);
void mf_f16_widen(float *to, const uint16_t *from, size_t n);

/* n numbers of a type that is not I64 as F32, exactly. */
void mf_widen(float *to, const void *from, size_t n, enum mf_dtype dtype);

bool mf_finite(const float *x, size_t n); /* no NaN and no infinity among them */
bool mf_finite_stored(const void *x, size_t n,
                      enum mf_dtype dtype); /* the same of numbers as mf_widen takes */

size_t mf_tensor_count(const struct mf_tensor *t); /* product of the shape */
size_t mf_tensor_bytes(const struct mf_tensor *t);

/* 0 when the shape's size in bytes fits into 63 bits, else -1. The two above are defined only if it does;
 * readers check it before they hand a tensor out. */
int mf_tensor_check(const struct mf_tensor *t);

/* "[512,2048]" into `text`. Returns text. */
const char *mf_tensor_shape(const struct mf_tensor *t, char text[64]);

#endif
