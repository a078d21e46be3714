/* Compares each slice with the file that is there before it writes. */
#include "cli/config_slices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/memory.h"
#include "base/strings.h"
#include "io/file.h"

char *mf_config_text(const struct mf_config *config, const char *stage, size_t *size) {
    char *text;
    FILE *memory = open_memstream(&text, size);
    if (!memory || mf_config_print(config, stage, memory) < 0 || fclose(memory) != 0) mf_no_memory();
    return text;
}

/* Is the file there with exactly these bytes? */
static bool holds(const char *path, const char *text, size_t size) {
    unsigned char *bytes;
    size_t have;
    struct mf_err ignored;
    if (mf_read_all(path, size + 1, &bytes, &have, &ignored) < 0) return false;
    bool same = have == size && memcmp(bytes, text, size) == 0;
    free(bytes);
    return same;
}

/* Writes FOLDER/STAGE.yaml unless it has these values, or in a dry run adds its name to `names`. */
static int write_slice(const struct mf_config *config, const char *folder, const char *stage, FILE *names,
                       struct mf_err *err) {
    size_t size;
    int status = 0;
    char *path = mf_format("%s/%s.yaml", folder, stage), *text = mf_config_text(config, stage, &size);
    if (!holds(path, text, size)) {
        if (names)
            fprintf(names, "%s\n", path);
        else
            status = mf_out_whole(path, text, size, err);
    }
    free(path);
    free(text);
    return status;
}

static int each_slice(const struct mf_config *config, const char *folder, FILE *names, struct mf_err *err) {
    for (const char *const *stage = mf_config_stages(); *stage; stage++)
        if (write_slice(config, folder, *stage, names, err) < 0) return -1;
    return 0;
}

int mf_config_slices_name(const struct mf_config *config, const char *folder, struct mf_err *err) {
    char *text;
    size_t size;
    FILE *names = open_memstream(&text, &size);
    if (!names) mf_no_memory();
    int status = each_slice(config, folder, names, err);
    if (fclose(names) != 0) mf_no_memory();
    if (status == 0) status = mf_out_whole(NULL, text, size, err);
    free(text);
    return status;
}

int mf_config_slices_write(const struct mf_config *config, const char *folder, struct mf_err *err) {
    struct stat st;
    if (mkdir(folder, 0777) < 0 && (stat(folder, &st) < 0 || !S_ISDIR(st.st_mode)))
        return mf_err_sys(err, EX_CANTCREAT, "%s", folder);
    return each_slice(config, folder, NULL, err);
}
