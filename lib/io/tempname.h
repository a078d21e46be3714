/* Names of temporaries beside their target: `.NAME.XXXXXX.tmp` in its folder, of files and of folders. */
#ifndef MF_IO_TEMPNAME_H
#define MF_IO_TEMPNAME_H

/* The folder that a path is in: "." of a bare name. New. */
char *mf_tempname_folder(const char *target);

/* A name beside the target that nothing has yet, most likely. New. */
char *mf_tempname_new(const char *target);

/* Calls `remove` for each temporary of this target that nobody has locked: its writer was killed. `flags`:
 * O_DIRECTORY where the temporaries are folders, or 0. */
void mf_tempname_clean(const char *target, int flags, void (*remove)(const char *path));

#endif
