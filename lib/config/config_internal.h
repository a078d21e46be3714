/* What loading the configuration (config.c) and checking it (config_check.c) share. */
#ifndef MF_CONFIG_CONFIG_INTERNAL_H
#define MF_CONFIG_CONFIG_INTERNAL_H

#include "config/schema.h"

/* Where each key got its value, for messages about values that do not fit together: 0 a default, -1 --set or
 * --seed, else the line of the file. */
struct config_origins {
    const char *file;
    long lines[128];
    long sections[128]; /* the line of a section, kept at its first key */
    int64_t experts;    /* in the place of model.n_experts, or 0 */
    bool whole;         /* values of all stages are there; else some may be those of a slice, with defaults */
};

size_t config_index(const struct mf_key *key); /* in them */

/* Defaults of values that nobody gave follow the values they must fit to: a config of one expert need not say
 * top_k 1, nor a short training its warmup. */
void config_follow(struct mf_config *c, const struct config_origins *o);

/* EX_CONFIG, with the place of one, where two values do not fit together. */
int config_check(const struct mf_config *c, const struct config_origins *o, struct mf_err *err);

#endif
