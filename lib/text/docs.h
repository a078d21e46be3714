/* Documents out of folders, text files, JSON lines, WikiText, and archives and compressed files of these.
 *
 * Each is read in one pass and handed on as it comes; at most one document is in memory. */
#ifndef MF_TEXT_DOCS_H
#define MF_TEXT_DOCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* The largest document, in bytes. */
#define MF_DOC_LIMIT ((size_t)1 << 30)

enum mf_docs_format { MF_DOCS_AUTO, MF_DOCS_TEXT, MF_DOCS_JSONL, MF_DOCS_WIKITEXT };

struct mf_doc {
    const char *id, *text, *domain; /* borrowed, not zero-terminated; domain NULL when there is none */
    size_t id_size, size, domain_size;
};

struct mf_docs_options {
    /* AUTO: by the name (.jsonl, .ndjson), else by a first heading " = Title = ", else text. */
    enum mf_docs_format format;
    const char *text_key, *id_key, *domain_key; /* of JSON lines */
    const char *domain;                         /* for all documents, or NULL */
    bool domain_from_folder;                    /* the first folder below the given path names the domain */
    void *context;                              /* for the two below */
    /* Takes a document: 0 to go on, 1 when it was enough, -1. */
    int (*take)(void *context, const struct mf_doc *doc, struct mf_err *err);
    /* Told of a file in a folder that is left out since its name says that it is no text; may be NULL. */
    void (*skipped)(void *context, const char *path);
};

/* Reads `path` (NULL or "-": standard input). Folders are read in the order of their names' bytes, hidden
 * files left out. Ids are paths below the given one; of JSON lines the field or FILE:LINE; of WikiText
 * FILE#NUMBER. Returns what the last `take` did, or -1: EX_NOINPUT; EX_DATAERR: a line that is no JSON object
 * with the text's key (file and line are named), a damaged archive, a document over the limit. */
int mf_docs_read(const char *path, const struct mf_docs_options *options, struct mf_err *err);

#endif
