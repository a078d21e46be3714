/* Cuts a file into lines. */
#include "io/lines.h"

#include <stdlib.h>
#include <string.h>
#include "io/file.h"

#define LIMIT ((size_t)64 << 20)

int mf_lines_add(struct mf_strs *list, char **text, const char *path, const char *output,
                 struct mf_err *err) {
    unsigned char *bytes;
    size_t size;
    *text = NULL;
    if (!path) return 0;
    if (mf_read_all(path, LIMIT, &bytes, &size, err) < 0) return -1;
    *text = (char *)bytes; /* ends with a zero byte */
    if (strlen(*text) != size) return mf_err_set(err, EX_DATAERR, "%s: a zero byte in a list of names", path);
    char *state = NULL;
    for (char *line = strtok_r(*text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
        if (mf_out_check_input(output, "output", line, err) < 0) return -1;
        mf_strs_add(list, line);
    }
    return 0;
}
