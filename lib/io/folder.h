/* A folder of files that is whole or not there.
 *
 * Its files are written into `.NAME.XXXXXX.tmp` beside the target, which is locked (flock) while its writer
 * lives. Commit gives it the target's name; a folder that was there is replaced in one step where the file
 * system can exchange names. Opening removes folders of the same target whose writer is gone; a signal that
 * ends the process removes the one that is being written (base/tempfile.h). */
#ifndef MF_IO_FOLDER_H
#define MF_IO_FOLDER_H

#include "base/err.h"

struct mf_folder;

/* Begins the folder `path`, whose parent has to be there. Whether a folder that is there may be replaced is
 * for the caller to say, before. EX_CANTCREAT. */
int mf_folder_open(struct mf_folder **folder, const char *path, struct mf_err *err);

/* The path to which a file `name` of the folder is written (mf_out_open); borrowed until commit or abandon.
 * Each name once. */
const char *mf_folder_file(struct mf_folder *folder, const char *name);

/* Makes the folder real and frees it, also when that fails: then nothing is left behind. EX_CANTCREAT,
 * EX_IOERR. */
int mf_folder_commit(struct mf_folder *folder, struct mf_err *err);

/* Removes what was written. Accepts NULL. */
void mf_folder_abandon(struct mf_folder *folder);

/* Commits unless `status`, that of writing the files, is negative: then abandons. Returns 0, or -1 when
 * either failed. */
int mf_folder_end(struct mf_folder *folder, int status, struct mf_err *err);

#endif
