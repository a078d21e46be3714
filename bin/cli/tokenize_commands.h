/* The commands of mf-tokenize. Each takes argv with its own name first, prints its messages on standard
 * error, and returns the exit status. */
#ifndef MF_CLI_TOKENIZE_COMMANDS_H
#define MF_CLI_TOKENIZE_COMMANDS_H

int mf_tokenize_train(int argc, char **argv);
int mf_tokenize_encode(int argc, char **argv);
int mf_tokenize_decode(int argc, char **argv);

#endif
