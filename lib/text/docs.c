/* Walking folders and opening files. */
#include "text/docs.h"

#include <endian.h>
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include "base/memory.h"
#include "base/strings.h"
#include "text/docs_internal.h"

static int64_t read_input(void *context, void *buffer, size_t size, struct mf_err *err) {
    struct docs_input *input = context;
    int64_t n = mf_in_read(input->in, buffer, size, err);
    if (n > 0) input->root->packed += (uint64_t)n;
    return n;
}

int docs_input_open(struct docs_input *input, const struct docs_place *place, struct mf_err *err) {
    *input = (struct docs_input){.root = place->root};
    const struct mf_source source = {read_input, input, place->name, &place->root->packed};
    if (mf_in_open(&input->in, place->path, err) < 0) return -1;
    if (mf_unpack_open(&input->unpack, &source, MF_UNPACK_LAYERS, err) == 0) return 0;
    docs_input_close(input);
    return -1;
}

void docs_input_close(struct docs_input *input) {
    mf_unpack_close(input->unpack);
    mf_in_close(input->in);
    *input = (struct docs_input){0};
}

/* A file, or standard input for NULL. */
static int read_file(const char *path, const char *id, const char *domain, size_t domain_size,
                     const struct mf_docs_options *o, struct mf_err *err) {
    struct docs_root root = {.name = path ? path : "standard input"};
    struct docs_place place = {.path = path,
                               .name = root.name,
                               .id = id,
                               .domain = domain,
                               .domain_size = domain_size,
                               .root = &root};
    struct docs_input input;
    if (docs_input_open(&input, &place, err) < 0) return -1;
    if (mf_in_size(input.in) < 0) place.path = NULL; /* a pipe cannot be opened again */
    int status = docs_content(input.unpack, &place, o, err);
    docs_input_close(&input);
    return status;
}

/* --- shards --- */

/* A walk over an input that reads its files, or only measures them. */
struct walk {
    const struct mf_docs_options *o;
    bool measures;
};

/* What is no regular file has no size before it is read. */
static uint64_t file_size(const struct stat *st) {
    return S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
}

/* Goes past a file or what is left out: is it this walk's to read or to tell? */
static bool is_ours(const struct walk *w, const char *name, uint64_t size) {
    struct mf_docs_shard *s = w->o->shard;
    if (!s) return true;
    uint64_t *files = w->measures ? &s->files : &s->met, at = s->at, bytes = htole64(size);
    *files = XXH64(&bytes, sizeof bytes, XXH64(name, strlen(name), *files));
    *(w->measures ? &s->bytes : &s->at) += size;
    return !w->measures && at / (s->bytes / s->count + 1) == s->number;
}

/* --- folders --- */

static int by_name(const FTSENT **a, const FTSENT **b) {
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* The folder of a run: what make keeps there is no text to learn from. */
static bool is_run(const char *folder) {
    static const char *const files[] = {"inputs.list", "config/docs.yaml"};
    int found = 0;
    for (size_t i = 0; i < 2; i++) {
        char *path = mf_format("%s/%s", folder, files[i]);
        found += access(path, F_OK) == 0;
        free(path);
    }
    return found == 2;
}

static void leave(const struct walk *w, enum mf_docs_left why, const char *path) {
    if (is_ours(w, path, 0) && w->o->left) w->o->left(w->o->context, why, path);
}

/* One entry of the walk. `root` is the length of the given path with its slash. */
static int visit(const struct walk *w, FTS *walk, FTSENT *e, size_t root, struct mf_err *err) {
    if (e->fts_level > 0 && docs_is_hidden(e->fts_name) && e->fts_info != FTS_DP) {
        if (e->fts_info == FTS_D) fts_set(walk, e, FTS_SKIP);
        return 0;
    }
    if (e->fts_info == FTS_D && is_run(e->fts_path)) {
        fts_set(walk, e, FTS_SKIP);
        leave(w, MF_DOCS_OWN, e->fts_path);
        return 0;
    }
    if (e->fts_info == FTS_ERR || e->fts_info == FTS_DNR || e->fts_info == FTS_NS) {
        errno = e->fts_errno;
        return mf_err_sys(err, EX_NOINPUT, "%s", e->fts_path);
    }
    if (e->fts_info != FTS_F) return 0;
    if (!w->o->all && docs_names_no_text(e->fts_name)) {
        leave(w, MF_DOCS_NO_TEXT, e->fts_path);
        return 0;
    }
    const char *below = e->fts_path + root, *slash = strchr(below, '/');
    bool folder = w->o->domain_from_folder && slash;
    if (!is_ours(w, below, file_size(e->fts_statp))) return 0;
    return read_file(e->fts_path, below, folder ? below : NULL, folder ? (size_t)(slash - below) : 0, w->o,
                     err);
}

static int walk_folder(const struct walk *w, const char *path, struct mf_err *err) {
    char *copy = strdup(path);
    if (!copy) mf_no_memory();
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--) copy[n - 1] = 0;
    char *const paths[] = {copy, NULL};
    size_t root = strcmp(copy, "/") == 0 ? 1 : strlen(copy) + 1;
    FTS *walk = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    int status = walk ? 0 : mf_err_sys(err, EX_NOINPUT, "%s", path);
    FTSENT *e;
    while (status == 0 && (errno = 0, e = fts_read(walk))) status = visit(w, walk, e, root, err);
    if (status == 0 && errno) status = mf_err_sys(err, EX_NOINPUT, "%s", path);
    if (walk) fts_close(walk);
    free(copy);
    return status;
}

static int read_path(const struct walk *w, const char *path, struct mf_err *err) {
    bool standard = !path || strcmp(path, "-") == 0;
    struct stat st = {0};
    if (!standard && stat(path, &st) < 0) return mf_err_sys(err, EX_NOINPUT, "%s", path);
    if (S_ISDIR(st.st_mode)) return walk_folder(w, path, err);
    const char *slash = standard ? NULL : strrchr(path, '/');
    const char *id = standard ? "standard input" : slash && slash[1] ? slash + 1 : path;
    if (!is_ours(w, id, file_size(&st))) return 0;
    return read_file(standard ? NULL : path, id, NULL, 0, w->o, err);
}

static int read_all(const struct walk *w, const struct mf_strs *paths, struct mf_err *err) {
    int status = paths->count == 0 ? read_path(w, NULL, err) : 0;
    for (size_t i = 0; i < paths->count && status == 0; i++) status = read_path(w, paths->items[i], err);
    return status;
}

int mf_docs_read(const struct mf_strs *paths, const struct mf_docs_options *o, struct mf_err *err) {
    const struct walk walk = {o, false};
    return read_all(&walk, paths, err);
}

int mf_docs_measure(const struct mf_strs *paths, const struct mf_docs_options *o, struct mf_err *err) {
    const struct walk walk = {o, true};
    return read_all(&walk, paths, err);
}
