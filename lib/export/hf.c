/* The folder as a whole. */
#include "export/hf.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/strings.h"
#include "export/hf_internal.h"
#include "io/json_file.h"

/* --- what may be replaced --- */

static bool is_ours(const char *name) {
    static const char *const names[] = {"config.json",
                                        "generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "README.md",
                                        "model.safetensors",
                                        "model.safetensors.index.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    size_t n = strlen("model-00001-of-00002");
    return strncmp(name, "model-", 6) == 0 && strlen(name) > n && strcmp(name + n, ".safetensors") == 0;
}

/* The first file in an open folder that we do not write, or NULL; counts the files. */
static char *foreign_file(DIR *dir, size_t *files) {
    for (struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        ++*files;
        if (!is_ours(e->d_name)) return mf_format("%s", e->d_name);
    }
    return NULL;
}

static bool is_marked(const char *folder) {
    struct mf_err unread;
    char *path = mf_format("%s/config.json", folder);
    json_t *config = mf_json_read(path, (size_t)1 << 20, 0, &unread);
    bool marked = json_object_get(config, HF_MARK) != NULL;
    json_decref(config);
    free(path);
    return marked;
}

/* A folder that is there has to be empty or one of ours. */
static int check_target(const char *folder, struct mf_err *err) {
    size_t files = 0;
    DIR *dir = opendir(folder);
    if (!dir && errno == ENOENT) return 0;
    if (!dir) return mf_err_sys(err, EX_CANTCREAT, "%s", folder);
    char *foreign = foreign_file(dir, &files);
    closedir(dir);
    int status = 0;
    if (foreign)
        status =
            mf_err_set(err, EX_CANTCREAT, "%s: holds '%s', which mf-export did not write", folder, foreign);
    else if (files > 0 && !is_marked(folder))
        status = mf_err_set(err, EX_CANTCREAT,
                            "%s: another program wrote it (its config.json has no " HF_MARK ")", folder);
    free(foreign);
    return status;
}

/* --- the folder --- */

int mf_hf_write(struct mf_hf *hf, struct mf_err *err) {
    struct mf_folder *folder;
    hf->shards = 0;
    hf->bytes = 0;
    if (check_target(hf->folder, err) < 0 || mf_folder_open(&folder, hf->folder, err) < 0) return -1;
    int status = hf_config(hf, folder, err);
    if (status == 0) status = hf_tokenizer(hf, folder, err);
    if (status == 0) status = hf_tensors(hf, folder, err);
    if (status == 0) status = hf_card(hf, folder, err);
    return mf_folder_end(folder, status, err);
}
