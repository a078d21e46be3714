/* The tree is made from the metadata; a file's place in it is found by its hash. */
#include "cli/provenance.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "base/strings.h"
#include "cli/show_internal.h"
#include "io/bundle.h"
#include "io/safetensors.h"
#include "io/sha256.h"
#include "model/component.h"
#include "text/tokenizer.h"
#include "train/data.h"

/* What a component is, or what it was trained or validated on. */
enum { ITSELF, TRAINED, VALIDATED, ROLES };

struct node {
    char *label;                     /* owned */
    const char *sha256;              /* borrowed, as all below; NULL: not noted */
    const char *fingerprints[ROLES]; /* of ITSELF none */
    json_int_t documents, tokens;    /* 0: not noted */
    json_int_t partition;            /* -1: none */
    struct mf_strs files[ROLES];     /* that are it */
};

struct tree {
    json_t *shared, *experts, *base;
    struct node *nodes; /* tokenizer, backbone, experts */
    size_t n;
};

/* --- the tree --- */

/* The 16 digits of a fingerprint, or NULL. */
static const char *fingerprint(const json_t *trained, const char *field) {
    const char *text = json_string_value(json_object_get(trained, field));
    return text && strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16 ? text : NULL;
}

static struct node node_of(char *label, const char *sha256, const json_t *trained) {
    const json_t *partition = json_object_get(trained, "partition");
    struct node node = {.label = label, .sha256 = mf_sha256_valid(sha256) ? sha256 : NULL, .partition = -1};
    node.fingerprints[TRAINED] = fingerprint(trained, "data_xxh64");
    node.fingerprints[VALIDATED] = fingerprint(trained, "validation_xxh64");
    node.documents = json_integer_value(json_object_get(trained, "documents"));
    node.tokens = json_integer_value(json_object_get(trained, "tokens"));
    if (partition) node.partition = json_integer_value(partition);
    return node;
}

static char *expert_label(const json_t *expert, size_t e) {
    char clean[4 * 40 + 1];
    const char *file = json_string_value(json_object_get(expert, "file"));
    if (!file) return mf_format("expert %zu", e);
    return mf_format("expert %zu (%s)", e, mf_show_clean(clean, file, strlen(file), 40));
}

/* "backbone (imported: LlamaForCausalLM, SmolLM2-135M)" */
static char *backbone_label(const json_t *base) {
    char class[4 * 40 + 1], name[4 * 60 + 1];
    const char *of = json_string_value(json_object_get(base, "class")),
               *called = json_string_value(json_object_get(base, "name"));
    if (!of) return mf_format("backbone");
    mf_show_clean(class, of, strlen(of), 40);
    if (!called) return mf_format("backbone (imported: %s)", class);
    return mf_format("backbone (imported: %s, %s)", class, mf_show_clean(name, called, strlen(called), 60));
}

static void build(struct tree *t, const json_t *metadata) {
    t->shared = mf_metadata_json(metadata, "shared_trained");
    t->experts = mf_metadata_json(metadata, "experts");
    t->base = mf_metadata_json(metadata, "base");
    t->nodes = calloc(2 + json_array_size(t->experts), sizeof *t->nodes);
    if (!t->nodes) mf_no_memory();
    const char *tokenizer = json_string_value(json_object_get(metadata, "tokenizer_sha256"));
    const char *shared = json_string_value(json_object_get(metadata, "shared_sha256"));
    t->nodes[t->n++] = node_of(mf_format("tokenizer"), tokenizer, NULL);
    t->nodes[t->n++] = node_of(backbone_label(t->base), shared, t->shared);
    for (size_t e = 0; e < json_array_size(t->experts); e++) {
        const json_t *expert = json_array_get(t->experts, e);
        const char *hash = json_string_value(json_object_get(expert, "sha256"));
        t->nodes[t->n++] = node_of(expert_label(expert, e), hash, expert);
    }
}

static void destroy(struct tree *t) {
    for (size_t i = 0; i < t->n; i++) {
        free(t->nodes[i].label);
        for (size_t role = 0; role < ROLES; role++) mf_strs_free(&t->nodes[i].files[role]);
    }
    free(t->nodes);
    json_decref(t->shared);
    json_decref(t->experts);
    json_decref(t->base);
}

/* --- the files --- */

/* Adds the file to every node whose hash in this role is it: how many are. */
static size_t place(struct tree *t, size_t role, const char *hash, json_int_t partition, const char *file) {
    size_t found = 0;
    for (size_t i = 0; i < t->n; i++) {
        struct node *node = &t->nodes[i];
        const char *own = role == ITSELF ? node->sha256 : node->fingerprints[role];
        if (!own || strcmp(own, hash) != 0 || (partition >= 0 && node->partition != partition)) continue;
        mf_strs_add(&node->files[role], file);
        found++;
    }
    return found;
}

/* The documents of one partition of a stream, or (-1) all. */
static int place_tokens(struct tree *t, const char *file, json_int_t partition, size_t *found,
                        struct mf_err *err) {
    struct mf_data data;
    char hash[17];
    if (mf_data_load(&data, file, partition, 1, NULL, err) < 0 && !data.nothing) {
        mf_data_free(&data);
        return -1;
    }
    snprintf(hash, sizeof hash, "%016" PRIx64, data.hash);
    if (partition < 0) *found += place(t, TRAINED, hash, -1, file);
    *found += place(t, VALIDATED, hash, partition, file);
    mf_data_free(&data);
    return 0;
}

/* A tokens stream: whole, and what of it is labelled as an expert's, by which experts are validated. */
static int find_tokens(struct tree *t, const char *file, size_t *found, struct mf_err *err) {
    struct mf_err unlabelled = {0};
    if (place_tokens(t, file, -1, found, err) < 0) return -1;
    for (size_t i = 0; i < t->n; i++) {
        const struct node *n = &t->nodes[i];
        if (n->partition < 0 || !n->fingerprints[VALIDATED]) continue;
        if (place_tokens(t, file, n->partition, found, &unlabelled) < 0) break;
    }
    return mf_err_forgive(&unlabelled, EX_DATAERR, err);
}

static int find_bundle(struct tree *t, const char *file, size_t *found, struct mf_err *err) {
    struct mf_bundle *b;
    if (mf_bundle_open(&b, file, NULL, err) < 0) return -1;
    *found += place(t, ITSELF, mf_bundle_hash(b), -1, file);
    mf_bundle_close(b);
    return 0;
}

static int find_tokenizer(struct tree *t, const char *file, size_t *found, struct mf_err *err) {
    struct mf_tokenizer *tokenizer;
    if (mf_tokenizer_load(&tokenizer, file, err) < 0) return -1;
    *found += place(t, ITSELF, mf_tokenizer_sha256(tokenizer), -1, file);
    mf_tokenizer_free(tokenizer);
    return 0;
}

static int find(struct tree *t, const char *file, const char *model, struct mf_err *err) {
    struct mf_in *in;
    const unsigned char *first;
    size_t found = 0;
    if (mf_in_open(&in, file, err) < 0) return -1;
    int64_t n = mf_in_peek(in, &first, 512, err);
    int status = n < 0                                ? -1
                 : mf_stream_begins(first, (size_t)n) ? find_tokens(t, file, &found, err)
                 : mf_bundle_begins(first, (size_t)n) ? find_bundle(t, file, &found, err)
                                                      : find_tokenizer(t, file, &found, err);
    mf_in_close(in);
    if (status < 0 || found > 0) return status;
    return mf_err_set(err, EX_DATAERR,
                      "%s: not a component of %s, nor what one of them was trained or validated on", file,
                      model);
}

/* --- the text --- */

static int write_files(struct mf_out *out, const struct mf_strs *files, struct mf_err *err) {
    for (size_t i = 0; i < files->count; i++)
        if (mf_out_printf(out, err, "  = %s", files->items[i]) < 0) return -1;
    return mf_out_write(out, "\n", 1, err);
}

static int write_node(struct mf_out *out, const struct node *n, bool last, struct mf_err *err) {
    static const char *const verbs[ROLES] = {"", "trained on", "validated on"};
    if (mf_out_printf(out, err, "%s %s  sha256 %s", last ? "`--" : "|--", n->label,
                      n->sha256 ? n->sha256 : "not noted") < 0 ||
        write_files(out, &n->files[ITSELF], err) < 0)
        return -1;
    for (size_t role = TRAINED; role < ROLES; role++) {
        if (!n->fingerprints[role]) continue;
        if (mf_out_printf(out, err, "%s     %s %s", last ? " " : "|", verbs[role], n->fingerprints[role]) < 0)
            return -1;
        if (role == TRAINED && mf_out_printf(out, err, ": %lld documents, %lld tokens",
                                             (long long)n->documents, (long long)n->tokens) < 0)
            return -1;
        if (write_files(out, &n->files[role], err) < 0) return -1;
    }
    return 0;
}

int mf_provenance(struct mf_out *out, const char *model, const char *const *files, size_t n,
                  struct mf_err *err) {
    struct mf_safetensors *st;
    struct tree tree = {0};
    if (mf_safetensors_open(&st, model, err) < 0) return -1;
    int status = mf_components_check(mf_safetensors_metadata(st), model, err);
    if (status == 0) build(&tree, mf_safetensors_metadata(st));
    for (size_t i = 0; i < n && status == 0; i++) status = find(&tree, files[i], model, err);
    if (status == 0) status = mf_out_printf(out, err, "%s\n", model);
    for (size_t i = 0; i < tree.n && status == 0; i++)
        status = write_node(out, &tree.nodes[i], i + 1 == tree.n, err);
    destroy(&tree);
    mf_safetensors_close(st);
    return status;
}
