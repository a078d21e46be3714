/* The slices of a configuration: one file a stage with the values that it reads, so that make runs again only
 * the stages that read a change. */
#ifndef MF_CLI_CONFIG_SLICES_H
#define MF_CLI_CONFIG_SLICES_H

#include <stddef.h>
#include "base/err.h"
#include "config/config.h"

/* The YAML of what a stage reads (NULL: of everything); new, freed by free(). */
char *mf_config_text(const struct mf_config *config, const char *stage, size_t *size);

/* Writes FOLDER/STAGE.yaml for each stage, except where the file has these bytes: it keeps its time. Makes
 * the folder. EX_CANTCREAT, EX_IOERR. */
int mf_config_slices_write(const struct mf_config *config, const char *folder, struct mf_err *err);

/* Prints the names of the files that would be written, a line each. */
int mf_config_slices_name(const struct mf_config *config, const char *folder, struct mf_err *err);

#endif
