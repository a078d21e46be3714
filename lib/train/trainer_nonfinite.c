/* Where in a step the first non-finite value appears: the forward once more, looking at what enters each
 * block; then the gradient. */
#include "train/trainer_internal.h"

#include <math.h>
#include <stdio.h>

#define NOWHERE INT64_MAX

struct finder {
    int64_t site; /* NOWHERE: none found */
    size_t D;
};

static void look_for_nonfinite(void *context, size_t site, const float *rows, size_t N) {
    struct finder *f = context;
    for (size_t i = 0; i < N * f->D && f->site == NOWHERE; i++)
        if (!isfinite(rows[i])) f->site = (int64_t)site;
}

void training_name_nonfinite(struct training_loop *l, char *text, size_t size) {
    struct finder f = {NOWHERE, l->t->shape.D};
    size_t window = 0, at = 0;
    int64_t L = (int64_t)l->t->shape.L;
    struct mf_lm_batch slice;
    while (f.site == NOWHERE && mf_slice(&l->batch, l->t->memory.plan.max_rows, &window, &slice))
        mf_lm_norms(l->lm, &l->t->weights, &slice, look_for_nonfinite, &f);
    f.site = training_first(l, f.site);
    if (f.site < 2 * L) {
        snprintf(text, size, "the input of the %s of layer %lld", f.site < L ? "attention" : "FFN",
                 (long long)(f.site % L));
        return;
    }
    if (f.site == 2 * L) {
        snprintf(text, size, "the output of layer %lld", (long long)(L - 1));
        return;
    }
    for (size_t i = 0; i < l->t->count; i++) {
        size_t n = mf_tensor_count(&l->t->tensors[i]);
        for (size_t k = 0; k < n; k++)
            if (!isfinite(l->gradient[at + k])) {
                snprintf(text, size, "the gradient of %s", l->t->tensors[i].name);
                return;
            }
        at += n;
    }
    snprintf(text, size, "the sum");
}
