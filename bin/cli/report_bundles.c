/* The bundles beside the model: what they say of themselves, and whether the model was made of them. */
#include "cli/report_internal.h"

#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "io/safetensors.h"
#include "model/component.h"

/* The hash of one of the model's experts, as its metadata say; NULL: they do not. */
static const char *hash_of(const json_t *entries, size_t e) {
    return json_string_value(json_object_get(json_array_get(entries, e), "sha256"));
}

/* Its place among the model's experts; -1 where the metadata name none. EX_DATAERR: they name others. */
static int find_expert(const struct mf_component *p, const char *model, const json_t *entries, int64_t *place,
                       struct mf_err *err) {
    size_t n = json_array_size(entries), known = 0;
    *place = -1;
    for (size_t e = 0; e < n; e++) {
        const char *hash = hash_of(entries, e);
        known += hash != NULL;
        if (hash && strcmp(hash, p->hash) == 0) *place = (int64_t)e;
    }
    if (*place >= 0 || !entries || known < n) return 0;
    return mf_err_set(err, EX_DATAERR, "%s: not an expert of %s (%.12s)", p->name, model, p->hash);
}

static int read_expert(struct report_maker *m, size_t e, const json_t *entries, char (*hashes)[65],
                       struct mf_err *err) {
    const struct mf_strs *files = m->files->experts;
    struct mf_component p;
    if (mf_component_open(&p, files->items[e], "expert", err) < 0) return -1;
    const json_t *meta = mf_bundle_meta(p.bundle), *partition = json_object_get(meta, "partition");
    const json_t *best = json_object_get(json_object_get(meta, "training"), "best_step");
    m->of_expert[e] = partition ? json_integer_value(partition) : -1;
    m->unimproved += best && json_integer_value(best) == 0;
    memcpy(hashes[e], p.hash, sizeof hashes[e]);
    int status = find_expert(&p, m->files->model, entries, &m->place[e], err);
    mf_component_close(&p);
    for (size_t i = 0; i < e && status == 0; i++)
        if (strcmp(hashes[i], hashes[e]) == 0)
            status =
                mf_err_set(err, EX_DATAERR, "%s: the same expert as %s", files->items[e], files->items[i]);
    return status;
}

static int read_experts(struct report_maker *m, struct mf_err *err) {
    size_t E = m->files->experts->count;
    char(*hashes)[65] = calloc(E + 1, sizeof *hashes);
    json_t *entries = mf_session_entries(m->s->moe);
    m->of_expert = calloc(E + 1, sizeof *m->of_expert);
    m->place = calloc(E + 1, sizeof *m->place);
    if (!hashes || !m->of_expert || !m->place) mf_no_memory();
    int status = 0;
    for (size_t e = 0; e < E && status == 0; e++) status = read_expert(m, e, entries, hashes, err);
    json_decref(entries);
    free(hashes);
    return status;
}

static int read_shared(struct report_maker *m, struct mf_err *err) {
    const struct mf_safetensors *model = mf_moe_model(m->s->moe);
    const json_t *hash = model ? json_object_get(mf_safetensors_metadata(model), "shared_sha256") : NULL;
    struct mf_component p;
    if (!m->files->shared) return 0;
    if (mf_component_open(&p, m->files->shared, "shared", err) < 0) return -1;
    m->imported = json_object_get(mf_bundle_meta(p.bundle), "base") != NULL;
    bool other = hash && strcmp(json_string_value(hash), p.hash) != 0;
    int status = !other ? 0
                        : mf_err_set(err, EX_DATAERR, "%s: not the shared bundle of %s: %.12s, not %.12s",
                                     p.name, m->files->model, p.hash, json_string_value(hash));
    mf_component_close(&p);
    return status;
}

int report_bundles(struct report_maker *m, struct mf_err *err) {
    return read_shared(m, err) < 0 ? -1 : read_experts(m, err);
}
