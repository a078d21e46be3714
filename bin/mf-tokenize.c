/* mf-tokenize: learns a byte-level BPE, and turns documents into tokens and back.
 *     mf-tokenize train|encode|decode [OPTION]... */
#include "cli/options.h"
#include "cli/tokenize_commands.h"

int main(int argc, char **argv) {
    const struct mf_command commands[] = {
        {"train", "learn a byte-level BPE from documents", mf_tokenize_train},
        {"encode", "documents to tokens", mf_tokenize_encode},
        {"decode", "tokens to text", mf_tokenize_decode},
        {0},
    };
    return mf_command_run("mf-tokenize", "learn a tokenizer, and turn documents into tokens and back",
                          commands, argc, argv);
}
