/* The commands of mf-eval. Each takes argv with its own name first, prints its messages on standard error,
 * and returns the exit status. */
#ifndef MF_CLI_EVAL_COMMANDS_H
#define MF_CLI_EVAL_COMMANDS_H

int mf_eval_perplexity(int argc, char **argv);
int mf_eval_generate(int argc, char **argv);
int mf_eval_routing(int argc, char **argv);
int mf_eval_report(int argc, char **argv);
int mf_eval_page(int argc, char **argv);
int mf_eval_compare(int argc, char **argv);
int mf_eval_logits(int argc, char **argv);

#endif
