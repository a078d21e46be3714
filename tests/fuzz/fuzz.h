/* Between the files of the fuzzer. */
#ifndef MF_FUZZ_H
#define MF_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

#define CONTEXT 8 /* as in fuzz.sh */

/* A failure has a status of its own and a line of text without control characters. Returns the result. */
int check(int result, const struct mf_err *err);

/* Each reads a file as its programs do: 0 when nothing was wrong with it, else -1. */
int read_stream(const char *path);
int read_tokens(const char *path);
int read_metrics(const char *path);
int read_partition(const char *path);
int read_bundle(const char *path);
int read_checkpoint(const char *path);
int read_shared(const char *path);
int read_expert(const char *path);
int read_model(const char *path);
int read_gguf(const char *path);
int read_base(const char *path);
int read_base_file(const char *path);
int read_shown(const char *path);
int read_tokenizer(const char *path);
int read_config(const char *path);
int read_docs(const char *path);
int read_shard(const char *path);
int read_jsonl(const char *path);
int read_wikitext(const char *path);
int read_packed(const char *path);
int read_report(const char *path);
int read_compared(const char *path);
int read_prompts(const char *path);
int read_notes(const char *path);

/* A file without a name that holds these bytes; it is open, and `path` leads to it. */
int file_of(const uint8_t *data, size_t size, char path[32]);

/* The trailer of a stream: the number of records, where it takes one byte, and the hash. */
void mend_stream(uint8_t *data, size_t size);

/* The sums of a tar's headers, and the SHA-256 that a bundle's manifest gives of its tensors. */
void mend_bundle(uint8_t *data, size_t size);

#endif
