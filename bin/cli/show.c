/* Finds out what a file is and has it shown. */
#include "cli/show.h"

#include <math.h>
#include <string.h>

#include "cli/show_internal.h"
#include "io/utf8.h"

enum content { STREAM, BUNDLE, MODEL, GGUF, OTHER };

static enum content find_content(const unsigned char *b, size_t n) {
    if (mf_stream_begins(b, n)) return STREAM;
    if (mf_bundle_begins(b, n)) return BUNDLE;
    if (mf_gguf_begins(b, n)) return GGUF;
    if (n >= 9 && b[8] == '{') return MODEL;
    return OTHER;
}

static int show_stream(struct mf_out *out, struct mf_in *in, const struct mf_show *show, struct mf_err *err) {
    struct mf_stream_reader *r;
    if (mf_stream_open_in(&r, in, NULL, show->follow, err) < 0) return -1;
    int result = mf_show_stream(out, r, show, err);
    mf_stream_close(r);
    return result;
}

static int show_bundle(struct mf_out *out, struct mf_in *in, const struct mf_show *show, struct mf_err *err) {
    struct mf_bundle *b;
    if (mf_bundle_open_in(&b, in, NULL, err) < 0) return -1;
    int result = mf_show_bundle(out, b, show, err);
    mf_bundle_close(b);
    return result;
}

static int show_model(struct mf_out *out, const char *path, const struct mf_show *show, struct mf_err *err) {
    struct mf_safetensors *st;
    if (mf_safetensors_open(&st, path, err) < 0) return -1;
    int result = mf_show_model(out, st, show, err);
    mf_safetensors_close(st);
    return result;
}

static int show_gguf(struct mf_out *out, const char *path, const struct mf_show *show, struct mf_err *err) {
    struct mf_gguf *g;
    if (mf_gguf_open(&g, path, err) < 0) return -1;
    int result = mf_show_gguf(out, g, show, err);
    mf_gguf_close(g);
    return result;
}

int mf_show_file(struct mf_out *out, const char *path, const struct mf_show *show, struct mf_err *err) {
    struct mf_in *in;
    const unsigned char *first;
    if (mf_in_open(&in, path, err) < 0) return -1;
    if (show->follow) mf_in_follow(in);
    /* A stream tells itself by its first bytes, so a growing one need not be waited for further than these.
     */
    int64_t n = mf_in_peek(in, &first, MF_STREAM_HEAD, err);
    if (n > 0 && find_content(first, (size_t)n) != STREAM && !show->follow)
        n = mf_in_peek(in, &first, 512, err);
    enum content content = n > 0 ? find_content(first, (size_t)n) : OTHER;
    if (content == STREAM) return show_stream(out, in, show, err);
    if (n >= 0 && show->follow)
        mf_err_set(err, EX_USAGE, "%s: not a stream, and only those can be followed", mf_in_name(in));
    else if (content == BUNDLE)
        return show_bundle(out, in, show, err);
    else if (n == 0)
        mf_err_set(err, EX_DATAERR, "%s: empty", mf_in_name(in));
    else if (n > 0 && content == OTHER)
        mf_err_set(err, EX_DATAERR, "%s: not a stream, a bundle or a model", mf_in_name(in));
    mf_in_close(in);
    if (show->follow) return -1;
    if (content == MODEL) return show_model(out, path, show, err);
    return content == GGUF ? show_gguf(out, path, show, err) : -1;
}

/* Chan, Golub and LeVeque 1979: two passes over the block, then the block joins the rest. */
void mf_spread_add(struct mf_spread *s, const double *values, size_t n) {
    double sum = 0, m2 = 0;
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) continue;
        if (s->count + count == 0 || values[i] < s->min) s->min = values[i];
        if (s->count + count == 0 || values[i] > s->max) s->max = values[i];
        sum += values[i];
        count++;
    }
    s->bad += n - count;
    if (count == 0) return;
    double mean = sum / (double)count, delta = mean - s->mean, all = (double)(s->count + count);
    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i])) m2 += (values[i] - mean) * (values[i] - mean);
    s->m2 += m2 + delta * delta * (double)s->count * (double)count / all;
    s->mean += delta * (double)count / all;
    s->count += count;
}

const char *mf_show_clean(char *text, const char *bytes, size_t size, size_t width) {
    const unsigned char *b = (const unsigned char *)bytes;
    size_t used = 0, shown = 0, keep = 0;
    for (size_t i = 0, n; i < size; i += n) {
        bool valid;
        n = mf_utf8_step(b + i, size - i, &valid);
        if (!valid) n = 1;
        if (n == 1 && memchr(" \n\t\r", b[i], 4) && (used == 0 || text[used - 1] == ' ')) continue;
        if (shown == width) { /* too long: the last three characters become dots */
            memcpy(text + keep, "...", 4);
            return text;
        }
        if (width >= 3 && shown == width - 3) keep = used;
        if (!valid || b[i] < 0x20 || b[i] == 0x7f || (b[i] == 0xc2 && b[i + 1] < 0xa0)) {
            text[used++] = memchr("\n\t\r", b[i], 3) ? ' ' : '?';
        } else {
            memcpy(text + used, bytes + i, n);
            used += n;
        }
        shown++;
    }
    text[used] = 0;
    return text;
}
