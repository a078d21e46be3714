/* The list of temporary files of a process, so that a signal that ends it leaves none behind. */
#ifndef MF_BASE_TEMPFILE_H
#define MF_BASE_TEMPFILE_H

struct mf_tempfile;

/* Remembers `path` (copied), of a file or of a folder that will hold only remembered files. The first call
 * makes SIGINT, SIGTERM, SIGHUP and SIGPIPE remove all remembered files before they end the process, each
 * only where its action is the default one; and makes SIGXFSZ, where it is the default, a failing write
 * (EFBIG) instead. Ends the process when memory is out (base/memory.h). May be called from several threads.
 */
struct mf_tempfile *mf_tempfile_add(const char *path);

/* Forgets it: the file has its final name now, or is gone. */
void mf_tempfile_drop(struct mf_tempfile *temp);

/* Removes all remembered files. May be called from a signal handler. */
void mf_tempfiles_remove(void);

/* Makes SIGXFSZ, where it is the default, a failing write as above: for files that are in no list, since they
 * have no name. */
void mf_tempfile_nameless(void);

/* The folder for scratch files, borrowed; NULL or "" is /tmp, as when it was never set. Set before threads
 * start. */
void mf_tempfile_folder_set(const char *folder);
const char *mf_tempfile_folder(void);

#endif
