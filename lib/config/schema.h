/* The list of all settings: what config.c reads values by, and what config_print.c writes them by. Programs
 * use config/config.h. */
#ifndef MF_CONFIG_SCHEMA_H
#define MF_CONFIG_SCHEMA_H

#include "config/config.h"

enum mf_key_kind {
    MF_KEY_INT,    /* int64_t */
    MF_KEY_REAL,   /* double */
    MF_KEY_CHOICE, /* int, index into `choices` */
    MF_KEY_BOOL,   /* bool */
    MF_KEY_TEXT,   /* char[high + 1], valid UTF-8 */
};

struct mf_key {
    const char *name; /* "section.key", or "key" at the top level */
    enum mf_key_kind kind;
    size_t offset; /* in struct mf_config */
    const char *fallback;
    double low, high;    /* of numbers; the bytes of a text */
    const char *choices; /* "a|b|c"; of an int NULL, or words of which the last stands for 0 */
    unsigned stages;     /* bit i: stage i of mf_config_stages() reads it; none: make does */
    const char *meaning;
    const char *wanted; /* what a value must be, in the message when it is not */
};

/* The schema, sections together and in the order they are printed. */
const struct mf_key *mf_keys(size_t *count);

/* The key of that name, or NULL. */
const struct mf_key *mf_key_find(const char *name);

/* A name's section is its first `n` letters; 0 at the top level. */
size_t mf_key_section(const struct mf_key *key);

/* The bit of a stage; 0 for an unknown name; all bits for NULL. */
unsigned mf_stage_bit(const char *stage);

/* Reads one value. `where` ("x.yaml:12", "--set") opens the message; EX_CONFIG. */
int mf_key_parse(const struct mf_key *key, struct mf_config *config, const char *text, const char *where,
                 struct mf_err *err);

/* Writes one value so that mf_key_parse reads the same; cut like snprintf. */
void mf_key_format(const struct mf_key *key, const struct mf_config *config, char *text, size_t size);

/* EX_CONFIG: unknown key, with the nearest. Returns -1. */
int mf_key_unknown(const char *name, const char *where, struct mf_err *err);

#endif
