/* The base of the library: errors, strings, random numbers, arena, threads, signals. */
#include "scratch.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/quantiles.h"
#include "base/rng.h"
#include "base/signals.h"
#include "base/strings.h"
#include "base/tempfile.h"

static void test_error_lines_are_clean(void **state) {
    (void)state;
    struct mf_err err = {0};
    assert_int_equal(mf_err_set(&err, EX_DATAERR, "a\nb\x1b[31m\x7f%s",
                                "\xc2\x9b"
                                "c"),
                     -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_string_equal(err.text, "a?b?[31m???c");
    mf_err_set(&err, EX_IOERR, "outer: %s", err.text); /* may be built upon itself */
    assert_string_equal(err.text, "outer: a?b?[31m???c");
    errno = ENOENT;
    mf_err_sys(&err, EX_NOINPUT, "x");
    assert_string_equal(err.text, "x: No such file or directory");
    char longer[1000];
    memset(longer, 'x', sizeof longer);
    for (size_t shift = 0; shift < 2; shift++) { /* a cut never leaves half a character */
        for (size_t i = shift; i + 2 < sizeof longer; i += 2) memcpy(longer + i, "\xc3\xa9", 2);
        mf_err_set(&err, 1, "%.*s", 998, longer);
        size_t n = strlen(err.text);
        assert_true(n < sizeof err.text && n > 470);
        assert_int_equal((unsigned char)err.text[n - 1], 0xa9);
    }
}

/* Strings shorten in their middle, the longest first; numbers, widths and texts without an end do not disturb
 * that. */
static void test_long_names_leave_the_reason(void **state) {
    (void)state;
    struct mf_err err = {0};
    char path[4001], other[300];
    memset(path, 'p', 4000);
    memcpy(path, "/from", 5);
    memcpy(path + 3995, "/last", 6);
    memset(other, 'q', 299);
    memcpy(other + 294, "/tail", 6);
    errno = ENOENT;
    mf_err_sys(&err, 1, "%s", path);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(strncmp(err.text, "/frompp", 7), 0);
    assert_non_null(strstr(err.text, "p...p"));
    assert_non_null(strstr(err.text, "p/last: No such file or directory"));
    const char unended[] = {'a', 'b', 'c'};
    mf_err_set(&err, 1, "%zu%% %5.1f %.*s %lld %c %s: is %s, not %.12s as in %s", (size_t)7, 2.5, 3, unended,
               -1LL, 'x', path, "short", "0123456789abcdef", other);
    assert_int_equal(strncmp(err.text, "7%   2.5 abc -1 x /frompp", 25), 0);
    assert_non_null(strstr(err.text, "p/last: is short, not 0123456789ab as in qqq"));
    assert_non_null(strstr(err.text, "q/tail"));
    for (size_t shift = 0; shift < 4; shift++) { /* no half of a character */
        for (size_t i = shift; i + 3 < sizeof path; i += 3) memcpy(path + i, "\xe2\x82\xac", 3);
        memset(path + 3990, 'z', 10);
        mf_err_set(&err, 1, "%s: %d", path, 5);
        char *dots = strstr(err.text, "...");
        assert_non_null(dots);
        assert_int_equal((unsigned char)dots[-1], 0xac);
        assert_int_equal((unsigned char)dots[3], 0xe2);
        assert_string_equal(err.text + strlen(err.text) - 5, "zz: 5");
    }
    memset(path, 0x80, 4000); /* nor an endless search for one */
    mf_err_set(&err, 1, "%s: %s", path, "why");
    assert_string_equal(err.text + strlen(err.text) - 5, ": why");
}

static void test_numbers_are_strict(void **state) {
    (void)state;
    int64_t i;
    double r;
    uint64_t s;
    assert_int_equal(mf_parse_int("-42", &i), 0);
    assert_int_equal(i, -42);
    assert_int_equal(mf_parse_int("9223372036854775807", &i), 0);
    static const char *const bad_ints[] = {"",  " 1", "1 ", "+1", "0x1", "1.0", "9223372036854775808",
                                           "-", "1e3"};
    for (size_t k = 0; k < sizeof bad_ints / sizeof *bad_ints; k++)
        assert_int_equal(mf_parse_int(bad_ints[k], &i), -1);
    assert_int_equal(mf_parse_real("1e-8", &r), 0);
    assert_true(r == 1e-8);
    static const char *const bad_reals[] = {"", "nan", "inf", "-inf", "1e999", "0x1p3", " 1", "1,5", "."};
    for (size_t k = 0; k < sizeof bad_reals / sizeof *bad_reals; k++)
        assert_int_equal(mf_parse_real(bad_reals[k], &r), -1);
    assert_int_equal(mf_parse_size("3M", &s), 0);
    assert_int_equal(s, 3 << 20);
    assert_int_equal(mf_parse_size("17", &s), 0);
    static const char *const bad_sizes[] = {"", "M", "-1", "1KB", "99999999999G", "1.5M"};
    for (size_t k = 0; k < sizeof bad_sizes / sizeof *bad_sizes; k++)
        assert_int_equal(mf_parse_size(bad_sizes[k], &s), -1);
    char text[MF_REAL_TEXT];
    mf_real_text(text, 0.1f, true);
    assert_string_equal(text, "0.1");
    mf_real_text(text, (double)0.1f, false);
    assert_string_equal(text, "0.10000000149011612");
    mf_real_text(text, -1.7976931348623157e308, false);
    assert_string_equal(text, "-1.7976931348623157e+308");
}

static void test_nearest_name(void **state) {
    (void)state;
    static const char *const names[] = {"seed", "threads", "output", "progress"};
    assert_string_equal(mf_nearest("sed", names, 4), "seed");
    assert_string_equal(mf_nearest("thread", names, 4), "threads");
    assert_string_equal(mf_nearest("prog", names, 4), "progress");
    assert_null(mf_nearest("banana", names, 4));
    assert_null(mf_nearest("", names, 4));
    char longer[300];
    memset(longer, 's', 299);
    longer[299] = 0;
    assert_null(mf_nearest(longer, names, 4));
}

static void test_permutation_is_a_bijection(void **state) {
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 7, 64, 65, 1000, 4097};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        uint64_t n = sizes[k], moved = 0;
        unsigned char *seen = calloc(n, 1);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t j = mf_rng_permute(99, n, i);
            assert_true(j < n);
            assert_int_equal(seen[j], 0);
            seen[j] = 1;
            moved += j != i;
        }
        if (n >= 64) assert_true(moved > n / 2);
        free(seen);
    }
    assert_true(mf_rng_permute(1, UINT64_MAX, 5) < UINT64_MAX);
    assert_true(mf_rng_permute(1, 1000, 3) != mf_rng_permute(2, 1000, 3) ||
                mf_rng_permute(1, 1000, 4) != mf_rng_permute(2, 1000, 4));
}

static void test_random_numbers(void **state) {
    (void)state;
    struct mf_rng a, b;
    mf_rng_seed(&a, 7);
    mf_rng_seed(&b, 7);
    double sum = 0, squares = 0, uniform = 0;
    int counts[6] = {0};
    for (int i = 0; i < 60000; i++) {
        assert_true(mf_rng_next(&a) == mf_rng_next(&b));
        double x = mf_rng_normal(&a), u = mf_rng_uniform(&a);
        assert_true(mf_rng_normal(&b) == x && mf_rng_uniform(&b) == u && u >= 0 && u < 1);
        sum += x, squares += x * x, uniform += u;
        counts[mf_rng_below(&a, 6)]++;
        mf_rng_below(&b, 6);
    }
    /* five standard errors: 1/sqrt(60000) = 0.0041, of the variance sqrt(2/60000) = 0.0058 */
    assert_true(fabs(sum / 60000) < 0.021 && fabs(squares / 60000 - 1) < 0.03);
    assert_true(fabs(uniform / 60000 - 0.5) < 0.006);
    for (int k = 0; k < 6; k++) assert_true(abs(counts[k] - 10000) < 460);
    assert_true(mf_rng_below(&a, 1) == 0);
    assert_true(mf_rng_key(1, "dropout", 0) != mf_rng_key(1, "order", 0));
    assert_true(mf_rng_key(1, "dropout", 0) != mf_rng_key(1, "dropout", 1));
    assert_true(mf_rng_key(1, "dropout", 0) != mf_rng_key(2, "dropout", 0));
}

static void test_xoshiro_matches_its_authors(void **state) {
    (void)state;
    /* From s = {1, 2, 3, 4}: worked by hand from the published algorithm for the first two. */
    struct mf_rng rng = {{1, 2, 3, 4}};
    assert_true(mf_rng_next(&rng) == 11520);
    assert_true(mf_rng_next(&rng) == 0);
    assert_true(mf_rng_next(&rng) == 1509978240);
}

static void test_arena(void **state) {
    (void)state;
    struct mf_err err;
    struct mf_arena a = {0};
    assert_null(mf_arena_floats(&a, 3));
    assert_null(mf_arena_take(&a, 5, 8));
    assert_int_equal(a.used, 128);
    assert_int_equal(mf_arena_init(&a, a.used, &err), 0);
    float *f = mf_arena_floats(&a, 3);
    char *second = mf_arena_take(&a, 5, 8);
    assert_int_equal((uintptr_t)f % 64, 0);
    assert_ptr_equal(second, (char *)f + 64);
    assert_true(f[0] == 0 && second[39] == 0);
    mf_arena_free(&a);
    mf_arena_free(&a);
    assert_int_equal(mf_arena_init(&a, (size_t)1 << 62, &err), -1);
    assert_int_equal(err.status, EX_OSERR);
}

struct cover {
    unsigned char seen[5000];
    size_t grain, count;
    int threads;
};

static void mark(void *context, size_t begin, size_t end, int thread) {
    struct cover *c = context;
    if (begin >= end || end > c->count || begin % c->grain || (end % c->grain && end != c->count)) abort();
    if (thread < 0 || thread >= c->threads) abort();
    for (size_t i = begin; i < end; i++) c->seen[i]++;
}

static void test_pool_covers_every_item_once(void **state) {
    (void)state;
    static const size_t counts[] = {0, 1, 2, 3, 7, 64, 65, 4999}, grains[] = {1, 4, 64, 10000};
    struct mf_err err;
    for (int threads = 1; threads <= 5; threads++) {
        struct mf_pool *pool;
        assert_int_equal(mf_pool_new(&pool, threads, &err), 0);
        assert_int_equal(mf_pool_threads(pool), threads);
        for (size_t k = 0; k < 8; k++) {
            for (size_t g = 0; g < 4; g++) {
                struct cover c = {.grain = grains[g], .count = counts[k], .threads = threads};
                mf_pool_run(pool, counts[k], grains[g], mark, &c);
                for (size_t i = 0; i < sizeof c.seen; i++) assert_int_equal(c.seen[i], i < counts[k]);
                mf_pool_share(pool, counts[k], grains[g], mark, &c);
                for (size_t i = 0; i < sizeof c.seen; i++) assert_int_equal(c.seen[i], 2 * (i < counts[k]));
            }
        }
        for (int i = 0; i < 2000; i++) { /* many short jobs: no wake-up is lost */
            struct cover c = {.grain = 1, .count = 8, .threads = threads};
            mf_pool_run(pool, 8, 1, mark, &c);
            for (int j = 0; j < 8; j++) assert_int_equal(c.seen[j], 1);
        }
        mf_pool_free(pool);
    }
    mf_pool_free(NULL);
}

/* Whether a process, which may ignore it, takes a signal for a request to stop; -1 when it ended by the
 * signal. */
static int asks_to_stop(int signal_number, void (*before)(int)) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        signal(signal_number, before);
        mf_signals_catch();
        raise(signal_number);
        _exit(mf_signals_caught());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_ignored_signals_stay_ignored(void **state) {
    (void)state;
    static const int asking[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(asks_to_stop(asking[i], SIG_DFL), asking[i]);
        assert_int_equal(asks_to_stop(asking[i], SIG_IGN), 0);
    }
}

static void test_first_signal_asks_second_ends(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        write_file("asked.tmp", "x", 1);
        mf_tempfile_add("asked.tmp");
        mf_signals_catch();
        raise(SIGTERM);
        raise(SIGTERM); /* the same request, by another way */
        if (mf_signals_caught() != SIGTERM || access("asked.tmp", F_OK) != 0) _exit(1);
        poll(NULL, 0, MF_SIGNALS_ONCE + 50);
        raise(SIGTERM);
        _exit(2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    assert_int_equal(access("asked.tmp", F_OK), -1);
}

static void test_clock(void **state) {
    (void)state;
    double before = mf_now();
    assert_true(mf_now() >= before);
    assert_true(mf_peak_memory() > 100000);
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_quantiles_are_near_those_of_a_sorted_array(void **state) {
    (void)state;
    enum { VALUES = 5000 };
    static uint64_t values[VALUES];
    static struct mf_quantiles q;
    struct mf_rng rng;
    mf_rng_seed(&rng, 4);
    assert_int_equal(mf_quantiles_at(&q, 0.5), 0);
    for (unsigned bits = 1; bits <= 64; bits += 9) {
        memset(&q, 0, sizeof q);
        for (size_t n = 0; n < VALUES; n++) {
            values[n] = mf_rng_next(&rng) >> (64 - bits) >> mf_rng_below(&rng, bits);
            if (n == 0) values[n] = UINT64_MAX >> (64 - bits);
            mf_quantiles_add(&q, values[n]);
        }
        qsort(values, VALUES, sizeof *values, by_size);
        for (size_t rank = 1; rank <= VALUES; rank += 7) {
            uint64_t exact = values[rank - 1], got = mf_quantiles_at(&q, ((double)rank - 0.5) / VALUES);
            uint64_t error = got > exact ? got - exact : exact - got;
            assert_true(exact < 128 ? error == 0 : error <= exact / 128);
        }
        assert_true(mf_quantiles_at(&q, 0) >= values[0]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles_are_near_those_of_a_sorted_array),
        cmocka_unit_test(test_error_lines_are_clean),
        cmocka_unit_test(test_long_names_leave_the_reason),
        cmocka_unit_test(test_numbers_are_strict),
        cmocka_unit_test(test_nearest_name),
        cmocka_unit_test(test_permutation_is_a_bijection),
        cmocka_unit_test(test_random_numbers),
        cmocka_unit_test(test_xoshiro_matches_its_authors),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_pool_covers_every_item_once),
        cmocka_unit_test(test_ignored_signals_stay_ignored),
        cmocka_unit_test(test_first_signal_asks_second_ends),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
