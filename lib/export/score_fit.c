/* Normal equations, one distance after the other. */
#include "export/score_fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "nn/cholesky.h"

/* What a unit in a coefficient costs: as much as so large a deviation at every distance. Far above the square
 * root of double's rounding, so that the equations have a solution, and of the order of fp32's rounding. */
#define COST 1e-6

/* row [d]: the cosines, then the sines. */
static void fill_row(double *row, const double *frequencies, size_t d, size_t distance) {
    for (size_t i = 0; i < d / 2; i++) {
        double angle = (double)distance * frequencies[i];
        row[i] = cos(angle);
        row[d / 2 + i] = sin(angle);
    }
}

/* matrix += row row^T (lower triangle), fit += target row. */
static void add_row(double *matrix, double *fit, const double *row, size_t d, double target) {
    for (size_t i = 0; i < d; i++) {
        for (size_t j = 0; j <= i; j++) matrix[i * d + j] += row[i] * row[j];
        fit[i] += target * row[i];
    }
}

static double deviation_of(const double *fit, const double *row, size_t d, double target) {
    double sum = -target;
    for (size_t i = 0; i < d; i++) sum += fit[i] * row[i];
    return fabs(sum);
}

double score_fit(double *fit, const double *frequencies, size_t d, size_t S, double start, double slope) {
    double *matrix = calloc(d * (d + 1), sizeof *matrix), max = 0;
    if (!matrix) mf_no_memory();
    double *row = matrix + d * d;
    memset(fit, 0, d * sizeof *fit);
    for (size_t n = 0; n < S; n++) {
        fill_row(row, frequencies, d, n);
        add_row(matrix, fit, row, d, start + slope * (double)n);
    }
    for (size_t i = 0; i < d; i++) matrix[i * d + i] += (double)S * COST * COST;
    int status = cholesky_factor(matrix, d);
    if (status == 0) cholesky_solve(matrix, fit, d);
    for (size_t n = 0; n < S && status == 0; n++) {
        fill_row(row, frequencies, d, n);
        max = fmax(max, deviation_of(fit, row, d, start + slope * (double)n));
    }
    free(matrix);
    return status == 0 ? max : HUGE_VAL;
}
