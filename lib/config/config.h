/* The configuration: one struct, one schema, YAML files and `--set` on top.
 *
 * The schema (schema.c) is the only list of keys: name, type, default, range, meaning, and the stages that
 * read it. It drives parsing, `mf-config`, the "did you mean" of an unknown key, and the slices by which a
 * changed value re-runs only the stages that read it. */
#ifndef MF_CONFIG_CONFIG_H
#define MF_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <jansson.h>
#include "base/err.h"
#include "base/strings.h"
#include "config/choices.h"

/* One training: the shared backbone's or an expert's. */
struct mf_train_config {
    int64_t steps;
    int64_t batch;             /* sequences per micro-batch */
    int64_t accumulation;      /* micro-batches per step */
    int64_t warmup;            /* steps of linear warmup */
    double lr, min_lr;         /* peak and last learning rate */
    int schedule;              /* enum mf_schedule: what the learning rate does after the warmup */
    int optimizer;             /* enum mf_optimizer, of the layers' matrices; of all else AdamW */
    double weight_decay, clip; /* AdamW decay; largest global gradient norm, 0 = no clipping */
    double beta1, beta2, eps;
    int64_t validate_every;   /* steps between validations */
    int64_t validate_batches; /* of `batch` sequences each */
    int64_t patience;         /* validations without gain that end it early, 0 = none */
    int64_t checkpoint_every, log_every;
};

struct mf_config {
    int64_t seed;
    struct {
        double val_fraction, test_fraction, near_dup;
        int64_t min_targets, blocks, min_chars, max_chars, max_docs;
    } docs;
    struct {
        int64_t vocab_size, min_frequency;
        double sample;
    } tokenizer;
    struct {
        int method; /* enum mf_partition_method */
        double overlap, general, balance;
        int64_t features, restarts, iterations;
    } partition;
    struct {
        int arch; /* enum mf_arch */
        int64_t d_model, n_heads, n_kv_heads, head_dim, n_layers, d_ff, n_experts, top_k, context;
        double dropout, init_std, position_std, rope_theta, norm_eps;
        bool qkv_bias, qk_norm, tied;
    } model;
    struct {
        int init;     /* enum mf_expert_init */
        int train;    /* enum mf_expert_learns */
        int64_t rank; /* of the changes that an expert learns; 0: whole FFNs */
        double alpha; /* 0: twice the rank */
        bool anchor;  /* trained beside the frozen FFN */
        int64_t head; /* rank of the change to the head; 0: none, MF_HEAD_FULL: a whole head */
    } expert;
    struct {
        int precision; /* enum mf_precision, of the products of both trainings */
    } train;
    struct mf_train_config train_shared, train_expert;
    struct {
        bool heads;
        bool anchor;
    } assemble;
    struct {
        int kind, init; /* enum mf_router_kind, mf_router_init */
        double smoothing;
    } router;
    struct {
        int router; /* enum mf_calibrate_router */
        bool norms;
        int64_t max_tokens;
        double changes; /* of subject: tokens of documents that have one, for each token held out */
        double ridge;
        int64_t steps;
        double lr, balance;
        bool noise;
    } calibrate;
    struct {
        int precision; /* enum mf_precision, of the products of perplexity and calibration */
        int64_t batch, max_tokens, sample_tokens, samples;
        double error, temperature;
        char prompts[1024]; /* prompts of the report's samples, separated by '|' */
    } eval;
    struct {
        int type; /* enum mf_export_type */
    } exports;    /* `export` is a word of C++ */
    struct {
        char launch[1024]; /* the command that runs a stage elsewhere; "": none */
        int64_t minutes, spare_mb, retries;
    } cluster;
};

#define MF_EXPERTS_MAX 65536

/* Where values are set, besides the defaults. */
struct mf_settings {
    const char *config;  /* a YAML file, or NULL */
    struct mf_strs sets; /* "section.key=value", on top of it */
    int64_t seed;        /* on top of both; -1: not given */
};

/* Fills `config` with the defaults, then by the settings in the order of their struct. A default
 * that nobody changed follows a value that it must fit to (top_k goes down with n_experts, warmup with steps,
 * min_lr with lr). EX_NOINPUT; EX_USAGE for a set without '='; EX_CONFIG for malformed YAML, an unknown key
 * (names the nearest and the line), a key or section given twice, a value of another type or out of range,
 * values that do not fit together (d_model not a multiple of n_heads, top_k above n_experts, ...). */
int mf_config_load(struct mf_config *config, const struct mf_settings *settings, struct mf_err *err);

/* The same for a program that is one of mf_config_stages(): all values are checked, but those that the stage
 * does not read by the schema have their defaults. So what it does cannot depend on more than its slice. */
int mf_config_load_stage(struct mf_config *config, const struct mf_settings *settings, const char *stage,
                         struct mf_err *err);

/* The same where the experts are there: their number (0: the config's) is taken for model.n_experts. */
int mf_config_load_given(struct mf_config *config, const struct mf_settings *settings, const char *stage,
                         int64_t experts, struct mf_err *err);

/* Writes the resolved values as YAML; with `stage`, only those that stage reads (NULL: all). */
int mf_config_print(const struct mf_config *config, const char *stage, FILE *file);

/* One value by its name "section.key" as text; -1 (EX_CONFIG, nearest name) for an unknown name. */
int mf_config_get(const struct mf_config *config, const char *name, char *text, size_t size,
                  struct mf_err *err);

/* The stages in pipeline order; ends with NULL. */
const char *const *mf_config_stages(void);

/* The schema for people: every key with its default, range, stages and meaning. */
void mf_config_describe(FILE *file);

/* The same for programs: an array of objects; new, freed by json_decref. */
json_t *mf_config_schema(void);

/* The values one stage reads as a JSON object of objects, for manifests; new, freed by json_decref. */
json_t *mf_config_json(const struct mf_config *config, const char *stage);

#endif
