/* Numbers about a stream's records: its fields (show_stats.c) and the domains of its documents
 * (show_domains.c). */
#ifndef MF_CLI_SHOW_STATS_H
#define MF_CLI_SHOW_STATS_H

#include "cli/show_internal.h"
#include "io/stream_internal.h"

bool show_is_number(const msgpack_object *value);

struct show_stats;
struct show_stats *show_stats_new(void);
void show_stats_free(struct show_stats *stats);
void show_stats_add(struct show_stats *stats, const struct mf_record *rec);
int show_stats_write(struct mf_out *out, const struct mf_stream_reader *r, const struct show_stats *stats,
                     struct mf_err *err);

/* Documents by domain. Domains are told apart by a hash of the name; those that come after the first
 * SHOW_DOMAINS are counted as one. */
#define SHOW_DOMAINS 4096

struct show_domain {
    uint64_t hash, documents;
    double content; /* bytes of text, or tokens */
    char name[81];
};

/* A zeroed struct is empty. */
struct show_domains {
    struct show_domain *items; /* [2 * SHOW_DOMAINS], by hash; freed by the owner */
    size_t count;
    struct show_domain none, others; /* documents without a domain, and with one too many */
};

/* name NULL: the record has no domain. */
void show_domains_add(struct show_domains *domains, const char *name, size_t size, double content);

/* Writes nothing where no record has a domain. */
int show_domains_write(struct mf_out *out, const struct show_domains *domains, struct mf_err *err);

#endif
