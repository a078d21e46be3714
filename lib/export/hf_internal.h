/* What the files of a folder hf/ are made by. Each function writes its files into `folder`. */
#ifndef MF_EXPORT_HF_INTERNAL_H
#define MF_EXPORT_HF_INTERNAL_H

#include "export/hf.h"
#include "io/folder.h"

#define HF_MARK "mf_export" /* the key of config.json by which a folder of ours is known */

/* The class of transformers that reads the tensors. EX_DATAERR: there is none. */
struct hf_class {
    const char *name, *model_type;
};
int hf_class_of(const struct mf_plain *p, const struct hf_class **class, struct mf_err *err);

/* Experts beside norms of queries and keys: Qwen3MoeForCausalLM, which has names of its own for them. */
bool hf_is_qwen3_moe(const struct mf_plain *p);

/* config.json and generation_config.json. */
int hf_config(const struct mf_hf *hf, struct mf_folder *folder, struct mf_err *err);

/* tokenizer.json, which puts nothing behind a text, and tokenizer_config.json. */
int hf_tokenizer(const struct mf_hf *hf, struct mf_folder *folder, struct mf_err *err);

/* model.safetensors, or shards and their index. Sets hf->shards and hf->bytes. */
int hf_tensors(struct mf_hf *hf, struct mf_folder *folder, struct mf_err *err);

/* README.md. */
int hf_card(const struct mf_hf *hf, struct mf_folder *folder, struct mf_err *err);

#endif
