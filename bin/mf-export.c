/* mf-export: writes a model for programs of others.
 *     mf-export hf [OPTION]...
 *     mf-export gguf [OPTION]... */
#include "cli/export_commands.h"
#include "cli/options.h"

int main(int argc, char **argv) {
    const struct mf_command commands[] = {
        {"hf", "a folder for Hugging Face's transformers", mf_export_hf},
        {"gguf", "a file for llama.cpp", mf_export_gguf},
        {0},
    };
    return mf_command_run("mf-export", "write a model for other programs", commands, argc, argv);
}
