/* The vocabulary that grows from the counts of words, and tokenizer.json. */
#include "text/tokenizer_train.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "text/alphabet.h"
#include "text/bpe.h"
#include "text/bpe_rounds.h"
#include "text/bpe_symbols.h"
#include "text/tokenizer.h"

/* --- the vocabulary --- */

struct vocabulary {
    char **tokens; /* [n] each token's bytes, owned */
    size_t *sizes;
    size_t n;
    uint32_t *known; /* [capacity] 1 + id by the hash of the token's bytes, 0: empty */
    size_t capacity;
    struct mf_alphabet alphabet;
};

static uint32_t *find(const struct vocabulary *v, const char *bytes, size_t size) {
    size_t i = (size_t)XXH3_64bits(bytes, size) & (v->capacity - 1);
    for (;; i = (i + 1) & (v->capacity - 1)) {
        uint32_t id = v->known[i] - 1;
        if (v->known[i] == 0 || (v->sizes[id] == size && memcmp(v->tokens[id], bytes, size) == 0))
            return &v->known[i];
    }
}

static int add_token(struct vocabulary *v, const char *a, size_t a_size, const char *b, size_t b_size) {
    char *token = malloc(a_size + b_size + 1);
    if (!token) return -1;
    memcpy(token, a, a_size);
    memcpy(token + a_size, b, b_size);
    token[a_size + b_size] = '\0';
    v->tokens[v->n] = token;
    v->sizes[v->n++] = a_size + b_size;
    return 0;
}

/* Takes a pair into the vocabulary unless its bytes are a token already: a special one, which a document must
 * never yield, or one of other halves. */
static int accept(void *context, uint32_t left, uint32_t right, uint32_t id) {
    struct vocabulary *v = context;
    if (add_token(v, v->tokens[left], v->sizes[left], v->tokens[right], v->sizes[right]) < 0) return -1;
    uint32_t *same = find(v, v->tokens[id], v->sizes[id]);
    if (*same) {
        free(v->tokens[--v->n]);
        return 0;
    }
    *same = id + 1;
    return 1;
}

/* The ids of bytes follow the order of their characters. */
static int start(struct vocabulary *v, size_t vocab_size, uint32_t byte_ids[256]) {
    v->tokens = calloc(vocab_size + 1, sizeof *v->tokens);
    v->sizes = calloc(vocab_size + 1, sizeof *v->sizes);
    for (v->capacity = 1024; v->capacity < 2 * vocab_size;) v->capacity *= 2;
    v->known = calloc(v->capacity, sizeof *v->known);
    if (!v->tokens || !v->sizes || !v->known) return -1;
    mf_alphabet_fill(&v->alphabet);
    for (size_t k = 0; k < MF_SPECIALS; k++)
        if (add_token(v, mf_special_names[k], strlen(mf_special_names[k]), "", 0) < 0) return -1;
    for (size_t c = 0; c < 512; c++) {
        if (v->alphabet.byte[c] < 0) continue;
        char byte = (char)v->alphabet.byte[c];
        byte_ids[(unsigned char)byte] = (uint32_t)v->n;
        if (add_token(v, &byte, 1, "", 0) < 0) return -1;
    }
    for (uint32_t id = 0; id < v->n; id++) *find(v, v->tokens[id], v->sizes[id]) = id + 1;
    return 0;
}

static void finish(struct vocabulary *v) {
    for (size_t i = 0; v->tokens && i < v->n; i++) free(v->tokens[i]);
    free(v->tokens);
    free(v->sizes);
    free(v->known);
}

/* A token as a JSON string in the alphabet; new. */
static json_t *spelled(const struct vocabulary *v, size_t id) {
    if (id < MF_SPECIALS) return json_string(mf_special_names[id]);
    char *text = malloc(2 * v->sizes[id] + 1);
    if (!text) return NULL;
    mf_alphabet_spell(&v->alphabet, v->tokens[id], v->sizes[id], text);
    json_t *string = json_string(text);
    free(text);
    return string;
}

static json_t *template_piece(const char *kind, const char *id) {
    return json_pack("{s:{s:s, s:i}}", kind, "id", id, "type_id", 0);
}

/* BOS and EOS around a document, as this project's own encode does. */
static json_t *post_processor(void) {
    return json_pack("{s:s, s:[o,o,o], s:[o,o,o,o,o,o], s:{s:{s:s, s:[i], s:[s]}, s:{s:s, s:[i], s:[s]}}}",
                     "type", "TemplateProcessing", "single", template_piece("SpecialToken", "<bos>"),
                     template_piece("Sequence", "A"), template_piece("SpecialToken", "<eos>"), "pair",
                     template_piece("SpecialToken", "<bos>"), template_piece("Sequence", "A"),
                     template_piece("SpecialToken", "<eos>"), template_piece("SpecialToken", "<bos>"),
                     template_piece("Sequence", "B"), template_piece("SpecialToken", "<eos>"),
                     "special_tokens", "<bos>", "id", "<bos>", "ids", MF_BOS, "tokens", "<bos>", "<eos>",
                     "id", "<eos>", "ids", MF_EOS, "tokens", "<eos>");
}

static json_t *byte_level(void) {
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1,
                     "use_regex", 1);
}

static json_t *tokenizer_json(const struct vocabulary *v, const uint64_t *pairs, size_t learnt) {
    json_t *added = json_array(), *vocab = json_object(), *merges = json_array();
    for (int k = 0; k < MF_SPECIALS; k++)
        json_array_append_new(added, json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", k, "content",
                                               mf_special_names[k], "single_word", 0, "lstrip", 0, "rstrip",
                                               0, "normalized", 0, "special", 1));
    for (size_t id = 0; id < v->n; id++) {
        json_t *name = spelled(v, id);
        json_object_set_new(vocab, json_string_value(name), json_integer((json_int_t)id));
        json_decref(name);
    }
    for (size_t i = 0; i < learnt; i++)
        json_array_append_new(
            merges, json_pack("[o,o]", spelled(v, (size_t)(pairs[i] >> 32)), spelled(v, (uint32_t)pairs[i])));
    json_t *model = json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                              "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
                              "byte_fallback", 0, "ignore_merges", 0, "vocab", vocab, "merges", merges);
    return json_pack("{s:s, s:n, s:n, s:o, s:n, s:o, s:o, s:o, s:o}", "version", "1.0", "truncation",
                     "padding", "added_tokens", added, "normalizer", "pre_tokenizer", byte_level(),
                     "post_processor", post_processor(), "decoder", byte_level(), "model", model);
}

struct dump {
    struct mf_out *out;
    struct mf_err *err;
};

static int dump(const char *bytes, size_t size, void *context) {
    struct dump *d = context;
    return mf_out_write(d->out, bytes, size, d->err);
}

static int write_json(const struct vocabulary *v, const struct mf_bpe_merges *merges, struct mf_out *out,
                      struct mf_err *err) {
    json_t *root = tokenizer_json(v, merges->pairs, merges->count);
    struct dump d = {out, err};
    int status = 0;
    err->status = 0;
    if (!root)
        status = mf_err_set(err, EX_OSERR, "out of memory");
    else if (json_dump_callback(root, dump, &d, JSON_INDENT(1)) < 0 || mf_out_write(out, "\n", 1, err) < 0)
        status = err->status ? -1 : mf_err_set(err, EX_OSERR, "out of memory for tokenizer.json");
    json_decref(root);
    return status;
}

size_t mf_words_train_memory(size_t vocab_size) {
    return vocab_size * 512; /* spelling, hash table, JSON in memory and as text */
}

/* How many tokens to have, and of which pairs. */
struct goal {
    size_t vocab_size;
    uint64_t min_frequency;
    uint32_t byte_ids[256];
};

static int learn_at_once(const struct mf_words *w, const struct goal *goal, struct vocabulary *v,
                         struct mf_bpe_merges *merges, struct mf_err *err) {
    const struct mf_bpe_floor floor = {goal->min_frequency - 1, 0};
    struct mf_bpe_symbols s;
    int status = mf_bpe_symbols_make(&s, w, goal->byte_ids, err);
    if (status == 0)
        status = mf_bpe_learn(s.ids, s.n, s.counts, (uint32_t)v->n, goal->vocab_size - v->n, floor, accept, v,
                              merges, err);
    mf_bpe_symbols_free(&s);
    return status;
}

struct handing {
    struct mf_bpe_rounds *rounds;
    const uint32_t *byte_ids;
    uint32_t *ids;
    size_t capacity;
};

static int hand_over(void *context, const char *word, size_t size, uint64_t count, struct mf_err *err) {
    struct handing *h = context;
    if (size > h->capacity) {
        uint32_t *grown = realloc(h->ids, size * sizeof *grown);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for a word");
        h->ids = grown;
        h->capacity = size;
    }
    for (size_t i = 0; i < size; i++) h->ids[i] = h->byte_ids[(unsigned char)word[i]];
    return mf_bpe_rounds_add(h->rounds, h->ids, size, count, err);
}

static int learn_in_rounds(struct mf_words *w, size_t memory, const struct goal *goal, struct vocabulary *v,
                           struct mf_bpe_merges *merges, size_t *n_rounds, struct mf_err *err) {
    struct handing h = {.byte_ids = goal->byte_ids};
    int status = mf_bpe_rounds_new(&h.rounds, memory, err);
    if (status == 0) status = mf_words_each(w, hand_over, &h, err);
    free(h.ids);
    if (status == 0)
        status = mf_bpe_rounds_learn(h.rounds, (uint32_t)v->n, goal->vocab_size - v->n, goal->min_frequency,
                                     accept, v, merges, n_rounds, err);
    mf_bpe_rounds_free(h.rounds);
    return status;
}

int mf_words_train(struct mf_words *w, size_t memory, size_t vocab_size, uint64_t min_frequency,
                   struct mf_out *out, struct mf_words_learnt *learnt, struct mf_err *err) {
    struct goal goal = {vocab_size, min_frequency, {0}};
    struct vocabulary v = {0};
    struct mf_bpe_merges merges = {0};
    bool fits = !mf_words_spilled(w) && (memory == 0 || mf_words_memory(w, 1) <= memory);
    int status = start(&v, vocab_size, goal.byte_ids) == 0 ? 0 : mf_err_set(err, EX_OSERR, "out of memory");
    *learnt = (struct mf_words_learnt){0};
    if (status == 0 && fits) status = learn_at_once(w, &goal, &v, &merges, err);
    if (status == 0 && !fits) status = learn_in_rounds(w, memory, &goal, &v, &merges, &learnt->rounds, err);
    learnt->tokens = v.n;
    if (status == 0) status = write_json(&v, &merges, out, err);
    finish(&v);
    free(merges.pairs);
    return status;
}
