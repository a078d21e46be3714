/* The model card: what the model is, what it was made of, how good it is, what it is not. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "export/hf_internal.h"
#include "io/safetensors.h"

struct card {
    const struct mf_hf *hf;
    const struct hf_class *class;
    const struct mf_shape *shape;
    size_t E;
    const json_t *report; /* or NULL */
    struct mf_out *out;
    struct mf_err *err;
};

/* Writes text that is ours; what failed once is told by the commit. */
#define SAY(...) mf_out_printf(c->out, c->err, __VA_ARGS__)

/* Text of a file in a cell of a table. */
static void say_cell(const struct card *c, const char *text) {
    for (; text && *text; text++) {
        bool plain = (unsigned char)*text >= ' ' && !strchr("|`<>\\*_[]", *text);
        SAY(plain ? "%c" : "&#%d;", (unsigned char)*text);
    }
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* A number of an object, NAN where there is none. */
static double number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* An expert that was not trained has a name: the anchor is the backbone's own FFN. */
static bool is_named(const json_t *expert) {
    return json_object_get(expert, "name") != NULL;
}

static size_t count_named(const struct card *c) {
    json_t *experts = mf_metadata_json(mf_plain_metadata(c->hf->plain), "experts"), *expert;
    size_t e, n = 0;
    json_array_foreach(experts, e, expert) n += is_named(expert);
    json_decref(experts);
    return n;
}

/* --- sections --- */

static void say_head(const struct card *c) {
    SAY("---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- modularforge\n---\n\n");
    SAY("# A language model made by ModularForge\n\n");
    size_t named = c->E ? count_named(c) : 0;
    if (c->E)
        SAY("A mixture of %zu experts that were trained independently of one another, each on its own "
            "documents,\nbeside one shared backbone%s. A router chooses %zu of %s for each token.\n\n",
            c->E - named, named ? ", whose own FFN is one more" : "", mf_plain_top_k(c->hf->plain),
            named ? "all these" : "them");
    else
        SAY("A dense model: a backbone with one FFN in each layer.\n\n");
    SAY("| | |\n|---|---|\n| class | `%s` |\n", c->class->name);
    SAY("| layers, hidden size | %zu, %zu |\n| heads, key/value heads, head size | %zu, %zu, %zu |\n",
        c->shape->L, c->shape->D, c->shape->H, c->shape->K, c->shape->d);
    SAY("| FFN units%s | %zu |\n| vocabulary | %zu |\n", c->E ? " of an expert" : "", c->shape->F,
        c->shape->V);
    SAY("| context | %zu tokens |\n| matrices | %s |\n\n", c->shape->S, mf_dtype_name(c->hf->type));
}

static void say_usage(const struct card *c) {
    SAY("## Use\n\n```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        "tokenizer = AutoTokenizer.from_pretrained(\"FOLDER\")\n"
        "model = AutoModelForCausalLM.from_pretrained(\"FOLDER\", torch_dtype=\"auto\")\n"
        "prompt = tokenizer(\"In the beginning\", return_tensors=\"pt\", return_token_type_ids=False)\n"
        "print(tokenizer.decode(model.generate(**prompt, max_new_tokens=50)[0]))\n```\n\n");
}

static void say_expert(const struct card *c, size_t e, const json_t *expert) {
    const json_t *partition = json_object_get(expert, "partition");
    SAY("| expert %zu", e);
    if (is_named(expert)) SAY(", the backbone's own FFN");
    if (json_is_integer(partition)) SAY(", partition %lld", (long long)json_integer_value(partition));
    SAY(" | ");
    say_cell(c, text_of(expert, "file"));
    for (int k = 0; k < 2; k++) {
        double count = number(expert, k ? "tokens" : "documents");
        SAY(isfinite(count) ? " | %.0f" : " | ", count);
    }
    SAY(" | ");
    say_cell(c, text_of(expert, "sha256"));
    SAY(" |\n");
}

/* Every file that the model was assembled from, with its name by contents. */
static void say_components(const struct card *c) {
    const json_t *metadata = mf_plain_metadata(c->hf->plain), *expert;
    json_t *experts = mf_metadata_json(metadata, "experts"), *base = mf_metadata_json(metadata, "base");
    size_t e;
    SAY("## Components\n\n| | file | documents | tokens | SHA-256 |\n|---|---|---|---|---|\n| tokenizer | | | | ");
    say_cell(c, text_of(metadata, "tokenizer_sha256"));
    SAY(" |\n| shared backbone | ");
    if (base) say_cell(c, *text_of(base, "name") ? text_of(base, "name") : text_of(base, "class"));
    SAY(" | | | ");
    say_cell(c, text_of(metadata, "shared_sha256"));
    SAY(" |\n");
    json_array_foreach(experts, e, expert) say_expert(c, e, expert);
    SAY("\nThe SHA-256 of the backbone and of an expert is that of its bundle's manifest, which has the SHA-256 "
        "of every\ntensor. Documents and tokens are those that it was trained on.\n\n");
    json_decref(experts);
    json_decref(base);
}

static void say_measure(const struct card *c, const char *name, const json_t *measure) {
    double perplexity = number(measure, "perplexity"), error = number(measure, "error"),
           bits = number(measure, "bits_per_byte");
    if (!isfinite(perplexity)) return;
    SAY("| %s | %.2f", name, perplexity);
    if (isfinite(error)) SAY(" ± %.2f", error);
    SAY(isfinite(bits) ? " | %.3f |\n" : " | |\n", bits);
}

/* What the difference to the dense backbone says; one within two standard errors may be chance. */
static void say_verdict(const struct card *c, const json_t *measures) {
    const json_t *dense = json_object_get(measures, "dense");
    double behind = number(dense, "behind"), error = number(dense, "behind_error");
    if (!isfinite(behind) || !isfinite(error)) return;
    double percent = 100 * fabs(1 - exp(-behind));
    if (fabs(behind) <= 2 * error)
        SAY("Verdict: it predicts no better and no worse than the dense backbone alone, as far as this can "
            "tell.\n\n");
    else
        SAY("Verdict: its perplexity is %.1f%% %s that of the dense backbone alone.\n\n", percent,
            behind > 0 ? "below" : "above");
}

/* The report has the documents that it was given: nobody compared them with those of the trainings. */
static void say_sample(const struct card *c) {
    const json_t *sample = json_object_get(c->report, "sample");
    double documents = number(sample, "documents"), all = number(sample, "of_documents"),
           tokens = number(sample, "tokens");
    bool imported = json_object_get(mf_plain_metadata(c->hf->plain), "base") != NULL;
    SAY("## Quality\n\nOn test documents, which are meant to be held out of all training");
    if (isfinite(documents) && isfinite(all) && isfinite(tokens))
        SAY(": %.0f of %.0f documents, %.0f tokens", documents, all, tokens);
    SAY(".\nWhether a training saw some of them was not checked: the documents may have been split otherwise "
        "when a\ncomponent was trained%s.\n\n",
        imported ? ", and what the imported base had seen is not known" : "");
}

static void say_quality(const struct card *c) {
    const json_t *measures = json_object_get(c->report, "measures"),
                 *experts = json_object_get(measures, "experts"), *expert;
    size_t e;
    if (!measures) return;
    say_sample(c);
    SAY("| | perplexity | bits per byte |\n|---|---|---|\n");
    say_measure(c, "this model", json_object_get(measures, "test"));
    say_measure(c, "the dense backbone", json_object_get(measures, "dense"));
    say_measure(c, "one dense model trained on the same total tokens",
                json_object_get(measures, "dense_total"));
    json_array_foreach(experts, e, expert) {
        char name[48];
        const json_t *place = json_object_get(expert, "expert");
        snprintf(name, sizeof name, "expert %lld alone",
                 json_is_integer(place) ? (long long)json_integer_value(place) : (long long)e);
        say_measure(c, name, expert);
    }
    say_measure(c, "the tokens' frequencies", json_object_get(measures, "unigram"));
    SAY("\n");
    say_verdict(c, measures);
}

static void say_limits(const struct card *c) {
    SAY("## Limits\n\n- It continues text: it was not taught to follow instructions or to be harmless.\n"
        "- It knows what its documents say, right or wrong, and was measured on documents of the same kind%s.\n"
        "- It was trained on contexts of up to %zu tokens.\n",
        c->report ? "" : ", or not at all", c->shape->S);
    if (mf_plain_specials(c->hf->plain)->bos >= 0)
        SAY("- Every text has to begin with the token `bos_token`%s.\n",
            mf_plain_exact(c->hf->plain)
                ? ", and a context holds one text: the router adds up what it has read "
                  "since"
                : "");
}

int hf_card(const struct mf_hf *hf, struct mf_folder *folder, struct mf_err *err) {
    struct card card = {.hf = hf, .shape = mf_plain_shape(hf->plain), .report = hf->report, .err = err};
    card.E = mf_plain_experts(hf->plain);
    if (hf_class_of(hf->plain, &card.class, err) < 0) return -1;
    if (mf_out_open(&card.out, mf_folder_file(folder, "README.md"), err) < 0) return -1;
    say_head(&card);
    say_usage(&card);
    say_quality(&card);
    say_components(&card);
    say_limits(&card);
    return mf_out_commit(card.out, err);
}
