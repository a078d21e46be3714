/* What does not fit memory: spilled bytes, sorting beside qsort, buckets beside arrays. */
#include <stdbool.h>
#include "scratch.h"

#include <signal.h>
#include <sys/resource.h>

#include "base/rng.h"
#include "base/tempfile.h"
#include "io/buckets.h"
#include "io/sort.h"
#include "io/spill.h"

static struct mf_err err;

/* --- spilled bytes --- */

static void bytes_are_read_back_from_disk_and_buffer(void **state) {
    (void)state;
    enum { ALL = 700000 };
    struct mf_spill s = {0};
    struct mf_rng rng;
    unsigned char *all = malloc(ALL), *got = malloc(ALL);
    mf_rng_seed(&rng, 1);
    for (size_t i = 0; i < ALL; i++) all[i] = (unsigned char)mf_rng_next(&rng);
    while (s.size < ALL) {
        uint64_t n = mf_rng_below(&rng, mf_rng_below(&rng, 10) ? 3000 : 150000);
        if (n > ALL - s.size) n = ALL - s.size;
        assert_int_equal(mf_spill_append(&s, all + s.size, (size_t)n, &err), 0);
        for (int k = 0; k < 5; k++) {
            uint64_t at = mf_rng_below(&rng, s.size + 1), size = mf_rng_below(&rng, s.size - at + 1);
            assert_int_equal(mf_spill_read(&s, got, (size_t)size, at, &err), 0);
            assert_memory_equal(got, all + at, size);
        }
    }
    struct mf_spill_reader r = {.spill = &s};
    for (uint64_t skip; r.at < ALL; r.at += skip) { /* in order, with gaps */
        uint64_t at = r.at, size = mf_rng_below(&rng, ALL - r.at < 200000 ? ALL - r.at + 1 : 200000);
        assert_int_equal(mf_spill_take(&r, got, (size_t)size, &err), 0);
        assert_memory_equal(got, all + at, size);
        skip = mf_rng_below(&rng, 2) ? 0 : mf_rng_below(&rng, ALL - r.at + 1);
    }
    mf_spill_reader_free(&r);
    free(all);
    free(got);
    mf_spill_free(&s);
    assert_int_equal(mf_spill_append(&s, "again", 5, &err), 0);
    assert_int_equal(s.file, 0); /* little never reaches the disk */
    mf_spill_free(&s);
}

/* --- sorting --- */

static size_t record_size;

static int by_bytes(const void *a, const void *b) {
    return memcmp(a, b, record_size);
}

/* Few different bytes, so that prefixes are shared, or all of them. */
static unsigned char *random_records(struct mf_rng *rng, size_t n, uint64_t letters) {
    unsigned char *records = malloc(n * record_size + 1);
    for (size_t i = 0; i < n * record_size; i++)
        records[i] = (unsigned char)(mf_rng_below(rng, letters) * 37);
    return records;
}

static void read_sorted(struct mf_sort *sort, unsigned char *records, size_t n) {
    const unsigned char *record;
    qsort(records, n, record_size, by_bytes);
    assert_int_equal(mf_sort_count(sort), n);
    assert_int_equal(mf_sort_begin(sort, &err), 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(mf_sort_next(sort, &record, &err), 1);
        assert_memory_equal(record, records + i * record_size, record_size);
    }
    assert_int_equal(mf_sort_next(sort, &record, &err), 0);
    assert_int_equal(mf_sort_next(sort, &record, &err), 0);
}

static void records_come_out_as_qsort_has_them(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 2, 12, 16, 300}, counts[] = {0, 1, 2, 63, 64, 65, 1000, 9001},
                        memories[] = {0, 5000, 100000, 4000000};
    struct mf_rng rng;
    mf_rng_seed(&rng, 2);
    for (size_t k = 0; k < 5 * 8 * 4 * 2; k++) {
        size_t n = counts[k / 5 % 8], half = n / 3;
        struct mf_sort *sort;
        record_size = sizes[k % 5];
        unsigned char *records = random_records(&rng, n, k / 160 ? 256 : 2);
        assert_int_equal(mf_sort_new(&sort, record_size, memories[k / 40 % 4], &err), 0);
        for (size_t i = 0; i < half; i++)
            assert_int_equal(mf_sort_add(sort, records + i * record_size, &err), 0);
        unsigned char *first = malloc(half * record_size + 1);
        memcpy(first, records, half * record_size);
        read_sorted(sort, first, half);
        for (size_t i = half; i < n; i++) /* reading may be followed by more */
            assert_int_equal(mf_sort_add(sort, records + i * record_size, &err), 0);
        read_sorted(sort, records, n);
        read_sorted(sort, records, n);
        bool fits = n * record_size <= memories[k / 40 % 4];
        assert_true(fits ? mf_sort_runs(sort) == 0 : n <= MF_SORT_MIN || mf_sort_runs(sort) > 0);
        assert_true(mf_sort_runs(sort) <= 64); /* as many as the block has parts for */
        mf_sort_free(sort);
        free(records);
        free(first);
    }
}

static int sort_some(size_t n) {
    struct mf_sort *sort;
    struct mf_rng rng;
    int status = 0;
    mf_rng_seed(&rng, 3);
    record_size = 12;
    unsigned char *records = random_records(&rng, n, 256);
    assert_int_equal(mf_sort_new(&sort, record_size, 120000, &err), 0);
    for (size_t i = 0; i < n && status == 0; i++) status = mf_sort_add(sort, records + i * record_size, &err);
    if (status == 0) status = mf_sort_begin(sort, &err);
    mf_sort_free(sort);
    free(records);
    return status;
}

static void no_folder_and_a_full_disk_are_errors(void **state) {
    (void)state;
    struct rlimit old, small = {200000, 200000};
    mf_tempfile_folder_set("/nonexistent");
    assert_int_equal(sort_some(9000), 0); /* fits */
    assert_int_equal(sort_some(11000), -1);
    assert_int_equal(err.status, EX_CANTCREAT);
    mf_tempfile_folder_set(".");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(sort_some(15000), 0);
    assert_int_equal(sort_some(50000), -1);
    assert_int_equal(err.status, EX_IOERR);
    assert_string_equal(err.text, "scratch file: File too large");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(count_files("mf-"), 0);
}

/* More than the processor can address. */
static void without_memory_there_is_nothing_to_free(void **state) {
    (void)state;
    struct mf_sort *sort = NULL;
    assert_int_equal(mf_sort_new(&sort, 16, (size_t)1 << 50, &err), -1);
    assert_int_equal(err.status, EX_OSERR);
    assert_null(sort);
    mf_sort_free(sort);
}

/* --- buckets --- */

enum { BUCKETS = 40, IN_EACH = 3000, RECORD = 9 };

struct twin {
    struct mf_buckets *buckets;
    unsigned char records[BUCKETS][IN_EACH][RECORD];
    size_t count[BUCKETS], now, taken;
    struct mf_rng rng;
};

static void put(struct twin *t, size_t bucket) {
    if (t->count[bucket] == IN_EACH) return;
    unsigned char *record = t->records[bucket][t->count[bucket]++];
    for (size_t i = 0; i < RECORD; i++) record[i] = (unsigned char)mf_rng_next(&t->rng);
    assert_int_equal(mf_buckets_add(t->buckets, bucket, record, &err), 0);
}

/* Passes about as much on to later buckets as comes in. */
static int compare(void *context, const unsigned char *record, struct mf_err *e) {
    struct twin *t = context;
    (void)e;
    assert_memory_equal(record, t->records[t->now][t->taken++], RECORD);
    if (t->now + 1 < BUCKETS) put(t, t->now + 1 + mf_rng_below(&t->rng, BUCKETS - 1 - t->now));
    return 0;
}

static void buckets_give_back_what_was_put_in(void **state) {
    (void)state;
    static const size_t memories[] = {0, 100000, 10000000};
    static struct twin t;
    for (size_t k = 0; k < 3; k++) {
        memset(&t, 0, sizeof t);
        mf_rng_seed(&t.rng, k);
        assert_int_equal(mf_buckets_new(&t.buckets, BUCKETS, RECORD, memories[k], &err), 0);
        for (size_t i = 0; i < 30000; i++) put(&t, mf_rng_below(&t.rng, BUCKETS));
        for (t.now = 0; t.now < BUCKETS; t.now++) {
            t.taken = 0;
            assert_int_equal(mf_buckets_count(t.buckets, t.now), t.count[t.now]);
            assert_int_equal(mf_buckets_empty(t.buckets, t.now, compare, &t, &err), 0);
            assert_int_equal(t.taken, t.count[t.now]);
            assert_int_equal(mf_buckets_count(t.buckets, t.now), 0);
        }
        mf_buckets_free(t.buckets);
    }
    mf_buckets_free(NULL);
}

static int refuse(void *context, const unsigned char *record, struct mf_err *e) {
    (void)record;
    return --*(int *)context < 0 ? mf_err_set(e, EX_DATAERR, "enough") : 0;
}

static void a_taker_ends_the_emptying_of_a_bucket(void **state) {
    (void)state;
    struct mf_buckets *b;
    unsigned char record[RECORD] = {0};
    assert_int_equal(mf_buckets_new(&b, 2, RECORD, 0, &err), 0);
    for (int few = 0; few < 300; few += 90) {
        int left = few;
        for (int i = 0; i < 500; i++) assert_int_equal(mf_buckets_add(b, 1, record, &err), 0);
        assert_int_equal(mf_buckets_empty(b, 1, refuse, &left, &err), -1);
        assert_string_equal(err.text, "enough");
    }
    mf_buckets_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_read_back_from_disk_and_buffer),
        cmocka_unit_test(records_come_out_as_qsort_has_them),
        cmocka_unit_test(no_folder_and_a_full_disk_are_errors),
        cmocka_unit_test(without_memory_there_is_nothing_to_free),
        cmocka_unit_test(buckets_give_back_what_was_put_in),
        cmocka_unit_test(a_taker_ends_the_emptying_of_a_bucket),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
