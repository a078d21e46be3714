/* The commands of mf-tokenize. Each takes argv with its own name first, prints its messages on standard
 * error, and returns the exit status. */
#ifndef MF_CLI_TOKENIZE_COMMANDS_H
#define MF_CLI_TOKENIZE_COMMANDS_H

#include "cli/options.h"

int mf_tokenize_train(int argc, char **argv);
int mf_tokenize_encode(int argc, char **argv);
int mf_tokenize_decode(int argc, char **argv);

/* The files that encode and decode are asked for. */
struct mf_tokenize_files {
    const char *input, *tokenizer, *output;
};

/* Checks them and the settings; the input is the operand, a `what` ("tokens stream"). EX_USAGE, EX_CONFIG. */
int mf_tokenize_check(struct mf_tokenize_files *files, const char *what, const struct mf_strs *operands,
                      const struct mf_common *common, struct mf_err *err);

#endif
