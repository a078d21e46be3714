/* A token's score is the sum over the pairs of columns of a_i cos(theta_i D) + b_i sin(theta_i D), less a
 * shift that BOS's score has, too. With w the key and u the query after their norms, and g_i the product of
 * their gains over sqrt(d), a_i = g_i u_i w_i. So the coefficients need a key of the length
 *
 *     |w|^2 = sum_i p_i / u_i^2,   p_i = (a_i / g_i)^2 + (b_i / g'_i)^2
 *
 * while the norm gives it d, as it does |u|^2. The sum is smallest where u_i^2 is proportional to sqrt(p_i).
 * The error of the weights becomes small under these bounds in rounds of three steps:
 *   1. a step of Newton's method for the coefficients of both keys and the shift, with a penalty on the two
 *      lengths for the query as it is;
 *   2. the query that is best for these coefficients;
 *   3. the penalties' factors: up where a key is too long, down where length is left.
 * The error is convex in the coefficients and the shift, the lengths are in the coefficients and u^2. */
#include "export/normed_fit.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "nn/cholesky.h"

#define ROUNDS       100
#define GOOD         1e-5 /* an error from which on smaller numbers are better than a smaller error */
#define FILLER_ROUND 8    /* by then it shows which pair matters least */
#define USED         0.98 /* of the length: the lengths sway a little about it */
#define NEXT_TO_ZERO 1e-9 /* a product of gains */
#define SHARE_MIN    1e-9 /* of the query's squared length, for each pair: what divides must not be 0 */
#define PENALTY      1e-4 /* at first: what one more of squared length counts beside the error */
#define PENALTY_MIN  1e-14
#define PENALTY_MAX  1e3
#define COST         1e-6 /* of a coefficient, as score_fit.c says it */
#define LOW          1e-3 /* a weight below which the first scores are all the same */
#define HIGH         50   /* a score above which exp() need not be known */
#define NO_FILLER    ((size_t)-1)

/* Sums over distances for one key's least squares: of its d coefficients and the shift. */
struct sums {
    double *matrix, *fit; /* [d + 1,d + 1] lower triangle, [d + 1] */
};

struct fit {
    const struct normed_head *head;
    size_t d, half, unknowns;   /* coefficients of tokens and of BOS, d each, and the shift */
    double length;              /* squared, of the query and of each key */
    double total;               /* weight of S tokens */
    double *gain;               /* [d] of cosines, then of sines: g_i and g'_i, 0 where not used */
    double *share;              /* [half] u_i^2 */
    double *x, *matrix;         /* [unknowns], and [unknowns,unknowns] */
    double *row;                /* [d + 1] cosines, sines, -1 */
    struct sums tokens, bos;    /* BOS's matrix is the same in all rounds */
    double penalty[2], used[2]; /* factor, and squared length; tokens' and BOS's */
    double off;                 /* of the coefficients in x */
    double best, *best_x, *best_share;
    size_t filler; /* a pair, once it is chosen */
};

/* --- memory, and what the gains make of it --- */

static double *take(double **at, size_t n) {
    *at += n;
    return *at - n;
}

static struct sums take_sums(double **at, size_t m) {
    double *matrix = take(at, m * m);
    return (struct sums){matrix, take(at, m)};
}

/* One block, which begins with `gain`. */
static void allocate(struct fit *f) {
    size_t m = f->d + 1, n = f->unknowns;
    double *at = calloc(2 * f->d + 2 * n + n * n + m + 2 * (m * m + m), sizeof *at);
    if (!at) mf_no_memory();
    f->gain = take(&at, f->d);
    f->share = take(&at, f->half);
    f->best_share = take(&at, f->half);
    f->x = take(&at, n);
    f->best_x = take(&at, n);
    f->matrix = take(&at, n * n);
    f->row = take(&at, m);
    f->tokens = take_sums(&at, m);
    f->bos = take_sums(&at, m);
}

/* The pair of coefficient i. */
static size_t pair_of(const struct fit *f, size_t i) {
    return i < f->half ? i : i - f->half;
}

/* Of each pair the query uses one column, the one with the larger gain, and the key both. */
static size_t query_column(const struct fit *f, size_t pair) {
    const float *gain = f->head->q_gain;
    return fabsf(gain[pair]) >= fabsf(gain[pair + f->half]) ? pair : pair + f->half;
}

/* The key's column of coefficient i: a cosine's is the query's, a sine's the pair's other one. */
static size_t key_column(const struct fit *f, size_t i) {
    size_t column = query_column(f, pair_of(f, i));
    return i < f->half ? column : column < f->half ? column + f->half : column - f->half;
}

/* Turned by an angle, a query (0, u) against a key (w', w) gives u (w cos - w' sin). */
static void find_gains(struct fit *f) {
    const struct normed_head *h = f->head;
    for (size_t i = 0; i < f->d; i++) {
        size_t query = query_column(f, pair_of(f, i)), key = key_column(f, i);
        double product = (double)h->q_gain[query] * (double)h->k_gain[key];
        if (i >= f->half && query >= f->half) product = -product;
        f->gain[i] = fabs(product) > NEXT_TO_ZERO ? product / sqrt((double)f->d) : 0;
    }
}

static void start(struct fit *f, const struct normed_head *head) {
    *f = (struct fit){.head = head, .d = head->d, .half = head->d / 2, .unknowns = 2 * head->d + 1};
    allocate(f);
    f->length = (double)f->d * (1 - head->norm_eps);
    for (size_t n = 0; n < head->S; n++) f->total += pow(head->decay, (double)n);
    for (size_t i = 0; i < f->half; i++) f->share[i] = f->length / (double)f->half;
    f->penalty[0] = f->penalty[1] = PENALTY;
    f->best = HUGE_VAL;
    f->filler = NO_FILLER;
    find_gains(f);
}

/* --- a round: the equations --- */

static void fill_row(struct fit *f, size_t distance) {
    for (size_t i = 0; i < f->half; i++) {
        double angle = (double)distance * f->head->frequencies[i];
        f->row[i] = cos(angle);
        f->row[f->half + i] = sin(angle);
    }
    f->row[f->d] = -1;
}

static void add_row(struct sums *sums, const double *row, size_t m, double weight, double target) {
    for (size_t i = 0; i < m; i++) {
        double *to = sums->matrix + i * m, scaled = weight * row[i];
        for (size_t j = 0; j <= i; j++) to[j] += scaled * row[j];
        sums->fit[i] += target * scaled;
    }
}

static double score_of(const struct fit *f, const double *coefficients) {
    double sum = -f->x[f->unknowns - 1];
    for (size_t i = 0; i < f->d; i++) sum += coefficients[i] * f->row[i];
    return sum;
}

/* The loss exp(score) - wanted * score is convex and least where exp(score) is the weight wanted (Poisson
 * regression). It is a parabola near the score; with the larger of both weights for its curve no step is
 * longer than 1. Returns the weight that the score gives. */
static double add_token(struct fit *f, double score, double wanted) {
    double got = exp(fmin(score, HIGH)), curve = fmax(fmax(got, wanted), DBL_MIN);
    add_row(&f->tokens, f->row, f->d + 1, curve / f->total, score + (wanted - got) / curve);
    return got;
}

/* The first scores are those wanted, but not below ln(LOW). */
static void first_sums(struct fit *f) {
    double bos = log(f->head->bos_weight), slope = log(f->head->decay);
    for (size_t n = 0; n < f->head->S; n++) {
        fill_row(f, n);
        add_row(&f->bos, f->row, f->d + 1, 1 / (double)f->head->S, bos);
        add_token(f, fmax((double)n * slope, log(LOW)), pow(f->head->decay, (double)n));
    }
}

/* The tokens' sums at the coefficients in x; finds how far off these are. */
static void next_sums(struct fit *f) {
    double bos = log(f->head->bos_weight), tokens_off = 0, bos_off = 0, apart = 0, total = 0;
    size_t m = f->d + 1;
    memset(f->tokens.matrix, 0, m * (m + 1) * sizeof *f->tokens.matrix); /* `fit` is behind it */
    for (size_t n = 0; n < f->head->S; n++) {
        double wanted = pow(f->head->decay, (double)n);
        fill_row(f, n);
        apart += fabs(add_token(f, score_of(f, f->x), wanted) - wanted);
        total += wanted;
        tokens_off = fmax(tokens_off, apart / total);
        bos_off = fmax(bos_off, fabs(expm1(score_of(f, f->x + f->d) - bos)));
    }
    f->off = tokens_off + bos_off;
}

/* --- a round: the steps --- */

/* A key's squared length for coefficient i of 1 where the query's u is 1. */
static double cost_of(const struct fit *f, size_t i) {
    bool unused = f->gain[i] == 0 || pair_of(f, i) == f->filler;
    double gain = unused ? NEXT_TO_ZERO : f->gain[i];
    return 1 / (gain * gain);
}

/* One key's sums into the equations of both, its coefficients from `base` on. */
static void place(struct fit *f, const struct sums *sums, size_t base, double penalty) {
    size_t d = f->d, m = d + 1, n = f->unknowns, last = n - 1;
    for (size_t i = 0; i < d; i++) {
        double *row = f->matrix + (base + i) * n + base;
        memcpy(row, sums->matrix + i * m, (i + 1) * sizeof *row);
        row[i] += COST * COST + penalty * cost_of(f, i) / f->share[pair_of(f, i)];
    }
    memcpy(f->x + base, sums->fit, d * sizeof *f->x);
    memcpy(f->matrix + last * n + base, sums->matrix + d * m, d * sizeof *f->matrix);
    f->matrix[last * n + last] += sums->matrix[d * m + d];
    f->x[last] += sums->fit[d];
}

static int solve(struct fit *f) {
    size_t n = f->unknowns;
    memset(f->matrix, 0, n * n * sizeof *f->matrix);
    f->x[n - 1] = 0;
    place(f, &f->tokens, 0, f->penalty[0]);
    place(f, &f->bos, f->d, f->penalty[1]);
    if (cholesky_factor(f->matrix, n) < 0) return -1;
    cholesky_solve(f->matrix, f->x, n);
    return 0;
}

/* p_i of the key whose coefficients are given. */
static double squares_of(const struct fit *f, const double *coefficients, size_t pair) {
    double a = coefficients[pair], b = coefficients[f->half + pair];
    return a * a * cost_of(f, pair) + b * b * cost_of(f, f->half + pair);
}

static void best_query(struct fit *f) {
    double sum = 0, floor = SHARE_MIN * f->length;
    for (size_t i = 0; i < f->half; i++) {
        f->share[i] =
            sqrt(f->penalty[0] * squares_of(f, f->x, i) + f->penalty[1] * squares_of(f, f->x + f->d, i));
        sum += f->share[i];
    }
    double factor = f->length / fmax(sum, DBL_MIN);
    for (size_t i = 0; i < f->half; i++) f->share[i] = fmax(f->share[i] * factor, floor);
}

static void choose_filler(struct fit *f) {
    f->filler = 0;
    for (size_t i = 1; i < f->half; i++)
        if (f->share[i] < f->share[f->filler]) f->filler = i;
}

/* The keys' lengths, and the factors that bring them to what is to be used. */
static void find_lengths(struct fit *f) {
    for (size_t k = 0; k < 2; k++) {
        f->used[k] = 0;
        for (size_t i = 0; i < f->half; i++) f->used[k] += squares_of(f, f->x + k * f->d, i) / f->share[i];
        f->penalty[k] = fmin(fmax(f->penalty[k] * f->used[k] / (USED * f->length), PENALTY_MIN), PENALTY_MAX);
    }
}

static void keep_best(struct fit *f) {
    if (!(f->off < f->best && fmax(f->used[0], f->used[1]) <= f->length)) return;
    f->best = f->off;
    memcpy(f->best_x, f->x, f->unknowns * sizeof *f->x);
    memcpy(f->best_share, f->share, f->half * sizeof *f->share);
}

static void find_coefficients(struct fit *f) {
    first_sums(f);
    for (size_t round = 0; round < ROUNDS && f->best > GOOD; round++) {
        if (solve(f) < 0) return;
        best_query(f);
        find_lengths(f);
        next_sums(f);
        if (round == FILLER_ROUND) choose_filler(f);
        if (round > FILLER_ROUND) keep_best(f);
    }
}

/* --- the head --- */

/* Where the query is 0 the key has what is left of its length. */
static void fill_key(const struct fit *f, const double *coefficients, double *key) {
    double left = f->length;
    memset(key, 0, f->d * sizeof *key);
    for (size_t i = 0; i < f->d; i++) {
        if (f->gain[i] == 0 || pair_of(f, i) == f->filler) continue;
        double w = coefficients[i] / (f->gain[i] * sqrt(f->best_share[pair_of(f, i)]));
        key[key_column(f, i)] = w;
        left -= w * w;
    }
    key[f->filler] = sqrt(fmax(left, 0));
}

/* The query's squared length without the filler, whose share was next to nothing. */
static void finish_shares(struct fit *f) {
    double sum = 0;
    f->best_share[f->filler] = 0;
    for (size_t i = 0; i < f->half; i++) sum += f->best_share[i];
    for (size_t i = 0; i < f->half; i++) f->best_share[i] *= f->length / sum;
}

static void fill_query(const struct fit *f, double *query) {
    memset(query, 0, f->d * sizeof *query);
    for (size_t i = 0; i < f->half; i++) query[query_column(f, i)] = sqrt(f->best_share[i]);
}

double normed_fit(const struct normed_head *head, double *query, double *key, double *bos_key) {
    struct fit f;
    if (head->d < 4 || !(head->norm_eps < 1)) return HUGE_VAL; /* a pair for the scores, and one to fill */
    start(&f, head);
    find_coefficients(&f);
    double best = f.best;
    if (best < HUGE_VAL) {
        finish_shares(&f);
        fill_query(&f, query);
        fill_key(&f, f.best_x, key);
        fill_key(&f, f.best_x + f.d, bos_key);
    }
    free(f.gain);
    return best;
}
