/* What a GGUF file of a model is made by. */
#ifndef MF_EXPORT_GGUF_FILE_INTERNAL_H
#define MF_EXPORT_GGUF_FILE_INTERNAL_H

#include <jansson.h>
#include "export/gguf_file.h"

/* How llama.cpp computes a model. */
struct gguf_arch {
    const char *name;
    bool neighbours; /* heads turn columns 2i and 2i + 1 together, not i and i + d/2 */
};
int gguf_arch_of(const struct mf_plain *p, const struct gguf_arch **arch, struct mf_err *err);

/* The name by which llama.cpp knows how the tokenizer.json `root` cuts text into words; -1, with the reason
 * in *why, where it knows none. */
int gguf_words(const json_t *root, const char **name, const char **why);

/* Are its words bytes, and not characters? */
bool gguf_is_bytes(const json_t *root);

/* Of a tokenizer over characters: whether a blank is put before a text; -1, with the reason in *why, where
 * llama.cpp would treat blanks otherwise. */
int gguf_blanks(const json_t *root, bool *prefix, const char **why);

/* Its V tokens' scores, by which llama.cpp does what its merges do; -1, with the reason in *why, where there
 * are none. texts[i] is NULL where there is no token i. */
int gguf_scores(const json_t *root, const char *const *texts, size_t V, float *scores, const char **why);

/* Adds the tokenizer's keys. */
int gguf_tokenizer(const struct mf_gguf_file *f, struct mf_gguf_keys *keys, struct mf_err *err);

/* One tensor of the file, and where its rows come from. */
struct gguf_entry {
    struct mf_gguf_tensor tensor;
    size_t source, stride, count; /* plain tensors source, source + stride, ...: the experts' one after the
                                     other; count 0: the factors of the rotations' frequencies */
    size_t head;                  /* columns of a head whose rows are put in another order; 0: none */
};
struct gguf_list {
    struct gguf_entry *entries;
    size_t count;
};

/* All tensors, without places. */
void gguf_list_make(struct gguf_list *list, const struct mf_gguf_file *f, const struct gguf_arch *arch);
void gguf_list_free(struct gguf_list *list);

/* Writes the tensors, whose header is written, in their order. */
int gguf_tensors(const struct mf_gguf_file *f, const struct gguf_list *list, struct mf_out *out,
                 struct mf_err *err);

#endif
