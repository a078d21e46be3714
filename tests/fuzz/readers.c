/* libFuzzer over every reader of files. Linked under the name of a reader it fuzzes that one (fuzz.sh does);
 * under any other name it lists them. Inputs are whole files; after each mutation their checksums are set
 * right, so that what is behind them is reached. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

int check(int result, const struct mf_err *err) {
    if (result >= 0) return result;
    if (err->status < EX__BASE || err->status > EX__MAX || !*err->text) abort();
    for (const char *c = err->text; *c; c++)
        if ((unsigned char)*c < 0x20) abort();
    return result;
}

static const struct reader {
    const char *name;
    int (*read)(const char *path);
    void (*mend)(uint8_t *data, size_t size);
} readers[] = {
    {"stream", read_stream, mend_stream},
    {"tokens", read_tokens, mend_stream},
    {"metrics", read_metrics, mend_stream},
    {"partition", read_partition, mend_stream},
    {"bundle", read_bundle, mend_bundle},
    {"checkpoint", read_checkpoint, mend_bundle},
    {"shared", read_shared, mend_bundle},
    {"expert", read_expert, mend_bundle},
    {"model", read_model, NULL},
    {"gguf", read_gguf, NULL},
    {"base", read_base, NULL},
    {"base-gguf", read_base_file, NULL},
    {"show", read_shown, NULL},
    {"tokenizer", read_tokenizer, NULL},
    {"config", read_config, NULL},
    {"docs", read_docs, mend_bundle},
    {"shard", read_shard, mend_stream},
    {"jsonl", read_jsonl, NULL},
    {"wikitext", read_wikitext, NULL},
    {"unpack", read_packed, NULL},
    {"report", read_report, NULL},
    {"compare", read_compared, NULL},
    {"prompts", read_prompts, NULL},
    {"notes", read_notes, NULL},
};

/* What libFuzzer does not hand from call to call: the reader, and some inputs that it found nothing wrong
 * with, the first ones and the last ones. */
#define GOOD 32
static const struct reader *reader;
static struct {
    uint8_t *bytes;
    size_t size;
} good[GOOD];
static size_t n_good;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    const char *slash = strrchr((*argv)[0], '/'), *name = slash ? slash + 1 : (*argv)[0];
    size_t count = sizeof readers / sizeof *readers;
    for (size_t i = 0; i < count; i++)
        if (strcmp(readers[i].name, name) == 0) reader = &readers[i];
    for (size_t i = 0; i < count && !reader; i++) puts(readers[i].name);
    if (!reader) exit(0);
    return 0;
}

static void keep(const uint8_t *data, size_t size) {
    size_t i = n_good < GOOD ? n_good : GOOD / 2 + n_good % (GOOD / 2);
    free(good[i].bytes);
    good[i].bytes = malloc(size + 1);
    if (!good[i].bytes) abort();
    if (size > 0) memcpy(good[i].bytes, data, size);
    good[i].size = size;
    n_good++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[32];
    int fd = file_of(data, size, path);
    if (reader->read(path) == 0) keep(data, size);
    close(fd);
    return 0;
}

/* Puts another number where msgpack has one: bytes alone seldom become a larger one. */
static size_t change_number(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    static const uint64_t numbers[] = {0,         1, 255, 65536, UINT32_MAX, INT64_MAX, UINT64_C(1) << 63,
                                       UINT64_MAX};
    size_t count = 0, at = 0;
    for (int pass = 0; pass < 2; pass++) {
        size_t wanted = count ? seed % count : 0;
        count = 0;
        for (size_t i = 0; i < size; i++)
            if (data[i] >= 0xcc && data[i] <= 0xd3 && count++ == wanted) at = i;
    }
    if (count == 0) return size;
    size_t width = (size_t)1 << ((data[at] - 0xcc) & 3), behind = at + 1 + width;
    if (behind > size || size - width + 8 > max_size) return size;
    uint64_t number = __builtin_bswap64(numbers[seed / 64 % (sizeof numbers / sizeof *numbers)]);
    memmove(data + at + 9, data + behind, size - behind);
    data[at] = seed & 32 ? 0xcf : 0xd3;
    memcpy(data + at + 1, &number, 8);
    return size - width + 8;
}

/* Half of all begin anew with a good input: an input of many mutations is refused for the first of them. Half
 * change a few bytes and no length. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    unsigned how = seed % 16;
    seed /= 16;
    size_t from = n_good ? seed % (n_good < GOOD ? n_good : GOOD) : 0;
    if (n_good && how & 1 && good[from].size <= max_size) {
        size = good[from].size;
        if (size > 0) memcpy(data, good[from].bytes, size);
    }
    if (how >= 8 && size > 0) {
        size_t at = seed / GOOD % size, n = 1 + seed % 8;
        LLVMFuzzerMutate(data + at, n < size - at ? n : size - at, n < size - at ? n : size - at);
    } else if (how < 2 && reader->mend == mend_stream) {
        size = change_number(data, size, max_size, seed);
    } else {
        size = LLVMFuzzerMutate(data, size, max_size);
    }
    if (reader->mend && seed % 8) reader->mend(data, size); /* the others see what a damaged file does */
    return size;
}
