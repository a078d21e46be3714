/* The schema of the configuration: each key once, with type, default, range, meaning and readers. */
#include "config/schema.h"

#include <stddef.h>
#include <string.h>

/* Pipeline order; the bits below follow it. */
static const char *const stages[] = {"docs",         "tokenizer",    "encode",   "partition",
                                     "train-shared", "train-expert", "assemble", "calibrate",
                                     "eval",         "export",       NULL};
enum {
    DOCS = 1 << 0,
    TOKENIZER = 1 << 1,
    PARTITION = 1 << 3,
    SHARED = 1 << 4,
    EXPERT = 1 << 5,
    ASSEMBLE = 1 << 6,
    CALIBRATE = 1 << 7,
    EVAL = 1 << 8,
    EXPORT = 1 << 9,
    ALL_STAGES = (1 << 10) - 1,
    NO_STAGE = 0 /* read by make: no result depends on it */
};

#define MANY    1e15 /* more than any count of documents, tokens or steps */
#define AT(...) offsetof(struct mf_config, __VA_ARGS__)

#define INT(field, fallback, low, high, readers, meaning)                                                    \
    { #field, MF_KEY_INT, AT(field), fallback, low, high, NULL, readers, meaning, "a whole number" }
#define REAL(field, fallback, low, high, readers, meaning)                                                   \
    { #field, MF_KEY_REAL, AT(field), fallback, low, high, NULL, readers, meaning, "a number" }
#define CHOICE(field, fallback, choices, readers, meaning)                                                   \
    { #field, MF_KEY_CHOICE, AT(field), fallback, 0, 0, choices, readers, meaning, choices }

#define BOOL(field, fallback, readers, meaning)                                                              \
    { #field, MF_KEY_BOOL, AT(field), fallback, 0, 0, NULL, readers, meaning, "true or false" }
#define TEXT(field, fallback, high, readers, meaning)                                                        \
    { #field, MF_KEY_TEXT, AT(field), fallback, 0, high, NULL, readers, meaning, "UTF-8" }

/* Both trainings have the same keys; the learning rate and the lengths differ. `sized` also reads how many
 * tokens it learns from. */
#define TRAINING(section, reader, sized, optimizer_, steps_, warmup_, lr_, min_lr_, every_)                  \
    INT(section.steps, steps_, 1, MANY, (reader) | (sized), "optimizer steps"),                              \
        INT(section.batch, "16", 1, 65536, (reader) | (sized), "sequences of a micro-batch"),                \
        INT(section.accumulation, "1", 1, 65536, (reader) | (sized), "micro-batches of a step"),             \
        INT(section.warmup, warmup_, 0, MANY, reader, "steps of linear warmup"),                             \
        REAL(section.lr, lr_, 0, 100, reader, "largest learning rate"),                                      \
        REAL(section.min_lr, min_lr_, 0, 100, reader, "last learning rate"),                                 \
        CHOICE(section.schedule, "cosine", MF_SCHEDULES, reader, "after warmup; wsd: steady, 30% linear"),   \
        CHOICE(section.optimizer, optimizer_, MF_OPTIMIZERS, reader,                                         \
               "of the layers' matrices; others: AdamW"),                                                    \
        REAL(section.weight_decay, "0.01", 0, 100, reader, "weight decay of matrices"),                      \
        REAL(section.clip, "1", 0, 1e9, reader, "gradient clipping: largest norm; 0: none"),                 \
        REAL(section.beta1, "0.9", 0, 0.999999, reader, "AdamW's decay of the first moment"),                \
        REAL(section.beta2, "0.999", 0, 0.9999999, reader, "AdamW's decay of the second moment"),            \
        REAL(section.eps, "1e-08", 1e-20, 1, reader, "AdamW's epsilon"),                                     \
        INT(section.validate_every, every_, 1, MANY, reader, "steps between validations"),                   \
        INT(section.validate_batches, "8", 1, 1e9, reader, "micro-batches of a validation"),                 \
        INT(section.patience, "0", 0, MANY, reader, "validations without gain that end it early; 0: none"),  \
        INT(section.checkpoint_every, every_, 1, MANY, reader, "steps between checkpoints"),                 \
        INT(section.log_every, "10", 1, MANY, reader, "steps between records of the metrics")

static const struct mf_key keys[] = {
    INT(seed, "1", 0, 0x1p62, PARTITION | SHARED | EXPERT | ASSEMBLE | CALIBRATE | EVAL, "random seed"),

    REAL(docs.val_fraction, "0.05", 0, 1, DOCS, "share of the documents for validation"),
    REAL(docs.test_fraction, "0.05", 0, 1, DOCS, "share of the documents for the test"),
    INT(docs.min_targets, "1000", 0, MANY, DOCS, "tokens of 4 bytes that validation and test get at least"),
    INT(docs.blocks, "64", 0, 1e9, DOCS,
        "a document of more than 1/blocks of the text is cut into blocks; 0: none"),
    REAL(docs.near_dup, "0.8", 0, 1, DOCS, "Jaccard similarity from which a document is a copy of another"),
    INT(docs.min_chars, "1", 0, MANY, DOCS, "shorter documents are left out"),
    INT(docs.max_chars, "0", 0, MANY, DOCS, "longer documents are split; 0: none is"),
    INT(docs.max_docs, "0", 0, MANY, DOCS, "documents read at most; 0: all"),

    INT(tokenizer.vocab_size, "16384", 260, 1048576, TOKENIZER, "tokens, with 256 bytes and 4 special ones"),
    INT(tokenizer.min_frequency, "2", 1, MANY, TOKENIZER, "a pair must occur this often to be merged"),
    REAL(tokenizer.sample, "1", 1e-9, 1, TOKENIZER,
         "share of the documents, chosen by hash, that it is learnt from"),

    CHOICE(partition.method, "clustered", MF_PARTITION_METHODS, PARTITION,
           "how documents are divided among experts"),
    REAL(partition.overlap, "0", 0, 1, PARTITION, "share of each partition that is also another's"),
    REAL(partition.general, "0", 0, 1, PARTITION, "tokens of other partitions, by hash, over its own"),
    REAL(partition.balance, "1.1", 1, 1000, PARTITION, "largest partition over the mean"),
    INT(partition.features, "8192", 1, 1048576, PARTITION, "terms of the tf-idf vectors"),
    INT(partition.restarts, "4", 1, 10000, PARTITION, "k-means: starts, the best is kept"),
    INT(partition.iterations, "30", 1, 10000, PARTITION, "k-means: iterations of a start at most"),

    CHOICE(model.arch, "reference", MF_ARCHS, SHARED,
           "family: LayerNorm, added positions and GELU, or RMSNorm, rotary positions and SwiGLU"),
    INT(model.d_model, "512", 2, 65536, SHARED, "width of the residual stream; even"),
    INT(model.n_heads, "8", 1, 4096, SHARED, "attention heads; divides d_model"),
    INT(model.n_kv_heads, "0", 0, 4096, SHARED,
        "llama: heads of keys and values; divides n_heads; 0: n_heads"),
    INT(model.head_dim, "0", 0, 4096, SHARED, "llama: columns of a head; even; 0: d_model / n_heads"),
    INT(model.n_layers, "4", 1, 1024, SHARED, "layers"),
    INT(model.d_ff, "2048", 1, 1048576, SHARED, "hidden width of an expert's layer"),
    INT(model.n_experts, "5", 1, 65536, PARTITION | ASSEMBLE, "experts, one for each partition"),
    INT(model.top_k, "2", 1, 65536, ASSEMBLE, "experts that see a token"),
    INT(model.context, "512", 1, 1048576, PARTITION | SHARED, "longest sequence in tokens"),
    REAL(model.dropout, "0.1", 0, 0.95, SHARED | EXPERT, "dropout probability in training"),
    REAL(model.init_std, "0.02", 1e-6, 100, SHARED, "standard deviation of the initial embedding"),
    REAL(model.position_std, "0.02", 0, 100, SHARED, "standard deviation of the sinusoidal positions"),
    REAL(model.rope_theta, "10000", 1, 1e12, SHARED, "llama: base of the rotary positions' wavelengths"),
    REAL(model.norm_eps, "1e-05", 1e-12, 1, SHARED, "llama: epsilon of the RMSNorms"),
    BOOL(model.qkv_bias, "false", SHARED, "llama: queries, keys and values have biases"),
    BOOL(model.qk_norm, "false", SHARED, "llama: each head of queries and of keys has an RMSNorm"),
    BOOL(model.tied, "true", SHARED, "llama: the head is the embedding"),

    CHOICE(expert.init, "shared", MF_EXPERT_INITS, EXPERT,
           "experts start from the shared FFN or from scratch"),
    CHOICE(expert.train, "ffn", MF_EXPERT_LEARNS, EXPERT,
           "what experts learn: FFNs; llama: attention's queries and outputs, too"),
    INT(expert.rank, "0", 0, 65536, EXPERT,
        "experts learn changes of this rank to the shared FFN; 0: a whole FFN"),
    REAL(expert.alpha, "0", 0, 1e6, EXPERT,
         "a change is its two factors' product times alpha / rank; 0: 2 rank"),
    BOOL(expert.anchor, "false", EXPERT, "experts train beside the frozen shared FFN, each at half weight"),
    {"expert.head", MF_KEY_INT, AT(expert.head), "none", MF_HEAD_NONE, 65536, MF_HEADS, EXPERT,
     "experts also learn a head: a change of this rank, or full", "a whole number, full or none"},

    CHOICE(train.precision, "auto", MF_PRECISIONS, SHARED | EXPERT,
           "of products; auto: bf16 where the processor is faster at it"),

    TRAINING(train_shared, SHARED, NO_STAGE, "muon", "10000", "500", "0.0006", "6e-05", "500"),
    TRAINING(train_expert, EXPERT, EVAL, "adamw", "4000", "200", "0.0003", "3e-05", "250"),

    BOOL(assemble.heads, "true", ASSEMBLE, "with the heads that experts have; false: their FFNs alone"),
    BOOL(assemble.anchor, "false", ASSEMBLE, "the shared FFN is one more expert, for text of no partition"),
    CHOICE(router.kind, "prefix", MF_ROUTER_KINDS, ASSEMBLE,
           "routing by hidden state or by the prefix's tokens"),
    CHOICE(router.init, "data_stats", MF_ROUTER_INITS, ASSEMBLE, "first gate of a hidden router"),
    REAL(router.smoothing, "1", 1e-9, 1e9, ASSEMBLE, "count added to every token's count in a partition"),

    CHOICE(calibrate.router, "best", MF_CALIBRATE_ROUTERS, CALIBRATE,
           "how the gate is fitted; train: steps from the best"),
    BOOL(calibrate.norms, "true", CALIBRATE, "also fit the norms before the experts"),
    INT(calibrate.max_tokens, "200000", 1, MANY, CALIBRATE, "calibration tokens read at most"),
    REAL(calibrate.changes, "0.2", 0, 1, CALIBRATE,
         "tokens of documents that change their subject, made for each token held out"),
    REAL(calibrate.ridge, "0.01", 0, 1e9, CALIBRATE, "strength of the ridge"),
    INT(calibrate.steps, "100", 1, MANY, CALIBRATE, "router train: optimizer steps"),
    REAL(calibrate.lr, "0.001", 0, 100, CALIBRATE, "router train: largest learning rate"),
    REAL(calibrate.balance, "0.01", 0, 1e9, CALIBRATE, "router train: weight of the experts' balance"),
    BOOL(calibrate.noise, "true", CALIBRATE, "router train: noise on the logits"),

    CHOICE(eval.precision, "fp32", MF_PRECISIONS, CALIBRATE | EVAL,
           "of products, in perplexity and calibration; auto as in training"),
    INT(eval.batch, "4", 1, 65536, CALIBRATE | EVAL, "windows of a batch"),
    INT(eval.max_tokens, "-1", -1, MANY, EVAL,
        "tokens measured at most; 0: all; -1: as fast as experts train"),
    REAL(eval.error, "0.005", 0, 1, EVAL, "relative standard error of perplexity that is enough; 0: none"),
    INT(eval.sample_tokens, "80", 0, 1e9, EVAL, "tokens of a sample of the report"),
    INT(eval.samples, "3", 0, 1000, EVAL, "samples of the report"),
    REAL(eval.temperature, "0.8", 0, 1000, EVAL, "of the samples; 0: the likeliest token"),
    TEXT(eval.prompts, "In the beginning|The function returns|The most important", 1023, EVAL,
         "prompts of the samples, separated by |"),

    {"export.type", MF_KEY_CHOICE, AT(exports.type), "f16", 0, 0, MF_EXPORT_TYPES, EXPORT,
     "llama: what model.gguf stores matrices as", MF_EXPORT_TYPES},

    TEXT(cluster.launch, "", 1023, NO_STAGE,
         "before each stage's command; {run} {stage} {cpus} {memory_mb} {minutes} are filled in"),
    INT(cluster.minutes, "720", 1, 1e7, NO_STAGE, "time limit of a job"),
    INT(cluster.spare_mb, "256", 0, 1e9, NO_STAGE, "memory of a job beyond what its stage takes"),
    INT(cluster.retries, "5", 0, 1e6, NO_STAGE,
        "more tries of a job that was killed, without a new checkpoint"),
};

#define N_KEYS (sizeof keys / sizeof keys[0])

const struct mf_key *mf_keys(size_t *count) {
    *count = N_KEYS;
    return keys;
}

const struct mf_key *mf_key_find(const char *name) {
    for (size_t i = 0; i < N_KEYS; i++)
        if (strcmp(keys[i].name, name) == 0) return &keys[i];
    return NULL;
}

size_t mf_key_section(const struct mf_key *key) {
    const char *dot = strchr(key->name, '.');
    return dot ? (size_t)(dot - key->name) : 0;
}

const char *const *mf_config_stages(void) {
    return stages;
}

unsigned mf_stage_bit(const char *stage) {
    if (!stage) return ALL_STAGES;
    for (unsigned i = 0; stages[i]; i++)
        if (strcmp(stages[i], stage) == 0) return 1u << i;
    return 0;
}

/* The nearest whole name; or the one key whose last part is `name`. */
static const char *nearest(const char *name) {
    const char *names[N_KEYS], *found = NULL;
    size_t n = 0, matches = 0;
    for (size_t i = 0; i < N_KEYS; i++) {
        size_t section = mf_key_section(&keys[i]);
        names[n++] = keys[i].name;
        if (section == 0 || strcmp(keys[i].name + section + 1, name) != 0) continue;
        found = keys[i].name;
        matches++;
    }
    return matches == 1 ? found : mf_nearest(name, names, n);
}

int mf_key_unknown(const char *name, const char *where, struct mf_err *err) {
    const char *near = nearest(name), *colon = *where ? ": " : "";
    if (near)
        return mf_err_set(err, EX_CONFIG, "%s%sunknown key '%.100s', did you mean '%s'?", where, colon, name,
                          near);
    return mf_err_set(err, EX_CONFIG, "%s%sunknown key '%.100s' (mf-config keys lists them)", where, colon,
                      name);
}
