/* Where prompts come from: options, a whole file, the lines of standard input, or a person at a terminal. */
#ifndef MF_CLI_PROMPTS_H
#define MF_CLI_PROMPTS_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "base/strings.h"

#define MF_PROMPT_LIMIT ((size_t)16 << 20) /* bytes of one prompt */

struct mf_prompts;

/* `texts` when it has any (borrowed); else the whole of `file`, of any bytes; with NULL or "-" each line of
 * standard input, its end (LF or CR LF) taken off: zero bytes count, an empty line is an empty prompt.
 * EX_NOINPUT, EX_DATAERR: larger than the limit. */
int mf_prompts_open(struct mf_prompts **prompts, const struct mf_strs *texts, const char *file,
                    struct mf_err *err);

/* Lines typed at `program`'s sign, edited and remembered by libedit; a line that is not typed at a terminal
 * is read as it is. From now on SIGINT, unless it is ignored, only sets a flag: mf_prompts_halted. Once in a
 * process. */
int mf_prompts_interactive(struct mf_prompts **prompts, const char *program, struct mf_err *err);

/* The next prompt, borrowed until the next call: 1, or 0 at the end, or -1. Takes the flag down. */
int mf_prompts_next(struct mf_prompts *prompts, const char **text, size_t *size, struct mf_err *err);

/* Was the answer to the last prompt to be stopped (Ctrl-C)? Never without a person. */
bool mf_prompts_halted(const struct mf_prompts *prompts);

void mf_prompts_close(struct mf_prompts *prompts); /* accepts NULL */

#endif
