/* The commands of mf-export. Each takes argv with its own name first, prints its messages on standard error,
 * and returns the exit status. */
#ifndef MF_CLI_EXPORT_COMMANDS_H
#define MF_CLI_EXPORT_COMMANDS_H

int mf_export_hf(int argc, char **argv);
int mf_export_gguf(int argc, char **argv);

#endif
