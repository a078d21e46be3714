/* For unit tests of configurations: loaded from a file or from text, and printed. */
#ifndef TESTS_CONFIG_FIXTURE_H
#define TESTS_CONFIG_FIXTURE_H

#include "scratch.h"

#include "config/config.h"

static inline int load(struct mf_config *config, const char *file, struct mf_err *err) {
    struct mf_settings settings = {.config = file, .seed = -1};
    memset(err, 0, sizeof *err);
    return mf_config_load(config, &settings, err);
}

static inline int load_text(struct mf_config *config, const char *text, size_t size, struct mf_err *err) {
    write_file("c.yaml", text, size);
    return load(config, "c.yaml", err);
}

/* What `stage` reads, as YAML; owned by the caller. */
static inline char *print(const struct mf_config *config, const char *stage, size_t *size) {
    char *text;
    FILE *f = open_memstream(&text, size);
    assert_non_null(f);
    assert_int_equal(mf_config_print(config, stage, f), 0);
    fclose(f);
    return text;
}

#endif
