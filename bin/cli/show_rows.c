/* Tensors in columns: the lines that bundles, models and GGUF files have in common. */
#include <math.h>
#include <string.h>

#include "cli/show_internal.h"

#define WIDTH ((size_t)MF_TENSOR_NAME - 1) /* characters of a name */

bool mf_show_more(const struct mf_show *show, const struct mf_totals *t) {
    return show->head < 0 || t->tensors < (uint64_t)show->head;
}

void mf_totals_add(struct mf_totals *totals, const struct mf_shown_tensor *t) {
    totals->tensors++;
    totals->parameters += t->count;
    totals->bytes += t->bytes;
}

int mf_show_title(struct mf_out *out, enum mf_show_form form, struct mf_err *err) {
    if (form == MF_SHOW_TABLE)
        return mf_out_printf(out, err, "%-48s %-5s %-14s %12s\n", "tensor", "dtype", "shape", "bytes");
    return mf_out_printf(out, err, "%-48s %-5s %-14s %12s %12s %12s %12s %8s\n", "tensor", "dtype", "shape",
                         "mean", "std", "min", "max", "nan/inf");
}

static int write_name(struct mf_out *out, const struct mf_shown_tensor *t, struct mf_err *err) {
    char name[4 * WIDTH + 1];
    mf_show_clean(name, t->name, strlen(t->name), WIDTH);
    return mf_out_printf(out, err, "%-48s %-5s %-14s ", name, t->dtype, t->shape);
}

int mf_show_row(struct mf_out *out, const struct mf_shown_tensor *t, struct mf_err *err) {
    if (write_name(out, t, err) < 0) return -1;
    return mf_out_printf(out, err, "%12llu\n", (unsigned long long)t->bytes);
}

int mf_show_stats(struct mf_out *out, const struct mf_shown_tensor *t, const struct mf_spread *v,
                  struct mf_err *err) {
    if (write_name(out, t, err) < 0) return -1;
    if (!v) return mf_out_printf(out, err, "%12s %12s %12s %12s %8s\n", "-", "-", "-", "-", "-");
    return mf_out_printf(out, err, "%12.5g %12.5g %12.5g %12.5g %8llu\n", v->mean,
                         v->count ? sqrt(v->m2 / (double)v->count) : 0, v->min, v->max,
                         (unsigned long long)v->bad);
}

int mf_show_totals(struct mf_out *out, const struct mf_totals *t, enum mf_show_form form,
                   struct mf_err *err) {
    if (form == MF_SHOW_JSON) return 0;
    if (mf_out_printf(out, err, "total: %zu tensors, %llu parameters, %llu bytes", t->tensors,
                      (unsigned long long)t->parameters, (unsigned long long)t->bytes) < 0)
        return -1;
    if (form == MF_SHOW_STATS && mf_out_printf(out, err, ", %llu nan/inf", (unsigned long long)t->bad) < 0)
        return -1;
    return mf_out_write(out, "\n", 1, err);
}
