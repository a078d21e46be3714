/* What a rotary head can say of distances: attention scores that follow a straight line.
 *
 * Where queries are the same at every position, and keys are, a score depends on the distance D of the two
 * alone, and each pair of columns i that turns by theta_i adds a_i cos(theta_i D) + b_i sin(theta_i D)
 * (Su et al. 2021, eq. 16). */
#ifndef MF_EXPORT_SCORE_FIT_H
#define MF_EXPORT_SCORE_FIT_H

#include <stddef.h>

/* Finds a = fit[0 .. d/2) and b = fit[d/2 .. d) such that the sum over the pairs is `start` + `slope` * D for
 * the distances 0 <= D < S, by least squares. Returns the largest deviation, or HUGE_VAL where there is no
 * solution. Among fits that are as good the one with small numbers is taken: fp32 rounds them. */
double score_fit(double *fit, const double *frequencies, size_t d, size_t S, double start, double slope);

#endif
