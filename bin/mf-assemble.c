/* mf-assemble: joins a shared backbone and experts into one model, by streaming.
 *     mf-assemble [OPTION]... SHARED EXPERT... > model.safetensors */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/memory.h"
#include "cli/options.h"
#include "io/file.h"
#include "io/lines.h"
#include "assemble/assemble.h"

static const char notes[] =
    "The experts keep their order on the command line. The model's metadata name each expert's partition and hash.\n"
    "Before the first tensor is copied, all manifests are compared: shape, tokenizer, and the shared bundle that each\n"
    "expert was trained with.\n"
    "\n"
    "router.kind chooses the router: prefix (scores of the tokens read so far) or hidden, whose gates start by\n"
    "router.init (uniform, kaiming, data_stats). mf-calibrate improves it. To leave an expert out, or take it in\n"
    "again, name other experts: nothing is trained again, and the router is made for the experts that are there.\n"
    "\n"
    "An expert of low rank (expert.rank of mf-train-expert) is added to the shared bundle's FFN; whole experts and such\n"
    "go into one model. With assemble.anchor=true the shared FFN itself is one more expert, the last, for text of no\n"
    "partition: the prefix router scores it by the tokens of all text, data_stats gives it a gate of zero.\n"
    "\n"
    "Heads of experts (expert.head of mf-train-expert) become part of the model: in the last layer each token's experts\n"
    "have their say in its logits too. assemble.heads=false leaves them out, for programs that know no such heads.\n"
    "\n"
    "Attention of experts (expert.train=ffn+qo of mf-train-expert) becomes part of it, too: each token asks by the queries\n"
    "of its experts, which a prefix router chooses before attention.\n"
    "\n"
    "What is copied keeps the dtype of its bundle: of a base in BF16 the model has BF16. What is made here is F32.\n"
    "\n"
    "Memory does not grow with the number of experts. Bundles may be pipes. --list reads more names from a file, one a\n"
    "line, when they are too many for a command line. A weight that is NaN or infinite is refused with the name of its\n"
    "file and tensor.\n"
    "\n"
    "examples:\n"
    "  mf-assemble -o model.safetensors shared.tar expert.*.tar\n"
    "  ls experts/*.tar | mf-assemble -o model.safetensors --list - shared.tar\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 a malformed bundle or bundles that do not belong together, 66 input cannot be\n"
    "opened, 73 or 74 cannot write, 78 bad config.\n";

struct request {
    const struct mf_common *common;
    const char *output, *experts; /* experts: "3,0,1", or NULL */
    const char *list;             /* a file that holds names of components, or NULL */
    char *names;                  /* its contents */
    bool dense, average;
};

/* The numbers of a list "3,0,1". */
static int parse_experts(const char *list, int64_t **numbers, size_t *n, struct mf_err *err) {
    *n = 0;
    *numbers = calloc(strlen(list) + 1, sizeof **numbers);
    if (!*numbers) mf_no_memory();
    for (const char *at = list;; at++) {
        char *end;
        long long value = strtoll(at, &end, 10);
        if (end == at || !isdigit((unsigned char)*at) || (*end && *end != ','))
            return mf_err_set(err, EX_USAGE, "--experts: '%.60s' is not a list of partitions like 3,0,1",
                              list);
        for (size_t i = 0; i < *n; i++)
            if ((*numbers)[i] == value)
                return mf_err_set(err, EX_USAGE, "--experts: %lld is there twice", value);
        (*numbers)[(*n)++] = value;
        if (!*end) return 0;
        at = end;
    }
}

static int write_model(const struct request *r, const struct mf_spool *components, size_t n,
                       const int64_t *chosen, size_t n_chosen, struct mf_err *err) {
    struct mf_config config;
    struct mf_assembly a = {.scratch = -1};
    struct mf_pool *pool = NULL;
    struct mf_out *out = NULL;
    enum mf_assembly_kind kind = r->dense     ? MF_ASSEMBLE_DENSE
                                 : r->average ? MF_ASSEMBLE_AVERAGE
                                              : MF_ASSEMBLE_MIXTURE;
    /* top_k is judged by the experts that are assembled; without a router any fits */
    size_t experts = kind != MF_ASSEMBLE_MIXTURE ? MF_EXPERTS_MAX : chosen ? n_chosen : n - 1;
    int status = mf_config_load_given(&config, &r->common->settings, "assemble", (int64_t)experts, err);
    if (status == 0) status = mf_assembly_plan(&a, kind, &config, components, n, chosen, n_chosen, err);
    if (status == 0) status = mf_pool_new(&pool, (int)r->common->threads, err);
    if (status == 0) status = mf_out_open(&out, r->output, err);
    if (status == 0) status = mf_assembly_write(&a, pool, out, err);
    uint64_t bytes = status == 0 ? mf_out_offset(out) : 0;
    status = mf_out_end(out, status, err);
    if (status == 0 && !r->common->quiet)
        fprintf(stderr, "mf-assemble: %s%zu expert%s, %zu tensors, %.1f MB, peak memory %.1f MB\n",
                r->dense     ? "the dense FFN, "
                : r->average ? "the mean of "
                             : "",
                a.n_experts, a.n_experts == 1 ? "" : "s", a.count, (double)bytes / 1e6,
                (double)mf_peak_memory() / 1e6);
    mf_pool_free(pool);
    mf_assembly_free(&a);
    return status;
}

/* Every component is read twice, so that pipes are copied first. */
static int assemble(const struct request *r, const struct mf_strs *operands, struct mf_err *err) {
    struct mf_spool *components = calloc(operands->count, sizeof *components);
    int64_t *chosen = NULL;
    size_t n_chosen = 0, n = 0;
    if (!components) mf_no_memory();
    int status = r->experts ? parse_experts(r->experts, &chosen, &n_chosen, err) : 0;
    for (; n < operands->count && status == 0; n++)
        status = mf_spool_open(&components[n], operands->items[n], err);
    if (status == 0) status = write_model(r, components, n, chosen, n_chosen, err);
    for (size_t i = 0; i < n; i++) {
        if (status < 0) mf_spool_name(&components[i], err);
        mf_spool_close(&components[i]);
    }
    free(components);
    free(chosen);
    return status;
}

static int check_request(const struct request *r, size_t components, struct mf_err *err) {
    if (r->dense && r->average) return mf_err_set(err, EX_USAGE, "--dense or --average, not both");
    if (r->dense && components != 1)
        return mf_err_set(err, EX_USAGE, "--dense takes the shared bundle alone");
    if (!r->dense && components < 2)
        return mf_err_set(err, EX_USAGE, "give a shared bundle and at least one expert");
    return 0;
}

static int run(void *request, const struct mf_common *common, struct mf_strs *components,
               struct mf_err *err) {
    struct request *r = request;
    r->common = common;
    if (mf_lines_add(components, &r->names, r->list, r->output, err) < 0) return -1;
    return check_request(r, components->count, err) < 0 ? -1 : assemble(r, components, err);
}

int main(int argc, char **argv) {
    struct request r = {0};
    const struct mf_option options[] = {
        {"output", 'o', MF_OPT_OUTPUT, &r.output, "FILE",
         "write the model to FILE instead of standard output", 0, 0},
        {"experts", 0, MF_OPT_STRING, &r.experts, "LIST",
         "only the experts of these partitions, in this order, e.g. 3,0,1", 0, 0},
        {"list", 0, MF_OPT_STRING, &r.list, "FILE", "more bundles: their names, one a line of FILE", 0, 0},
        {"dense", 0, MF_OPT_FLAG, &r.dense, NULL, "the shared bundle with its own FFN instead of experts", 0,
         0},
        {"average", 0, MF_OPT_FLAG, &r.average, NULL, "one FFN, the mean of the experts' weights", 0, 0},
        {0}};
    const struct mf_usage usage = {"mf-assemble", "join a shared bundle and experts into one model",
                                   "mf-assemble [OPTION]... SHARED EXPERT...", options, notes};
    int status = mf_options_run(&usage, run, &r, argc, argv);
    free(r.names);
    return status;
}
