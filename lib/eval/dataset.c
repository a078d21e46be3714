/* Reading documents of tokens: from a stream, or from a sample of it in memory. */
#include "eval/dataset_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "io/utf8.h"
#include "text/tokens.h"

static int check_header(const struct mf_dataset *s, size_t V, const char *sha, const char *model,
                        struct mf_err *err) {
    const struct mf_tokens_header *h = &s->docs.header;
    const char *name = mf_stream_name(s->docs.stream);
    if (V != 0 && h->vocab > V)
        return mf_err_set(err, EX_DATAERR, "%s: vocab_size is %zu, more than %zu as in %s", name, h->vocab, V,
                          model);
    if (sha && *sha && strcmp(h->tokenizer, sha) != 0)
        return mf_err_set(err, EX_DATAERR, "%s: made with tokenizer %.12s, not %.12s as %s", name,
                          h->tokenizer, sha, model);
    return mf_specials_match(&s->specials, model, &h->specials, name, err);
}

int mf_dataset_open(struct mf_dataset **dataset, const char *path, size_t V, const char *sha,
                    const struct mf_specials *specials, const char *model, struct mf_err *err) {
    struct mf_dataset *s = calloc(1, sizeof *s);
    if (s) s->domains = calloc(MF_DATASET_DOMAINS, sizeof *s->domains);
    if (!s || !s->domains) mf_no_memory();
    s->specials = *specials;
    s->to = SIZE_MAX;
    s->partition = -1;
    if (path && strcmp(path, "-") != 0 && !(s->path = strdup(path))) mf_no_memory();
    if (mf_tokens_open(&s->docs, path, err) < 0 || check_header(s, V, sha, model, err) < 0) {
        mf_dataset_close(s);
        return -1;
    }
    *dataset = s;
    return 0;
}

/* The number of a domain's name, which is cleaned first: two names that print alike are one. */
static size_t find_domain(struct mf_dataset *s, const char *bytes, size_t size) {
    char name[DOMAIN_NAME];
    mf_utf8_line(name, sizeof name, bytes, size);
    for (size_t i = 0; i < s->n_domains; i++)
        if (strcmp(s->domains[i], name) == 0) return i;
    if (s->n_domains == MF_DATASET_DOMAINS) return MF_DATASET_DOMAINS - 1;
    if (s->n_domains == MF_DATASET_DOMAINS - 1) snprintf(name, sizeof name, "(other)");
    memcpy(s->domains[s->n_domains], name, sizeof name);
    return s->n_domains++;
}

int dataset_next_of_stream(struct mf_dataset *s, struct mf_token_doc *doc, struct mf_err *err) {
    int got = mf_tokens_next(&s->docs, doc, err);
    if (got <= 0) return got;
    if (doc->n >= 2) {
        s->tokens += doc->n;
        s->documents++;
    }
    s->domain = doc->domain ? find_domain(s, doc->domain, doc->domain_size) : find_domain(s, "(none)", 6);
    return 1;
}

int mf_dataset_rewind(struct mf_dataset *s, struct mf_err *err) {
    if (s->sampled) {
        s->next = 0;
        return 0;
    }
    if (!s->path) return mf_err_set(err, EX_USAGE, "standard input cannot be read twice; name a file");
    mf_tokens_close(&s->docs);
    s->tokens = s->documents = 0;
    return mf_tokens_open(&s->docs, s->path, err);
}

static bool in_range(const struct mf_dataset *s, const struct held *h) {
    return h->slice >= s->from && h->slice < s->to;
}

struct mf_dataset_extent mf_dataset_extent(const struct mf_dataset *s) {
    struct mf_dataset_extent e = {s->tokens, s->documents, s->tokens, s->documents};
    if (!s->sampled) return e;
    e.tokens = e.documents = 0;
    for (size_t i = 0; i < s->n_held; i++) {
        if (!in_range(s, &s->held[i])) continue;
        e.tokens += s->held[i].doc.n;
        e.documents++;
    }
    return e;
}

void mf_dataset_of_partition(struct mf_dataset *s, int64_t partition) {
    s->partition = partition;
}

static int next_of_sample(struct mf_dataset *s, struct mf_token_doc *doc) {
    while (s->next < s->n_held) {
        const struct held *h = &s->held[s->next++];
        if (!in_range(s, h)) continue;
        if (s->part != MF_DATASET_ALL && h->other != (s->part == MF_DATASET_OTHER_HALF)) continue;
        s->domain = h->domain;
        *doc = h->doc;
        return 1;
    }
    return 0;
}

int mf_dataset_next(struct mf_dataset *s, struct mf_token_doc *doc, struct mf_err *err) {
    int got;
    do got = s->sampled ? next_of_sample(s, doc) : dataset_next_of_stream(s, doc, err);
    while (got > 0 && s->partition >= 0 && doc->partition != s->partition);
    return got;
}

size_t mf_dataset_last_domain(const struct mf_dataset *s) {
    return s->domain;
}

size_t mf_dataset_domains(const struct mf_dataset *s) {
    return s->n_domains;
}

const char *mf_dataset_domain(const struct mf_dataset *s, size_t i) {
    return s->domains[i];
}

const char *mf_dataset_name(const struct mf_dataset *s) {
    return s->docs.stream ? mf_stream_name(s->docs.stream) : s->path;
}

void mf_dataset_close(struct mf_dataset *s) {
    if (!s) return;
    mf_tokens_close(&s->docs);
    for (size_t i = 0; i < s->n_held; i++) free(s->held[i].tokens);
    free(s->held);
    free(s->domains);
    free(s->path);
    free(s);
}
