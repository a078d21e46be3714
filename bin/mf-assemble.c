/* mf-assemble: joins a shared foundation and experts into one model, by streaming.
 *     mf-assemble [OPTION]... SHARED EXPERT... > model.safetensors */
#include <stdio.h>
#include "base/clock.h"
#include "base/options.h"
#include "io/file.h"
#include "model/assemble.h"

static const char notes[] = "The order of the experts is their order in the model; its metadata name each "
                            "one's partition and hash. All\n"
                            "manifests are compared before the first tensor is copied: shape, tokenizer, and "
                            "the shared bundle each expert was\n"
                            "trained against. The router is the config's: router.kind prefix (evidence from "
                            "the tokens read so far) or hidden,\n"
                            "its gates from router.init uniform, kaiming or data_stats; mf-calibrate "
                            "improves it. Memory does not grow with the\n"
                            "number of experts.\n"
                            "\n"
                            "example:\n"
                            "  mf-assemble -o model.safetensors shared.tar expert.*.tar\n"
                            "\n"
                            "exit status: 0, or 64 wrong use, 65 a malformed piece or pieces that do not "
                            "belong together, 66 input cannot be\n"
                            "opened, 73 or 74 cannot write, 78 bad config.\n";

static int assemble(const struct mf_common *common, const struct mf_strs *pieces, const char *output,
                    struct mf_err *err) {
    struct mf_config config;
    struct mf_assembly a;
    struct mf_out *out = NULL;
    if (mf_config_load(&config, common, err) < 0) return -1;
    int status = mf_assembly_plan(&a, &config, pieces->items[0], pieces->items + 1, pieces->count - 1, err);
    if (status == 0) status = mf_out_open(&out, output, err);
    if (status == 0) status = mf_assembly_write(&a, out, err);
    uint64_t bytes = status == 0 ? mf_out_offset(out) : 0;
    if (status == 0)
        status = mf_out_commit(out, err);
    else
        mf_out_abandon(out);
    if (status == 0 && !common->quiet)
        fprintf(stderr, "mf-assemble: %zu experts, %zu tensors, %.1f MB, peak memory %.1f MB\n", a.n_experts,
                a.count, (double)bytes / 1e6, (double)mf_peak_memory() / 1e6);
    mf_assembly_free(&a);
    return status;
}

int main(int argc, char **argv) {
    struct mf_err err = {0};
    struct mf_common common;
    struct mf_strs pieces = {0};
    const char *output = NULL;
    const struct mf_option options[] = {{"output", 'o', MF_OPT_STRING, &output, "FILE",
                                         "write the model to FILE instead of standard output", 0, 0},
                                        {NULL, 0, 0, NULL, NULL, NULL, 0, 0}};
    const struct mf_usage usage = {"mf-assemble", "join a shared bundle and experts into one model",
                                   "mf-assemble [OPTION]... SHARED EXPERT...", options, notes};
    int status = mf_options_parse(&usage, &common, &pieces, argc, argv, &err);
    if (status == 0 && pieces.count < 2)
        status = mf_err_set(&err, EX_USAGE, "give a shared bundle and at least one expert");
    if (status == 0) status = assemble(&common, &pieces, output, &err);
    mf_strs_free(&pieces);
    mf_strs_free(&common.sets);
    return status < 0 ? mf_fail("mf-assemble", &err) : 0;
}
