/* Linear equations of a symmetric positive definite matrix, in double. Golub and Van Loan, algorithm 4.2.1.
 */
#ifndef MF_NN_CHOLESKY_H
#define MF_NN_CHOLESKY_H

#include <stddef.h>

/* The lower triangle of a [n,n] becomes that of its factor C, A = C C^T; the rest is not looked at. -1 when A
 * is not positive definite. */
int cholesky_factor(double *a, size_t n);

/* x [n]: in b, out the solution of A x = b. */
void cholesky_solve(const double *factor, double *x, size_t n);

#endif
