/* Which documents are for training, which for validation and which for the test (formats/docs.md).
 *
 * A document's hash decides. Where that gives validation or test too little text, they get the documents of
 * training whose hashes are nearest. */
#ifndef MF_TEXT_SPLITS_H
#define MF_TEXT_SPLITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

enum mf_split { MF_TRAIN, MF_VAL, MF_TEST, MF_SPLITS };

/* Names of files and options: "train", "val", "test". */
extern const char *const mf_split_names[MF_SPLITS];

struct mf_split_rule {
    double fraction[MF_SPLITS]; /* of MF_VAL and MF_TEST; 0: none, whatever the floor */
    uint64_t floor;             /* bytes that validation and test each get; 0: no floor */
};

/* One document, or one block of one. */
struct mf_unit {
    uint64_t hash, size;
    enum mf_split split;
    bool removed; /* a copy: in no split */
};

/* By its hash (mf_text_hash) alone. */
enum mf_split mf_split_of(const struct mf_split_rule *rule, uint64_t hash);

/* Sums over the documents of each split: bytes, and what they count towards the floor (an eighth of it at
 * most for each). */
struct mf_split_sums {
    uint64_t bytes[MF_SPLITS], counted[MF_SPLITS];
};
void mf_split_sums_add(struct mf_split_sums *sums, const struct mf_split_rule *rule,
                       const struct mf_unit *unit);

/* Whether validation and test have enough: mf_split_all would leave every unit where its hash puts it. */
bool mf_split_is_enough(const struct mf_split_sums *sums, const struct mf_split_rule *rule);

/* Gives each of the units its split. *moved counts those that the floor moved out of training. EX_OSERR. */
int mf_split_all(const struct mf_split_rule *rule, struct mf_unit *units, size_t n, size_t *moved,
                 struct mf_err *err);

#endif
