/* The domains of a stream's documents. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "cli/show_stats.h"

#define SHOWN 20
#define SLOTS ((size_t)2 * SHOW_DOMAINS)
#define WIDTH 20 /* characters of a name */

static void count(struct show_domain *d, double content) {
    d->documents++;
    d->content += content;
}

void show_domains_add(struct show_domains *d, const char *name, size_t size, double content) {
    if (!name) {
        count(&d->none, content);
        return;
    }
    if (!d->items && !(d->items = calloc(SLOTS, sizeof *d->items))) mf_no_memory();
    uint64_t hash = XXH3_64bits(name, size);
    size_t i = (size_t)hash % SLOTS;
    while (d->items[i].documents && d->items[i].hash != hash) i = (i + 1) % SLOTS;
    struct show_domain *item = &d->items[i];
    if (item->documents == 0 && d->count == SHOW_DOMAINS) {
        count(&d->others, content);
        return;
    }
    if (item->documents == 0) {
        item->hash = hash;
        mf_show_clean(item->name, name, size, WIDTH);
        d->count++;
    }
    count(item, content);
}

/* The most documents first, then by name. */
static int by_documents(const void *a, const void *b) {
    const struct show_domain *x = *(const struct show_domain *const *)a,
                             *y = *(const struct show_domain *const *)b;
    if (x->documents != y->documents) return x->documents < y->documents ? 1 : -1;
    return strcmp(x->name, y->name);
}

static int write_domain(struct mf_out *out, const char *name, const struct show_domain *d,
                        struct mf_err *err) {
    if (d->documents == 0) return 0;
    return mf_out_printf(out, err, "%-28s %10llu %12.12g\n", name, (unsigned long long)d->documents,
                         d->content);
}

int show_domains_write(struct mf_out *out, const struct show_domains *d, struct mf_err *err) {
    const struct show_domain *order[SHOW_DOMAINS];
    struct show_domain rest = d->others;
    char title[64];
    size_t n = 0;
    if (d->count == 0) return 0;
    for (size_t i = 0; i < SLOTS; i++)
        if (d->items[i].documents) order[n++] = &d->items[i];
    qsort((void *)order, n, sizeof(struct show_domain *), by_documents);
    snprintf(title, sizeof title, "domain (of %zu%s)", n, d->others.documents ? " and more" : "");
    int status = mf_out_printf(out, err, "\n%-28s %10s %12s\n", title, "documents", "length");
    for (size_t i = 0; i < n; i++) {
        if (i < SHOWN && status == 0) status = write_domain(out, order[i]->name, order[i], err);
        if (i < SHOWN) continue;
        rest.documents += order[i]->documents;
        rest.content += order[i]->content;
    }
    if (status == 0) status = write_domain(out, "(others)", &rest, err);
    return status < 0 ? -1 : write_domain(out, "(none)", &d->none, err);
}
