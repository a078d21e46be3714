/* mf-eval: measures a model, lets it write, and reports.
 *     mf-eval perplexity|generate|routing|report|page|compare|logits [OPTION]... */
#include "cli/options.h"
#include "cli/eval_commands.h"

int main(int argc, char **argv) {
    const struct mf_command commands[] = {
        {"perplexity", "how well a model predicts documents", mf_eval_perplexity},
        {"generate", "continue prompts", mf_eval_generate},
        {"routing", "which experts the tokens go to", mf_eval_routing},
        {"report", "measure everything and write report.json", mf_eval_report},
        {"page", "show a report as one HTML page", mf_eval_page},
        {"compare", "what got better and worse between two reports", mf_eval_compare},
        {"logits", "the raw logits of every row, for comparing with other programs", mf_eval_logits},
        {0},
    };
    return mf_command_run("mf-eval", "measure models and generate text", commands, argc, argv);
}
