/* Writes partition files beside the old ones and swaps only those that differ. */
#include "partition/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/tempfile.h"
#include "io/file.h"

#define SAVED "partition.mp"

struct partition_file {
    struct mf_out *out;
    struct mf_stream_writer *writer;
    struct mf_tempfile *temp; /* the new file is complete under its temporary name */
    uint64_t used;            /* the turn it was last written in; 0 while it has no descriptor */
};

struct mf_partition_files {
    char *folder, *path, *new_path; /* room for one path in the folder, and for its temporary one */
    bool labelled;                  /* labels are in the records */
    const char *suffix;             /* of the partitions' names */
    size_t capacity, E;
    size_t open, max; /* descriptors of partitions, as many as there may be */
    uint64_t turn;
    struct partition_file *partitions; /* [E + 1]; the last is partition.mp, without a writer of ours */
};

/* Sets path and new_path to file e of the folder: "part.e.mp" and ".part.e.mp.new", or "part.e.mf" ... */
static void set_paths(struct mf_partition_files *files, size_t e) {
    char name[40];
    if (e < files->E)
        snprintf(name, sizeof name, "part.%zu.%s", e, files->suffix);
    else
        snprintf(name, sizeof name, SAVED);
    snprintf(files->path, files->capacity, "%s/%s", files->folder, name);
    snprintf(files->new_path, files->capacity, "%s/.%s.new", files->folder, name);
}

void mf_partition_files_abandon(struct mf_partition_files *files) {
    if (!files) return;
    bool whole = files->partitions && files->folder && files->path && files->new_path;
    for (size_t e = 0; whole && e <= files->E; e++) {
        mf_stream_drop(files->partitions[e].writer);
        mf_out_abandon(files->partitions[e].out);
        set_paths(files, e);
        if (!files->partitions[e].temp) continue;
        unlink(files->new_path);
        mf_tempfile_drop(files->partitions[e].temp);
    }
    free(files->partitions);
    free(files->folder);
    free(files->path);
    free(files->new_path);
    free(files);
}

#define OTHERS ((rlim_t)24) /* descriptors for what else is open */

/* Of `count` files, how many may be open at once: the soft limit goes up as far as that takes and the hard
 * one lets it. Where that is not enough, files are opened in turns. */
static size_t allow_files(size_t count) {
    struct rlimit limit;
    rlim_t wanted = count + OTHERS;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return count;
    if (limit.rlim_cur < wanted) {
        struct rlimit higher = {wanted < limit.rlim_max ? wanted : limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &higher) == 0) limit = higher;
    }
    if (limit.rlim_cur >= wanted) return count;
    return limit.rlim_cur > OTHERS ? (size_t)(limit.rlim_cur - OTHERS) : 1;
}

/* Part e is written now: where all descriptors are taken, the one that waited longest gives its own. */
static int take_turn(struct mf_partition_files *files, size_t e, struct mf_err *err) {
    struct partition_file *partition = &files->partitions[e], *oldest = NULL;
    if (partition->used == 0) {
        for (size_t i = 0; i < files->E && files->open == files->max; i++) {
            struct partition_file *p = &files->partitions[i];
            if (p->used && (!oldest || p->used < oldest->used)) oldest = p;
        }
        if (oldest) {
            if (mf_out_rest(oldest->out, err) < 0) return -1;
            oldest->used = 0;
            files->open--;
        }
        files->open++;
    }
    partition->used = ++files->turn;
    return 0;
}

static int open_partition(struct mf_partition_files *files, size_t e, const struct mf_tokens_header *header,
                          struct mf_err *err) {
    struct partition_file *partition = &files->partitions[e];
    set_paths(files, e);
    if (take_turn(files, e, err) < 0 || mf_out_open(&partition->out, files->new_path, err) < 0) return -1;
    return mf_tokens_create(&partition->writer, partition->out, header, files->labelled ? -1 : (int64_t)e,
                            err);
}

int mf_partition_files_open(struct mf_partition_files **out, const char *folder,
                            const struct mf_tokens_header *header, size_t E, bool labelled,
                            struct mf_err *err) {
    if (mf_folder_make(folder, err) < 0) return -1;
    struct mf_partition_files *files = calloc(1, sizeof *files);
    if (!files) return mf_err_set(err, EX_OSERR, "out of memory");
    files->E = E;
    files->labelled = labelled;
    files->suffix = labelled ? "mf" : "mp";
    files->capacity = strlen(folder) + 60;
    files->folder = strdup(folder);
    files->path = malloc(files->capacity);
    files->new_path = malloc(files->capacity);
    files->partitions = calloc(E + 1, sizeof *files->partitions);
    int result = 0;
    files->max = allow_files(E);
    if (!files->folder || !files->path || !files->new_path || !files->partitions)
        result = mf_err_set(err, EX_OSERR, "out of memory for %zu partitions", E);
    for (size_t e = 0; result == 0 && e < E; e++) result = open_partition(files, e, header, err);
    if (result == 0) {
        *out = files;
        return 0;
    }
    mf_partition_files_abandon(files);
    return -1;
}

int mf_partition_files_add(struct mf_partition_files *files, size_t e, const struct mf_record *record,
                           struct mf_err *err) {
    if (take_turn(files, e, err) < 0) return -1;
    return mf_stream_copy(files->partitions[e].writer, record, err);
}

int mf_partition_files_put(struct mf_partition_files *files, size_t e, const struct mf_token_doc *doc,
                           struct mf_err *err) {
    if (take_turn(files, e, err) < 0) return -1;
    return mf_tokens_put(files->partitions[e].writer, doc, err);
}

/* Completes file e under its temporary name. */
static int finish(struct mf_partition_files *files, size_t e, struct mf_err *err) {
    struct partition_file *partition = &files->partitions[e];
    if (partition->writer) {
        if (take_turn(files, e, err) < 0) return -1;
        struct mf_stream_writer *writer = partition->writer;
        partition->writer = NULL;
        if (mf_stream_finish(writer, err) < 0) return -1;
    }
    struct mf_out *out = partition->out;
    partition->out = NULL;
    files->open -= partition->used > 0;
    partition->used = 0;
    set_paths(files, e);
    partition->temp = mf_tempfile_add(files->new_path);
    return mf_out_commit(out, err);
}

/* Removes "part.N.mp" (or .mf) with N >= E: left by a partitioning into more partitions, they would be taken
 * for partitions of this. */
static int remove_stale(struct mf_partition_files *files, struct mf_err *err) {
    DIR *folder = opendir(files->folder);
    if (!folder) return mf_err_sys(err, EX_CANTCREAT, "%s", files->folder);
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        char again[40], *end;
        if (strncmp(entry->d_name, "part.", 5) != 0 || entry->d_name[5] < '0' || entry->d_name[5] > '9')
            continue;
        unsigned long long number = strtoull(entry->d_name + 5, &end, 10);
        snprintf(again, sizeof again, "part.%llu.%s", number, files->suffix);
        if (strcmp(again, entry->d_name) != 0 || number < files->E) continue;
        snprintf(files->path, files->capacity, "%s/%s", files->folder, again);
        unlink(files->path);
    }
    closedir(folder);
    return 0;
}

static int write_saved(struct mf_partition_files *files, const struct mf_partition *saved,
                       struct mf_err *err) {
    struct partition_file *last = &files->partitions[files->E];
    set_paths(files, files->E);
    return mf_out_open(&last->out, files->new_path, err) < 0 ? -1 : mf_partition_write(saved, last->out, err);
}

int mf_partition_files_commit(struct mf_partition_files *files, const struct mf_partition *saved,
                              size_t *changed, struct mf_err *err) {
    size_t count = files->E + (saved != NULL);
    int result = saved ? write_saved(files, saved, err) : 0;
    *changed = 0;
    for (size_t e = 0; result == 0 && e < count; e++) result = finish(files, e, err);
    for (size_t e = 0; result == 0 && e < count; e++) {
        set_paths(files, e);
        if (mf_file_same(files->path, files->new_path)) continue;
        if (saved && e < files->E && saved->sizes[e] == 0 && access(files->path, F_OK) == 0) continue;
        if (rename(files->new_path, files->path) < 0) {
            result = mf_err_sys(err, EX_CANTCREAT, "%s: cannot put it in place", files->path);
        } else {
            mf_tempfile_drop(files->partitions[e].temp);
            files->partitions[e].temp = NULL;
        }
        *changed += e < files->E;
    }
    if (result == 0) result = remove_stale(files, err);
    if (result == 0) result = mf_folder_sync(files->folder, err);
    mf_partition_files_abandon(files); /* removes the new files that equal the old */
    return result;
}
