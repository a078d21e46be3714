/* One reader of the special tokens' ids for every kind of file. */
#include "text/specials.h"

#include "text/tokenizer.h"

const struct mf_specials mf_specials_ours = {.pad = MF_PAD, .bos = MF_BOS, .eos = MF_EOS};

/* The three in the order of their messages. */
#define FIELDS 3
static const char *const names[FIELDS] = {"bos", "eos", "pad"};

static void list(struct mf_specials *s, int64_t *ids[FIELDS]) {
    ids[0] = &s->bos;
    ids[1] = &s->eos;
    ids[2] = &s->pad;
}

static int check(int64_t id, size_t V, const char *file, const char *place, const char *field,
                 struct mf_err *err) {
    if (id >= -1 && id < (int64_t)V) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: %s %s is %lld, not between -1 and %zu", file, place, field,
                      (long long)id, V - 1);
}

int mf_specials_read(struct mf_specials *s, const struct mf_record *header, size_t V, const char *file,
                     struct mf_err *err) {
    int64_t *ids[FIELDS];
    *s = (struct mf_specials){-1, -1, -1, false};
    list(s, ids);
    for (size_t i = 0; i < FIELDS; i++) {
        int there = mf_record_int(header, names[i], ids[i], err);
        if (there < 0) return -1;
        if (there == 0) continue;
        s->given = true;
        if (check(*ids[i], V, file, "the header's", names[i], err) < 0) return -1;
    }
    return 0;
}

int mf_specials_parse(struct mf_specials *s, const json_t *object, size_t V, const char *file,
                      struct mf_err *err) {
    int64_t *ids[FIELDS];
    *s = mf_specials_ours;
    if (!object) return 0;
    list(s, ids);
    if (!json_is_object(object))
        return mf_err_set(err, EX_DATAERR, "%s: special_tokens is not an object", file);
    s->given = true;
    for (size_t i = 0; i < FIELDS; i++) {
        const json_t *value = json_object_get(object, names[i]);
        if (value && !json_is_integer(value))
            return mf_err_set(err, EX_DATAERR, "%s: special_tokens: %s is not a number", file, names[i]);
        *ids[i] = value ? json_integer_value(value) : -1;
        if (check(*ids[i], V, file, "special_tokens:", names[i], err) < 0) return -1;
    }
    return 0;
}

json_t *mf_specials_json(const struct mf_specials *s) {
    return json_pack("{sI,sI,sI}", "bos", (json_int_t)s->bos, "eos", (json_int_t)s->eos, "pad",
                     (json_int_t)s->pad);
}

bool mf_specials_equal(const struct mf_specials *a, const struct mf_specials *b) {
    return a->pad == b->pad && a->bos == b->bos && a->eos == b->eos;
}

int mf_specials_match(const struct mf_specials *a, const char *a_name, const struct mf_specials *b,
                      const char *b_name, struct mf_err *err) {
    struct mf_specials one = *a, other = *b;
    int64_t *x[FIELDS], *y[FIELDS];
    if (!a->given || !b->given) return 0;
    list(&one, x);
    list(&other, y);
    for (size_t i = 0; i < FIELDS; i++)
        if (*x[i] != *y[i])
            return mf_err_set(err, EX_DATAERR, "%s: %s is %lld, not %lld as in %s", b_name, names[i],
                              (long long)*y[i], (long long)*x[i], a_name);
    return 0;
}

bool mf_specials_target(const struct mf_specials *s, uint32_t token) {
    return (int64_t)token == s->eos || ((int64_t)token != s->pad && (int64_t)token != s->bos);
}

bool mf_specials_predict(const struct mf_specials *s, const uint32_t *tokens, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (mf_specials_target(s, tokens[i])) return true;
    return false;
}

int64_t mf_specials_padding(const struct mf_specials *s) {
    return s->pad == s->bos || s->pad == s->eos ? -1 : s->pad;
}
