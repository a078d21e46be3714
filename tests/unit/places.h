/* Places of documents in partitions. */
#ifndef TESTS_PLACES_H
#define TESTS_PLACES_H

#include "balance.h"
#include "io/spill.h"

static struct mf_err err;

/* Takes n places out of a spill, and frees it. */
static inline void take_places(struct mf_spill *places, uint16_t *partition, size_t n) {
    assert_int_equal(places->size, n * sizeof *partition);
    assert_int_equal(mf_spill_read(places, partition, n * sizeof *partition, 0, &err), 0);
    mf_spill_free(places);
}

#endif
