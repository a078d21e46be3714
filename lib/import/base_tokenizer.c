/* The base's tokenizer.json, with BOS before and EOS behind a document.
 *
 * Most bases put nothing behind a text, since a prompt has no end; documents to train on have one. The file
 * is changed in one place, its post_processor: all else stays as it is, byte for byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/memory.h"
#include "base/strings.h"
#include "import/base_internal.h"
#include "io/json_file.h"
#include "text/tokenizer.h"

#define FILE_LIMIT ((size_t)256 << 20)

static json_t *parse(const unsigned char *text, struct mf_json_span span) {
    return mf_json_parse((const char *)text + span.begin, span.end - span.begin,
                         JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, MF_JSON_SMALL, NULL);
}

/* --- tokens --- */

struct token {
    const char *text; /* NULL: there is none */
    json_int_t id;
};

/* An added token by its id, or where that is not said by its spelling. */
static struct token find_token(const json_t *added, int64_t id, const char *spelling) {
    const json_t *item;
    size_t i;
    json_array_foreach(added, i, item) {
        const char *text = json_string_value(json_object_get(item, "content"));
        json_int_t there = json_integer_value(json_object_get(item, "id"));
        if (text && (id >= 0 ? there == id : spelling && strcmp(text, spelling) == 0))
            return (struct token){text, there};
    }
    return (struct token){NULL, -1};
}

/* --- the post-processor --- */

static json_t *special_item(const struct token *t) {
    return json_pack("{s{ss,si}}", "SpecialToken", "id", t->text, "type_id", 0);
}

/* Is there a token before, or behind, all texts of a template? */
static bool has_special(const json_t *single, bool behind) {
    size_t n = json_array_size(single);
    return n > 0 && json_object_get(json_array_get(single, behind ? n - 1 : 0), "SpecialToken");
}

/* Adds to a TemplateProcessing what it lacks; did it lack anything? */
static bool complete(json_t *part, const struct token *bos, const struct token *eos) {
    json_t *single = json_object_get(part, "single"), *specials = json_object_get(part, "special_tokens");
    bool before = bos->text && !has_special(single, false), behind = eos->text && !has_special(single, true);
    if (!json_is_object(specials)) {
        specials = json_object();
        json_object_set_new(part, "special_tokens", specials);
    }
    if (before) json_array_insert_new(single, 0, special_item(bos));
    if (behind) json_array_append_new(single, special_item(eos));
    for (int k = 0; k < 2; k++) {
        const struct token *t = k ? eos : bos;
        if (!(k ? behind : before)) continue;
        json_object_set_new(specials, t->text,
                            json_pack("{ss,s[I],s[s]}", "id", t->text, "ids", t->id, "tokens", t->text));
    }
    return before || behind;
}

/* A template of the text alone. */
static json_t *plain_template(void) {
    return json_pack("{ss,s[{s{sssi}}],s[{s{sssi}},{s{sssi}}],s{}}", "type", "TemplateProcessing", "single",
                     "Sequence", "id", "A", "type_id", 0, "pair", "Sequence", "id", "A", "type_id", 0,
                     "Sequence", "id", "B", "type_id", 1, "special_tokens");
}

static const char *type_of(const json_t *part) {
    const char *type = json_string_value(json_object_get(part, "type"));
    return type ? type : "";
}

/* The part that is a TemplateProcessing, or the first other one that adds tokens; NULL: none does. */
static json_t *find_adding(json_t *post) {
    json_t *part;
    size_t i;
    if (!json_is_object(post) || strcmp(type_of(post), "ByteLevel") == 0) return NULL;
    if (strcmp(type_of(post), "Sequence") != 0) return post;
    json_array_foreach(json_object_get(post, "processors"), i, part) {
        if (strcmp(type_of(part), "ByteLevel") != 0) return part;
    }
    return NULL;
}

/* `post` (taken over) with BOS and EOS; NULL where nothing has to change. */
static json_t *with_ends(json_t *post, const struct token *bos, const struct token *eos) {
    json_t *part = find_adding(post);
    if (part && strcmp(type_of(part), "TemplateProcessing") == 0 && complete(part, bos, eos)) return post;
    if (part || (!bos->text && !eos->text)) {
        json_decref(post);
        return NULL;
    }
    json_t *template = plain_template();
    complete(template, bos, eos);
    if (strcmp(type_of(post), "Sequence") == 0) { /* without a list it stays as it is, and is refused */
        json_array_append_new(json_object_get(post, "processors"), template);
        return post;
    }
    if (!json_is_object(post)) {
        json_decref(post);
        return template;
    }
    return json_pack("{ss,s[oo]}", "type", "Sequence", "processors", post, template);
}

/* --- the file --- */

struct text {
    unsigned char *bytes;
    size_t size;
};

/* `text` with another post_processor (NULL: as it is), in new memory. */
static void replace(struct text *text, struct mf_json_span old, const json_t *post) {
    char *value = post ? json_dumps(post, JSON_COMPACT) : NULL;
    const unsigned char *brace = memchr(text->bytes, '{', text->size);
    const char *key = old.end ? "" : "\"post_processor\":", *comma = old.end ? "" : ",";
    if (!value || (!old.end && !brace)) {
        free(value);
        return;
    }
    if (!old.end) old.begin = old.end = (size_t)(brace - text->bytes) + 1;
    size_t capacity = text->size + strlen(value) + strlen(key) + 2, behind = text->size - old.end;
    unsigned char *changed = malloc(capacity);
    if (!changed) mf_no_memory();
    memcpy(changed, text->bytes, old.begin);
    int n = snprintf((char *)changed + old.begin, capacity - old.begin, "%s%s%s", key, value, comma);
    memcpy(changed + old.begin + n, text->bytes + old.end, behind);
    free(value);
    free(text->bytes);
    text->bytes = changed;
    text->size = old.begin + (size_t)n + behind;
}

/* Puts BOS and EOS around documents. A post_processor that is no object stays, to be refused where the file
 * is loaded. */
static void add_ends(const struct mf_base *b, struct text *text) {
    const char *bytes = (const char *)text->bytes;
    struct mf_json_span place = mf_json_find(bytes, text->size, "post_processor");
    json_t *added = parse(text->bytes, mf_json_find(bytes, text->size, "added_tokens"));
    struct token bos = find_token(added, b->bos, b->bos_token), eos = find_token(added, b->eos, b->eos_token);
    if (!bos.text) bos = eos;
    json_t *post = place.end ? parse(text->bytes, place) : NULL;
    if (!place.end || json_is_object(post) || json_is_null(post)) post = with_ends(post, &bos, &eos);
    replace(text, place, post);
    json_decref(post);
    json_decref(added);
}

/* The tokenizer as the base has it; new. */
static int read_own(const struct mf_base *b, struct text *text, struct mf_err *err) {
    if (b->gguf) return base_gguf_words(b, &text->bytes, &text->size, err);
    char *path = mf_format("%s/tokenizer.json", b->path);
    int status = mf_read_all(path, FILE_LIMIT, &text->bytes, &text->size, err);
    free(path);
    return status;
}

static int describe(const struct mf_base *b, const struct mf_tokenizer *loaded, struct mf_base_tokenizer *t,
                    struct mf_err *err) {
    snprintf(t->sha256, sizeof t->sha256, "%s", mf_tokenizer_sha256(loaded));
    t->size = mf_tokenizer_size(loaded);
    t->specials = (struct mf_specials){.pad = mf_tokenizer_special(loaded, MF_PAD),
                                       .bos = mf_tokenizer_special(loaded, MF_BOS),
                                       .eos = mf_tokenizer_special(loaded, MF_EOS),
                                       .given = true};
    if (t->size <= b->shape.V) return 0;
    return base_refuse(b, err, "has a tokenizer of %zu tokens, but an embedding of %zu", t->size, b->shape.V);
}

/* Loads the text from the scratch file that has it; messages name the base's file. */
static int load(const struct mf_base *b, int fd, struct mf_base_tokenizer *t, struct mf_err *err) {
    struct mf_tokenizer *loaded;
    struct mf_err why = {0};
    char place[64];
    snprintf(place, sizeof place, "/proc/self/fd/%d", fd);
    if (mf_tokenizer_load(&loaded, place, &why) < 0) {
        size_t n = strncmp(why.text, place, strlen(place)) == 0 ? strlen(place) : 0;
        return mf_err_set(err, why.status, "%s%s%s%s", b->path,
                          b->gguf ? ": its tokenizer" : "/tokenizer.json", n ? "" : ": ", why.text + n);
    }
    int status = describe(b, loaded, t, err);
    mf_tokenizer_free(loaded);
    return status;
}

static int copy(int fd, size_t size, struct mf_out *out, struct mf_err *err) {
    char buffer[65536];
    for (size_t at = 0, n; at < size; at += n) {
        n = size - at < sizeof buffer ? size - at : sizeof buffer;
        if (mf_pread_all(fd, buffer, n, at, "scratch file", err) < 0) return -1;
        if (mf_out_write(out, buffer, n, err) < 0) return -1;
    }
    return 0;
}

/* The text waits in a scratch file while the tokenizer, which is several times as large, is loaded. */
int mf_base_write_tokenizer(const struct mf_base *b, struct mf_out *out, struct mf_base_tokenizer *tokenizer,
                            struct mf_err *err) {
    struct text text = {0};
    if (read_own(b, &text, err) < 0) return -1;
    add_ends(b, &text);
    int fd = mf_scratch_open(err), status = fd < 0 ? -1 : 0;
    if (status == 0) status = mf_write_all(fd, text.bytes, text.size, "scratch file", err);
    free(text.bytes);
    if (status == 0) status = load(b, fd, tokenizer, err);
    if (status == 0) status = copy(fd, text.size, out, err);
    if (fd >= 0) close(fd);
    return status;
}
