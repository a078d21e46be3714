/* Documents out of folders, text files, JSON lines, WikiText, and archives and compressed files of these.
 *
 * Each is read in one pass and handed on as it comes; at most one document is in memory. */
#ifndef MF_TEXT_DOCS_H
#define MF_TEXT_DOCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/strings.h"
#include "text/doc.h"

/* The largest document, in bytes. */
#define MF_DOC_LIMIT ((size_t)1 << 30)

enum mf_docs_format { MF_DOCS_AUTO, MF_DOCS_TEXT, MF_DOCS_JSONL, MF_DOCS_WIKITEXT };

/* Why a file is left out. */
enum mf_docs_left {
    MF_DOCS_NO_TEXT, /* its name or its first bytes say that it is no text */
    MF_DOCS_OWN,     /* a program of ours wrote it: a stream, bundle, model, report, or the folder of a run */
    MF_DOCS_LEFT
};

/* One of several jobs that read an input together: the files, in their order, are cut into `count` runs of
 * about equal bytes, and each job reads those of its number. A file belongs to the run in which it begins. */
struct mf_docs_shard {
    uint64_t number, count;
    /* Of the input, summed up by mf_docs_measure: bytes of its files, and a hash of their names and sizes, by
     * which jobs can tell that they met the same ones. */
    uint64_t bytes, files;
    uint64_t at, met; /* the same of what reading came past so far; they differ where files changed since */
};

struct mf_docs_options {
    /* AUTO: by the name (.jsonl, .ndjson), else by the first line: a JSON object with the text's key, a
     * heading " = Title = ", else text. */
    enum mf_docs_format format;
    const char *text_key, *id_key, *domain_key; /* of JSON lines */
    const char *domain;                         /* for all documents, or NULL */
    bool domain_from_folder;                    /* the first folder below the given path names the domain */
    bool all;                                   /* also what is no text */
    struct mf_docs_shard *shard;                /* read only these; or NULL */
    void *context;                              /* for those below */
    /* Takes a document: 0 to go on, 1 when it was enough, -1. */
    int (*take)(void *context, const struct mf_doc *doc, struct mf_err *err);
    /* Told of a file that is left out; may be NULL. */
    void (*left)(void *context, enum mf_docs_left why, const char *name);
    /* Asked about a line that is no JSON object with the text: true to leave it out. NULL: never. */
    bool (*bad)(void *context, const struct mf_err *why);
};

/* Reads all paths ("-": standard input, also where there is none). Folders are read in the order of their
 * names' bytes, hidden files left out; so are those of an archive's members. Ids are paths below the given
 * one; of JSON lines the field or FILE:LINE; of WikiText FILE#NUMBER. An archive that is no regular file is
 * copied to a scratch file first. Returns what the last `take` did, or -1: EX_NOINPUT; EX_DATAERR: a line
 * that is no JSON object with the text's key (file and line are named), a damaged or cut off archive, a
 * document over the limit; others as reading a file. */
int mf_docs_read(const struct mf_strs *paths, const struct mf_docs_options *options, struct mf_err *err);

/* Adds up the files that mf_docs_read would read, without opening them, in `options->shard`, which is to be
 * done before. EX_NOINPUT. */
int mf_docs_measure(const struct mf_strs *paths, const struct mf_docs_options *options, struct mf_err *err);

#endif
