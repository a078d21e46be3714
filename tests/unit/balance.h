/* For unit tests of what divides documents: the promise of balance. */
#ifndef MF_TESTS_BALANCE_H
#define MF_TESTS_BALANCE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* No partition is empty, and none without its smallest document reaches the capacity. */
static inline void check_balance(const uint16_t *partition, const uint32_t *tokens, size_t n, size_t E,
                                 double capacity) {
    for (size_t e = 0; e < E; e++) {
        double load = 0, largest = 0;
        size_t count = 0;
        for (size_t i = 0; i < n; i++) {
            if (partition[i] != e) continue;
            load += tokens[i];
            largest = fmax(largest, tokens[i]);
            count++;
        }
        assert_true(count > 0);
        assert_true(count == 1 || load - largest < capacity);
    }
}

#endif
