/* The table of mf-docs. */
#include "cli/docs_summary.h"

#include <stdio.h>

static void print_named(const struct mf_named *l, const char *before, const char *what,
                        const char *separator) {
    if (l->count == 0) return;
    fprintf(stderr, "mf-docs: %s%llu %s:", before, (unsigned long long)l->count, what);
    for (uint64_t i = 0; i < l->count && i < MF_NAMED; i++)
        fprintf(stderr, "%s%s", i ? separator : " ", l->first[i].text);
    fputs(l->count > MF_NAMED ? ", ...\n" : "\n", stderr);
}

static void row(const char *name, struct mf_tally t) {
    fprintf(stderr, "%-14s %12llu %15llu\n", name, (unsigned long long)t.documents,
            (unsigned long long)t.bytes);
}

/* What a pipeline will lack that trains, validates and tests on the splits. */
static void warn_of_empty(const struct mf_selection *s) {
    static const char *const without[MF_SPLITS] = {[MF_TRAIN] = "nothing can be trained",
                                                   [MF_VAL] = "nothing can be validated or calibrated",
                                                   [MF_TEST] = "the report will have no figures"};
    for (int split = 0; split < MF_SPLITS; split++) {
        const char *name = mf_split_names[split];
        if (s->kept[split].documents > 0) continue;
        fprintf(stderr, "mf-docs: no document for %s, so %s", name, without[split]);
        if (split == MF_TRAIN)
            fputs(" (smaller docs.val_fraction and docs.test_fraction help, or more text)\n", stderr);
        else
            fprintf(stderr,
                    " (docs.%s_fraction, docs.min_targets and docs.blocks above 0 help, or more text)\n",
                    name);
    }
}

void mf_docs_plan_print(double near, size_t max_memory, size_t memory) {
    struct mf_copies_plan plan = mf_copies_plan(near, memory);
    fprintf(
        stderr,
        "mf-docs: memory %.0f MB: program %.0f, sorting %.0f (%llu documents at once), deciding %.0f (%llu documents "
        "at once), queues %.0f\n",
        (double)max_memory / 1e6, (double)(max_memory - memory) / 1e6, (double)plan.sort / 1e6,
        (unsigned long long)plan.per_run, (double)plan.state / 1e6, (unsigned long long)plan.per_range,
        (double)plan.queues / 1e6);
}

void mf_docs_summary_print(const struct mf_docs_summary *d, const struct mf_selection *s) {
    fprintf(stderr, "%-14s %12s %15s\n", "mf-docs", "documents", "bytes");
    row("read", s->read);
    if (s->brief.documents) row("too short", s->brief);
    row("exact copies", s->exact);
    row("near copies", s->near);
    if (s->cut.documents) row("blocks", s->cut);
    if (s->parts.documents) row("parts", s->parts);
    for (int split = 0; split < MF_SPLITS && s->splitting; split++)
        row(mf_split_names[split], s->kept[split]);
    row("written", d->written);
    if (s->moved)
        fprintf(stderr,
                "mf-docs: %zu document%s moved from train to val and test to reach docs.min_targets\n",
                s->moved, s->moved == 1 ? "" : "s");
    if (d->all_splits) warn_of_empty(s);
    print_named(&d->left[MF_DOCS_NO_TEXT], "left out ", "that are no text (--all takes them)", ", ");
    print_named(&d->left[MF_DOCS_OWN], "left out ", "that ModularForge wrote", ", ");
    print_named(&d->bad, "left out ", "bad lines", "; ");
    print_named(&d->stray, "", "with bytes that are not UTF-8, kept as they are (iconv converts a file)",
                ", ");
}
