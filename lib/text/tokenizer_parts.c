/* The parts of tokenizer.json around its model: everything we do not honour exactly is refused by its name.
 */
#include <stdlib.h>
#include <string.h>
#include "text/tokenizer_internal.h"

const char *reading_type(const json_t *part) {
    const char *type = json_string_value(json_object_get(part, "type"));
    return type ? type : "(none)";
}

int reading_unsupported(struct reading *r, const char *key, const json_t *part) {
    return mf_err_set(r->err, EX_DATAERR, "%s: %s of type %.60s is not supported", r->path, key,
                      reading_type(part));
}

bool reading_absent(const json_t *part) {
    return !part || json_is_null(part);
}

static int check_model(struct reading *r, const json_t *model) {
    static const char *const empty[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    if (strcmp(reading_type(model), "BPE") != 0) return reading_unsupported(r, "model", model);
    for (size_t i = 0; i < 2; i++) {
        const json_t *text = json_object_get(model, empty[i]);
        if (!reading_absent(text) && (!json_is_string(text) || json_string_length(text) > 0))
            return reading_bad(r, "not supported:", empty[i]);
    }
    const json_t *dropout = json_object_get(model, "dropout");
    if (!reading_absent(dropout) && (!json_is_number(dropout) || json_number_value(dropout) != 0))
        return reading_bad(r, "not supported:", "dropout");
    if (!json_is_object(json_object_get(model, "vocab")))
        return reading_bad(r, "the model has no vocab", NULL);
    if (!json_is_array(json_object_get(model, "merges")))
        return reading_bad(r, "the model has no merges", NULL);
    if (reading_flag(r, model, "byte_fallback", &r->t->byte_fallback) < 0 ||
        reading_flag(r, model, "fuse_unk", &r->t->fuse_unk) < 0 ||
        reading_flag(r, model, "ignore_merges", &r->whole_words) < 0)
        return -1;
    return r->t->characters && r->whole_words
               ? reading_bad(r, "not supported: ignore_merges without ByteLevel", NULL)
               : 0;
}

int parts_check(struct reading *r, const json_t *root) {
    static const char *const none[] = {"truncation", "padding"};
    if (!json_is_object(root)) return reading_bad(r, "not a tokenizer.json: no object", NULL);
    for (size_t i = 0; i < 2; i++)
        if (!reading_absent(json_object_get(root, none[i]))) return reading_bad(r, "not supported:", none[i]);
    if (steps_normalizer(r, json_object_get(root, "normalizer")) < 0 ||
        steps_pre_tokenizer(r, json_object_get(root, "pre_tokenizer")) < 0 ||
        decoder_read(r, json_object_get(root, "decoder")) < 0)
        return -1;
    return check_model(r, json_object_get(root, "model"));
}

/* --- added tokens --- */

static int read_added_flags(struct reading *r, const json_t *item, struct added *a) {
    const struct {
        const char *key;
        bool *flag;
    } flags[] = {{"special", &a->special},
                 {"normalized", &a->late},
                 {"single_word", &a->single_word},
                 {"lstrip", &a->lstrip},
                 {"rstrip", &a->rstrip}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (reading_flag(r, item, flags[i].key, flags[i].flag) < 0) return -1;
    return 0;
}

static int read_added(struct reading *r, const json_t *item) {
    struct mf_tokenizer *t = r->t;
    const json_t *content = json_object_get(item, "content");
    const char *text = json_string_value(content);
    size_t size = json_string_length(content);
    uint32_t id = 0;
    if (!text || size == 0 || size >= ADDED_SIZE)
        return reading_bad(r, "an added token has no content, or too long a one", NULL);
    if (reading_id(r, text, json_object_get(item, "id"), &id) < 0) return -1;
    const json_t *in_vocab = json_object_get(r->vocab, text);
    if (in_vocab && (size_t)json_integer_value(in_vocab) != id)
        return reading_bad(r, "two ids for added token", text);
    if (t->tokens[id].there) return reading_bad(r, "an id used twice, by added token", text);
    struct added *a = &t->added[t->n_added++];
    *a = (struct added){.size = size, .id = id};
    if (read_added_flags(r, item, a) < 0) return -1;
    memcpy(a->text, text, size);
    t->tokens[id].there = true;
    t->tokens[id].special = a->special;
    t->tokens[id].in_vocabulary = in_vocab != NULL;
    for (size_t k = 0; k < MF_SPECIALS; k++)
        if (a->special && strcmp(text, mf_special_names[k]) == 0) t->known[k] = id;
    return 0;
}

/* Late tokens are looked for in normalized text, so that theirs is normalized, too. */
static int normalize_added(struct reading *r, struct mf_normal_work *work) {
    struct mf_err why;
    for (size_t i = 0; i < r->t->n_added; i++) {
        struct added *a = &r->t->added[i];
        const char *text = a->text;
        size_t size = a->size;
        if (!a->late) continue;
        if (mf_normal_apply(work, &text, &size, &why) < 0)
            return mf_err_set(r->err, why.status, "%s: %s", r->path, why.text);
        if (size == 0 || size >= ADDED_SIZE)
            return reading_bad(
                r, "an added token has no content, or too long a one, once it is normalized:", a->text);
        memmove(a->text, text, size);
        a->text[size] = '\0';
        a->size = size;
    }
    return 0;
}

int parts_added(struct reading *r, const json_t *root) {
    const json_t *added = json_object_get(root, "added_tokens"), *item;
    struct mf_normal_work work;
    size_t i;
    r->t->added = calloc(json_array_size(added) + 1, sizeof *r->t->added);
    if (!r->t->added) return mf_err_set(r->err, EX_OSERR, "%s: out of memory", r->path);
    json_array_foreach(added, i, item) if (read_added(r, item) < 0) return -1;
    mf_normal_begin(&work, &r->t->normal);
    int status = normalize_added(r, &work);
    mf_normal_end(&work);
    if (status == 0) added_sort(r->t);
    return status;
}

/* --- around a document --- */

/* Tokens before a document, or behind it. */
#define MOST_AROUND 256

static int put_around(struct reading *r, struct mf_ids *ids, const char *name, const json_t *value) {
    uint32_t id = 0;
    if (ids->count == MOST_AROUND) return reading_bad(r, "too many tokens around a document", NULL);
    return reading_id(r, name, value, &id) < 0 ? -1 : mf_ids_add(ids, id, r->err);
}

/* TemplateProcessing for one text: special tokens, the text (A) once, special tokens. */
static int read_template(struct reading *r, const json_t *part) {
    const json_t *single = json_object_get(part, "single"),
                 *specials = json_object_get(part, "special_tokens"), *item, *value;
    size_t i, k;
    bool text = false;
    json_array_foreach(single, i, item) {
        const char *sequence = json_string_value(json_object_get(json_object_get(item, "Sequence"), "id"));
        const char *name = json_string_value(json_object_get(json_object_get(item, "SpecialToken"), "id"));
        if (sequence && !text && strcmp(sequence, "A") == 0) {
            text = true;
            continue;
        }
        const json_t *ids = name ? json_object_get(json_object_get(specials, name), "ids") : NULL;
        if (!json_array_size(ids))
            return reading_bad(r, "a template of the post_processor is not understood", name);
        json_array_foreach(
            ids, k, value) if (put_around(r, text ? &r->t->after : &r->t->before, name, value) < 0) return -1;
    }
    return text ? 0 : reading_bad(r, "the post_processor has no template with a text A", NULL);
}

/* RoBERTa's and BERT's: `cls` before the text, `sep` behind it, each [name, id]. */
static int read_pair(struct reading *r, const json_t *part) {
    const json_t *cls = json_object_get(part, "cls"), *sep = json_object_get(part, "sep");
    if (put_around(r, &r->t->before, "cls", json_array_get(cls, 1)) < 0) return -1;
    return put_around(r, &r->t->after, "sep", json_array_get(sep, 1));
}

static int read_post(struct reading *r, const json_t *part) {
    const char *type = reading_type(part);
    if (strcmp(type, "ByteLevel") == 0) return 0; /* offsets only */
    if (r->t->before.count || r->t->after.count)
        return reading_bad(r, "two post_processors that add tokens", NULL);
    if (strcmp(type, "TemplateProcessing") == 0) return read_template(r, part);
    if (strcmp(type, "RobertaProcessing") == 0 || strcmp(type, "BertProcessing") == 0)
        return read_pair(r, part);
    return reading_unsupported(r, "post_processor", part);
}

int parts_around(struct reading *r, const json_t *root) {
    const json_t *post = json_object_get(root, "post_processor"), *list, *item;
    size_t i;
    if (reading_absent(post)) return 0;
    if (strcmp(reading_type(post), "Sequence") != 0) return read_post(r, post);
    if (reading_list(r, post, "processors", &list) < 0) return -1;
    json_array_foreach(list, i, item) if (read_post(r, item) < 0) return -1;
    return 0;
}

/* --- the tokens that begin and end documents --- */

/* What families call theirs. */
static const struct {
    const char *name;
    enum mf_special_id special;
} families[] = {
    {"<s>", MF_BOS},
    {"<|begin_of_text|>", MF_BOS},
    {"<|startoftext|>", MF_BOS},
    {"<｜begin▁of▁sentence｜>", MF_BOS},
    {"</s>", MF_EOS},
    {"<|end_of_text|>", MF_EOS},
    {"<|endoftext|>", MF_EOS},
    {"<｜end▁of▁sentence｜>", MF_EOS},
    {"<|finetune_right_pad_id|>", MF_PAD},
    {"<｜▁pad▁｜>", MF_PAD},
};

/* By our names (read_added), else by where the post-processor puts them, else by the families'. */
void parts_known(struct reading *r, const json_t *root) {
    struct mf_tokenizer *t = r->t;
    if (t->known[MF_BOS] < 0 && t->before.count) t->known[MF_BOS] = t->before.ids[0];
    if (t->known[MF_EOS] < 0 && t->after.count) t->known[MF_EOS] = t->after.ids[t->after.count - 1];
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(root, "added_tokens"), i, item) {
        const char *name = json_string_value(json_object_get(item, "content"));
        for (size_t k = 0; k < sizeof families / sizeof *families; k++)
            if (t->known[families[k].special] < 0 && json_is_true(json_object_get(item, "special")) &&
                strcmp(name, families[k].name) == 0)
                t->known[families[k].special] = json_integer_value(json_object_get(item, "id"));
    }
    if (t->known[MF_UNK] < 0) t->known[MF_UNK] = t->unk;
}
