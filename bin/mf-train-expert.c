/* mf-train-expert: trains one expert, an FFN for each layer, on its own part of the corpus; the shared
 * backbone is frozen. mf-train-expert -s shared.tar [OPTION]... [TOKENS] > expert.tar */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "cli/options.h"
#include "model/component.h"
#include "cli/train_session.h"
#include "train/stats.h"

static const char notes[] =
    "Reads a tokens stream (one partition) and writes an expert bundle: the expert's layers, the counts of the tokens\n"
    "in its documents, and statistics of the inputs of its norms. The keys train_expert.* set the training;\n"
    "expert.init chooses whether the expert starts from the shared bundle's FFN or from random weights. With\n"
    "expert.rank the expert is changes of that rank to the matrices of the shared bundle's FFN, and the bundle holds\n"
    "their factors only: less memory, a smaller file, and the weights that the backbone brings stay as they are.\n"
    "With expert.head the expert also learns a head of its own, a whole matrix or a change of low rank to the shared one:\n"
    "which words follow which differs between subjects.\n"
    "With expert.train=ffn+qo it learns the matrices of attention's queries and outputs, too, which begin as the shared\n"
    "ones; keys and values stay those of all experts.\n"
    "With expert.anchor each layer's result is the mean of the expert's and of the shared bundle's FFN, which stays as it\n"
    "is; the bundle holds the expert alone.\n"
    "\n"
    "What is frozen of the FFN and the vocabulary is mapped where the shared bundle is a plain file, and may leave memory\n"
    "while it is not used: do not write into that file during a training.\n"
    "\n"
    "The weights with the lowest validation loss are kept, those before the first step included: an expert that does\n"
    "not improve keeps its initial weights. Validation windows cross the ends of documents, so mf-eval perplexity,\n"
    "whose windows begin with each document, gives a slightly different loss on the same tokens.\n"
    "\n"
    "SIGINT, SIGTERM or SIGHUP writes a checkpoint and ends with status 130, 143 or 129. The same command with\n"
    "--resume continues, and ends with the same bytes as a run that was never stopped.\n"
    "\n"
    "example:\n"
    "  mf-train-expert -s shared.tar -v val.labelled.mf --partition 3 -o expert.3.tar parts/part.3.mp\n"
    "\n"
    "exit status: 0, or 64 wrong use, 65 malformed input or bundles that do not belong together, 66 input cannot be\n"
    "opened, 70 the training diverged, 73 or 74 cannot write, 78 bad config.\n";

/* The tensors of the shared bundle, its FFN where ours begins from it or changes it. */
static int load_shared(struct mf_train_session *s, struct mf_component *shared, struct mf_err *err) {
    size_t count = s->n_backbone + s->n_ffn;
    struct mf_tensor *wanted = calloc(count, sizeof *wanted);
    if (!wanted) return mf_err_set(err, EX_OSERR, "out of memory");
    mf_ffn_tensors(&shared->shape, MF_FFN_DENSE, 0, NULL, wanted + s->n_backbone);
    for (size_t i = 0; i < count; i++) {
        const struct mf_tensor *t = &s->tensors[i];
        if (i < s->n_backbone) wanted[i] = *t;
        wanted[i].dtype = t->dtype;
        wanted[i].data = t->data;
    }
    int status = mf_bundle_fill_map(shared->bundle, wanted, count, &s->map, err);
    for (size_t i = 0; i < count; i++) s->tensors[i].data = wanted[i].data;
    free(wanted);
    return status;
}

/* A tensor that learns begins with the numbers of a frozen one, as they are held. */
static void copy_numbers(const struct mf_tensor *to, const struct mf_tensor *from) {
    if (from->dtype == MF_BF16)
        mf_bf16_widen(to->data, from->data, mf_tensor_count(to));
    else
        memcpy(to->data, from->data, mf_tensor_bytes(to));
}

/* A whole head begins as the backbone's. */
static void copy_head(struct mf_train_session *s) {
    copy_numbers(&s->tensors[s->n_head], &s->tensors[s->training.shape.untied ? s->n_backbone - 1 : 0]);
}

/* Queries and outputs begin as the backbone's. */
static void copy_attention(struct mf_train_session *s) {
    for (size_t i = s->n_attention; i < s->n_head; i++)
        for (size_t k = 0; k < s->n_backbone; k++)
            if (strcmp(s->tensors[i].name, s->tensors[k].name) == 0)
                copy_numbers(&s->tensors[i], &s->tensors[k]);
}

/* An expert beside the anchor begins as the anchor. */
static void copy_anchor(struct mf_train_session *s) {
    const struct mf_tensor *from = s->tensors + s->n_backbone;
    for (size_t i = 0; i < s->n_ffn; i++) copy_numbers(&from[s->n_ffn + i], &from[i]);
}

static int write_expert(struct mf_train_session *s, const struct mf_train_options *o,
                        const struct mf_component *shared, int64_t partition,
                        const struct mf_training_result *result, const char *stats_path, struct mf_err *err) {
    struct mf_stats stats;
    struct mf_tensor *tensors = NULL;
    const struct mf_training *t = &s->training;
    int status = mf_stats_gather(&stats, &t->shape, &t->memory.plan, &t->weights, &s->data, s->pool, err);
    size_t count = s->training.count + mf_stats_tensors(&stats, NULL);
    if (status == 0) {
        tensors = calloc(count, sizeof *tensors);
        if (!tensors) mf_no_memory();
        memcpy(tensors, s->training.tensors, s->training.count * sizeof *tensors);
        mf_stats_tensors(&stats, tensors + s->training.count);
        json_t *meta = json_pack("{ss}", "shared_sha256", shared->hash);
        mf_low_rank_put(&t->low_rank, meta);
        mf_attention_put(t->attention, meta);
        mf_head_put(t->head, meta);
        if (partition >= 0) json_object_set_new(meta, "partition", json_integer((json_int_t)partition));
        status = stats_path ? mf_stats_write(&stats, stats_path, err) : 0;
        if (status == 0)
            status = mf_train_session_write(s, "expert", o->output, meta, result, tensors, count, err);
        else
            json_decref(meta);
    }
    free(tensors);
    mf_stats_free(&stats);
    return status;
}

struct request {
    struct mf_train_session session;
    struct mf_train_options options;
    struct mf_component shared;
    const char *shared_path, *stats, *tokens;
    int64_t partition;
};

static int train(struct request *q, const struct mf_common *common, struct mf_err *err) {
    struct mf_train_session *s = &q->session;
    struct mf_component *shared = &q->shared;
    const struct mf_train_options *o = &q->options;
    struct mf_training_result result;
    if (mf_train_session_begin(s, "train-expert", common, o, q->tokens, q->partition, shared->shape.S,
                               &shared->specials, err) < 0)
        return -1;
    if (mf_component_tokenizer(shared, s->data.tokenizer, s->data.name, err) < 0) return -1;
    if (mf_specials_match(&shared->specials, shared->name, &s->data.specials, s->data.name, err) < 0)
        return -1;
    if (s->data.vocab > shared->shape.V)
        return mf_err_set(err, EX_DATAERR, "%s: vocab_size is %zu, more than %zu as in %s", s->data.name,
                          s->data.vocab, shared->shape.V, shared->name);
    s->training.stored_bf16 = mf_component_is_bf16(shared);
    if (mf_bundle_mappable(shared->bundle) && strcmp(q->shared_path, "-") != 0) s->mapped = shared->bundle;
    if (mf_train_session_plan(s, "mf-train-expert", common, o, &shared->shape, &s->config.train_expert,
                              shared->hash, err) < 0)
        return -1;
    if (mf_train_session_model(s, err) < 0) return -1;
    if (load_shared(s, shared, err) < 0) return -1;
    uint64_t own = (uint64_t)s->config.seed + (q->partition > 0 ? (uint64_t)q->partition : 0);
    if (s->training.low_rank.R)
        mf_changes_init(&shared->shape, s->training.low_rank.R, s->training.weights.changes, own);
    else if (s->training.anchor)
        copy_anchor(s);
    if (s->config.expert.init == MF_INIT_KAIMING) mf_ffn_init(&shared->shape, s->training.weights.ffn, own);
    copy_attention(s);
    if (s->training.head && mf_head_whole(&shared->shape, s->training.head))
        copy_head(s);
    else if (s->training.head)
        mf_head_init(&shared->shape, s->training.head, s->training.weights.head, own);
    if (mf_train_session_run(s, &result, err) < 0) return -1;
    return result.signal ? 128 + result.signal
                         : write_expert(s, o, shared, q->partition, &result, q->stats, err);
}

static int run(void *request, const struct mf_common *common, struct mf_strs *operands, struct mf_err *err) {
    struct request *q = request;
    if (!q->shared_path) return mf_err_set(err, EX_USAGE, "which shared bundle? (-s FILE)");
    if (mf_options_operand(operands, "tokens stream", &q->tokens, err) < 0) return -1;
    if (mf_train_check_input(&q->options, q->shared_path, err) < 0) return -1;
    if (mf_component_open(&q->shared, q->shared_path, "shared", err) < 0) return -1;
    return train(q, common, err);
}

int main(int argc, char **argv) {
    struct request q = {.session = {.data.fd = -1, .validation.fd = -1}, .partition = -1};
    const struct mf_option options[] = {
        {"shared", 's', MF_OPT_STRING, &q.shared_path, "FILE", "the shared bundle", 0, 0},
        {"partition", 'p', MF_OPT_INT, &q.partition, "N",
         "the partition's number: noted in the bundle; validation takes only its documents", 0, 65535},
        {"stats", 0, MF_OPT_OUTPUT, &q.stats, "FILE",
         "also write the statistics of the FFNs' inputs as a stream", 0, 0},
        MF_TRAIN_OPTIONS(q.options),
        {0}};
    const struct mf_usage usage = {"mf-train-expert", "train one expert on its own documents",
                                   "mf-train-expert -s SHARED [OPTION]... [TOKENS]", options, notes};
    int status = mf_options_run(&usage, run, &q, argc, argv);
    mf_train_session_end(&q.session);
    mf_component_close(&q.shared);
    return status;
}
