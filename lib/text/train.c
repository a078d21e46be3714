/* Word counts, the vocabulary that grows from them, and tokenizer.json. */
#include "text/train.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "text/alphabet.h"
#include "text/bpe.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"

struct word {
    uint64_t hash, count; /* count 0: empty slot */
    size_t at, size;
};

struct mf_words {
    struct word *table;
    size_t room, count;
    char *text; /* the distinct words' bytes */
    size_t text_room, text_used;
    uint64_t bytes;
};

int mf_words_new(struct mf_words **out, struct mf_err *err) {
    *out = calloc(1, sizeof **out);
    return *out ? 0 : mf_err_set(err, EX_OSERR, "out of memory");
}

void mf_words_free(struct mf_words *w) {
    if (!w) return;
    free(w->table);
    free(w->text);
    free(w);
}

uint64_t mf_words_bytes(const struct mf_words *w) {
    return w->bytes;
}

size_t mf_words_distinct(const struct mf_words *w) {
    return w->count;
}

static struct word *find(const struct mf_words *w, uint64_t hash, const char *text, size_t size) {
    size_t i = (size_t)hash & (w->room - 1);
    for (;; i = (i + 1) & (w->room - 1)) {
        struct word *x = &w->table[i];
        if (x->count == 0) return x;
        if (x->hash == hash && x->size == size && memcmp(w->text + x->at, text, size) == 0) return x;
    }
}

static int grow(struct mf_words *w, struct mf_err *err) {
    size_t old_room = w->room;
    struct word *old = w->table, *table;
    w->room = old_room ? 2 * old_room : 4096;
    table = calloc(w->room, sizeof *table);
    if (!table) {
        w->room = old_room;
        return mf_err_set(err, EX_OSERR, "out of memory for %zu words", 2 * old_room);
    }
    w->table = table;
    for (size_t i = 0; i < old_room; i++)
        if (old[i].count) *find(w, old[i].hash, w->text + old[i].at, old[i].size) = old[i];
    free(old);
    return 0;
}

static int count(struct mf_words *w, const char *text, size_t size, struct mf_err *err) {
    if (2 * w->count >= w->room && grow(w, err) < 0) return -1;
    uint64_t hash = XXH3_64bits(text, size);
    struct word *x = find(w, hash, text, size);
    if (x->count++) return 0;
    if (w->text_room - w->text_used < size) {
        size_t room = 2 * w->text_room + size + 65536;
        char *grown = realloc(w->text, room);
        if (!grown) return mf_err_set(err, EX_OSERR, "out of memory for words");
        w->text = grown;
        w->text_room = room;
    }
    memcpy(w->text + w->text_used, text, size);
    x->hash = hash;
    x->at = w->text_used;
    x->size = size;
    w->text_used += size;
    w->count++;
    return 0;
}

int64_t mf_words_add(struct mf_words *w, const char *text, size_t size, struct mf_err *err) {
    int64_t cut = 0;
    w->bytes += size;
    while (size) {
        size_t length = mf_word_length(text, size);
        cut += length > MF_WORD_LIMIT;
        size_t counted = length < MF_WORD_MOST ? length : MF_WORD_MOST;
        for (size_t at = 0; at < counted; at += MF_WORD_LIMIT) {
            size_t piece = counted - at < MF_WORD_LIMIT ? counted - at : MF_WORD_LIMIT;
            if (count(w, text + at, piece, err) < 0) return -1;
        }
        text += length;
        size -= length;
    }
    return cut;
}

/* --- the vocabulary --- */

static const char *const specials[MF_SPECIALS] = {"<pad>", "<unk>", "<bos>", "<eos>"};

struct vocabulary {
    char **pieces; /* [n] each token's bytes, owned */
    size_t *sizes;
    size_t n;
    struct mf_alphabet alphabet;
};

static int add_piece(struct vocabulary *v, const char *a, size_t a_size, const char *b, size_t b_size) {
    char *piece = malloc(a_size + b_size + 1);
    if (!piece) return -1;
    memcpy(piece, a, a_size);
    memcpy(piece + a_size, b, b_size);
    piece[a_size + b_size] = '\0';
    v->pieces[v->n] = piece;
    v->sizes[v->n++] = a_size + b_size;
    return 0;
}

/* Takes a pair into the vocabulary unless it would spell a special token: a document must never yield one. */
static int accept(void *context, uint32_t left, uint32_t right, uint32_t id) {
    struct vocabulary *v = context;
    (void)id;
    if (add_piece(v, v->pieces[left], v->sizes[left], v->pieces[right], v->sizes[right]) < 0) return -1;
    for (size_t k = 0; k < MF_SPECIALS; k++)
        if (v->sizes[v->n - 1] == strlen(specials[k]) &&
            memcmp(v->pieces[v->n - 1], specials[k], v->sizes[v->n - 1]) == 0) {
            free(v->pieces[--v->n]);
            return 0;
        }
    return 1;
}

/* The ids of bytes follow the order of their characters. */
static int start(struct vocabulary *v, size_t vocab_size, uint32_t byte_ids[256]) {
    v->pieces = calloc(vocab_size + 1, sizeof *v->pieces);
    v->sizes = calloc(vocab_size + 1, sizeof *v->sizes);
    if (!v->pieces || !v->sizes) return -1;
    mf_alphabet_fill(&v->alphabet);
    for (size_t k = 0; k < MF_SPECIALS; k++)
        if (add_piece(v, specials[k], strlen(specials[k]), "", 0) < 0) return -1;
    for (size_t c = 0; c < 512; c++) {
        if (v->alphabet.byte[c] < 0) continue;
        char byte = (char)v->alphabet.byte[c];
        byte_ids[(unsigned char)byte] = (uint32_t)v->n;
        if (add_piece(v, &byte, 1, "", 0) < 0) return -1;
    }
    return 0;
}

static void finish(struct vocabulary *v) {
    for (size_t i = 0; v->pieces && i < v->n; i++) free(v->pieces[i]);
    free(v->pieces);
    free(v->sizes);
}

/* A piece as a JSON string in the alphabet; new. */
static json_t *spelled(const struct vocabulary *v, size_t id) {
    if (id < MF_SPECIALS) return json_string(specials[id]);
    char *text = malloc(2 * v->sizes[id] + 1);
    if (!text) return NULL;
    mf_alphabet_spell(&v->alphabet, v->pieces[id], v->sizes[id], text);
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
                                               specials[k], "single_word", 0, "lstrip", 0, "rstrip", 0,
                                               "normalized", 0, "special", 1));
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

int mf_words_train(struct mf_words *w, size_t vocab_size, uint64_t min_frequency, struct mf_out *out,
                   size_t *reached, struct mf_err *err) {
    struct vocabulary v = {0};
    uint32_t byte_ids[256];
    struct mf_bpe_word *words = calloc(w->count + 1, sizeof *words);
    uint32_t *ids = calloc(w->text_used + 1, sizeof *ids);
    uint64_t *pairs = calloc(vocab_size, sizeof *pairs);
    size_t n = 0, learnt = 0;
    int status = words && ids && pairs && start(&v, vocab_size, byte_ids) == 0
                     ? 0
                     : mf_err_set(err, EX_OSERR, "out of memory");
    if (status == 0) {
        for (size_t i = 0; i < w->text_used; i++) ids[i] = byte_ids[(unsigned char)w->text[i]];
        for (size_t i = 0; i < w->room; i++)
            if (w->table[i].count)
                words[n++] = (struct mf_bpe_word){ids + w->table[i].at, w->table[i].size, w->table[i].count};
        status = mf_bpe_learn(words, n, (uint32_t)v.n, vocab_size - v.n, min_frequency, accept, &v, pairs,
                              &learnt, err);
    }
    if (status == 0) {
        *reached = v.n;
        json_t *root = tokenizer_json(&v, pairs, learnt);
        struct dump d = {out, err};
        err->status = 0;
        if (!root)
            status = mf_err_set(err, EX_OSERR, "out of memory");
        else if (json_dump_callback(root, dump, &d, JSON_INDENT(1)) < 0 ||
                 mf_out_write(out, "\n", 1, err) < 0)
            status = err->status ? -1 : mf_err_set(err, EX_OSERR, "out of memory for tokenizer.json");
        json_decref(root);
    }
    finish(&v);
    free(pairs);
    free(ids);
    free(words);
    return status;
}
