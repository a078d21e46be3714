/* Mutual information and purity from a table of counts. */
#include "partition/nmi.h"

#include <math.h>

static double plogp(double count, double total) {
    return count > 0 ? count / total * log(count / total) : 0;
}

double mf_nmi(const uint64_t *counts, size_t E, size_t L) {
    double total = 0, rows = 0, columns = 0, joint = 0;
    for (size_t i = 0; i < E * L; i++) total += (double)counts[i];
    if (total == 0) return 0;
    for (size_t e = 0; e < E; e++) {
        double sum = 0;
        for (size_t l = 0; l < L; l++) {
            sum += (double)counts[e * L + l];
            joint -= plogp((double)counts[e * L + l], total);
        }
        rows -= plogp(sum, total);
    }
    for (size_t l = 0; l < L; l++) {
        double sum = 0;
        for (size_t e = 0; e < E; e++) sum += (double)counts[e * L + l];
        columns -= plogp(sum, total);
    }
    if (rows <= 0 && columns <= 0) return 1;
    if (rows <= 0 || columns <= 0) return 0;
    return fmin(1, fmax(0, (rows + columns - joint) / sqrt(rows * columns)));
}

double mf_purity(const uint64_t *counts, size_t L, size_t *label) {
    uint64_t total = 0;
    *label = 0;
    for (size_t l = 0; l < L; l++) {
        total += counts[l];
        if (counts[l] > counts[*label]) *label = l;
    }
    return total == 0 ? 0 : (double)counts[*label] / (double)total;
}
