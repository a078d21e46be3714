/* A model with one FFN, the mean of all experts, to compare a mixture with.
 *
 * It is made in the scratch file, expert by expert, so memory does not grow with their number. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "assemble/assemble_internal.h"

/* Floats that are added at once. */
#define CHUNK ((size_t)32 << 10)

int mf_average_add(struct mf_assembly *a, struct mf_err *err) {
    size_t count;
    struct mf_tensor *t = mf_assembly_ffn(a, MF_FFN_MOE, &count);
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++) status = mf_assembly_add(a, &t[i], err);
    free(t);
    return status;
}

/* A sum of FFNs in the scratch file. */
struct sum {
    struct mf_assembly *a;
    const struct mf_tensor *tensors; /* [count] of the FFN, in the order of the file */
    size_t count;
    float scale; /* of the FFN that is added */
    bool first;
};

/* Adds numbers of a tensor to the sum; x is scratch afterwards. */
static int add(void *context, size_t index, size_t first, float *x, size_t count, struct mf_err *err) {
    const struct sum *s = context;
    float *sum = (float *)s->a->buffer + CHUNK;
    size_t begin = first;
    for (size_t i = 0; i < index; i++) begin += mf_tensor_count(&s->tensors[i]);
    for (size_t done = 0, n; done < count; done += n) {
        n = count - done < CHUNK ? count - done : CHUNK;
        size_t bytes = n * sizeof *sum, offset = (begin + done) * sizeof *sum;
        if (!s->first && mf_pread_all(s->a->scratch, sum, bytes, offset, "scratch file", err) < 0) return -1;
        for (size_t i = 0; i < n; i++) sum[i] = (s->first ? 0 : sum[i]) + s->scale * x[done + i];
        if (mf_scratch_write(s->a->scratch, sum, bytes, offset, err) < 0) return -1;
    }
    return 0;
}

/* Adds a tensor of an expert's bundle, if it is the FFN's. */
static int add_tensor(void *context, struct mf_bundle *b, const struct mf_tensor *t, struct mf_err *err) {
    struct sum *s = context;
    float *fresh = (float *)s->a->buffer;
    size_t index = 0;
    while (index < s->count && strcmp(s->tensors[index].name, t->name) != 0) index++;
    if (index == s->count) return 0;
    size_t count = mf_tensor_count(t);
    for (size_t done = 0, n; done < count; done += n) {
        n = count - done < CHUNK ? count - done : CHUNK;
        if (mf_bundle_read_finite_floats(b, fresh, n, err) < 0) return -1;
        if (add(s, index, done, fresh, n, err) < 0) return -1;
    }
    return 0;
}

static int add_one(struct sum *s, const struct mf_expert_entry *e, struct mf_err *err) {
    const struct mf_ffn_visit visit = {add, s, s->a->buffer + MF_ASSEMBLY_BUFFER, MF_NO_SLOT};
    return e->low_rank.R ? mf_assembly_changed(s->a, e, &visit, err)
                         : mf_assembly_each(s->a, e, add_tensor, s, err);
}

int mf_average_write(struct mf_assembly *a, struct mf_out *out, struct mf_err *err) {
    size_t count;
    struct mf_tensor *tensors = mf_assembly_ffn(a, MF_FFN_EXPERT, &count);
    struct sum sum = {a, tensors, count, 1 / (float)a->n_experts, true};
    int status = 0;
    for (size_t e = 0; e < a->n_experts && status == 0; e++) {
        sum.first = e == 0;
        status = add_one(&sum, &a->experts[e], err);
    }
    free(tensors);
    size_t left = mf_ffn_size(&a->shape) * sizeof(float);
    for (uint64_t at = 0; left > 0 && status == 0;) {
        size_t part = left < CHUNK ? left : CHUNK;
        status = mf_pread_all(a->scratch, a->buffer, part, at, "scratch file", err);
        if (status == 0) status = mf_out_write(out, a->buffer, part, err);
        at += part;
        left -= part;
    }
    return status;
}
