/* The parts of showing: streams in show_stream.c, tensors of bundles and models in show_tensors.c, GGUF files
 * in show_gguf.c. */
#ifndef MF_CLI_SHOW_INTERNAL_H
#define MF_CLI_SHOW_INTERNAL_H

#include "io/bundle.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "cli/show.h"
#include "io/stream.h"

int mf_show_stream(struct mf_out *out, struct mf_stream_reader *r, const struct mf_show *show,
                   struct mf_err *err);
int mf_show_bundle(struct mf_out *out, struct mf_bundle *b, const struct mf_show *show, struct mf_err *err);
int mf_show_model(struct mf_out *out, const struct mf_safetensors *st, const struct mf_show *show,
                  struct mf_err *err);
int mf_show_gguf(struct mf_out *out, const struct mf_gguf *g, const struct mf_show *show, struct mf_err *err);

/* Running mean and spread of numbers that come in blocks; NaN and infinities are only counted. */
struct mf_spread {
    uint64_t count, bad; /* finite numbers, others */
    double mean, m2;     /* m2 is the sum of squared differences from the mean */
    double min, max;
};
void mf_spread_add(struct mf_spread *s, const double *values, size_t n);

/* Tensors in columns: a title, a line for each, a line of totals. */
struct mf_shown_tensor {
    const char *name, *dtype, *shape;
    uint64_t count, bytes; /* parameters */
};
struct mf_totals {
    uint64_t parameters, bytes, bad;
    size_t tensors;
};
void mf_totals_add(struct mf_totals *totals, const struct mf_shown_tensor *t);
bool mf_show_more(const struct mf_show *show, const struct mf_totals *t); /* is another one wanted? */
int mf_show_title(struct mf_out *out, enum mf_show_form form, struct mf_err *err);
int mf_show_row(struct mf_out *out, const struct mf_shown_tensor *t, struct mf_err *err);
int mf_show_totals(struct mf_out *out, const struct mf_totals *t, enum mf_show_form form, struct mf_err *err);

/* `spread` NULL: the numbers cannot be decoded. */
int mf_show_stats(struct mf_out *out, const struct mf_shown_tensor *t, const struct mf_spread *spread,
                  struct mf_err *err);

/* At most `width` characters of a name for a table, without control characters, white space in a row or
 * broken UTF-8; "..." shows a cut. `text` has room for 4 * width + 1 bytes. */
const char *mf_show_clean(char *text, const char *bytes, size_t size, size_t width);

#endif
