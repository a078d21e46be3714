/* Documents that change their subject, made of a sample's second half. */
#include "scratch.h"

#include "eval/dataset.h"

enum { BOS = 2, EOS = 3, FIRST = 10, DOCUMENTS = 24, MOST = 20, WINDOW = 12 };

static const struct mf_specials specials = {.pad = 0, .bos = BOS, .eos = EOS, .given = true};

/* Document d has d % 18 + 3 tokens: BOS, some that no other document has, EOS. */
static size_t size_of(size_t d) {
    return d % (MOST - 2) + 3;
}
static uint16_t token_of(size_t d, size_t at) {
    return (uint16_t)(FIRST + MOST * d + at);
}

/* In the order of their numbers, or backwards; of partitions 0 .. n_partitions - 1 in turn, 0: none is said.
 */
static void write_documents(const char *path, size_t n, int64_t n_partitions, bool backwards) {
    struct mf_err err;
    struct mf_out *out;
    struct mf_stream_writer *w;
    struct mf_tokens_header header = {.vocab = FIRST + MOST * DOCUMENTS, .width = 2, .specials = specials};
    memset(header.tokenizer, 'a', 64);
    assert_int_equal(mf_out_open(&out, path, &err), 0);
    assert_int_equal(mf_tokens_create(&w, out, &header, -1, &err), 0);
    for (size_t i = 0; i < n; i++) {
        size_t d = backwards ? n - 1 - i : i, size = size_of(d);
        uint16_t tokens[MOST] = {BOS};
        char id[16];
        for (size_t at = 1; at + 1 < size; at++) tokens[at] = token_of(d, at);
        tokens[size - 1] = EOS;
        snprintf(id, sizeof id, "document %zu", d);
        const struct mf_token_doc doc = {.id = id,
                                         .id_size = strlen(id),
                                         .partition = n_partitions ? (int64_t)d % n_partitions : -1,
                                         .bytes = tokens,
                                         .size = size * sizeof *tokens};
        assert_int_equal(mf_tokens_put(w, &doc, &err), 0);
    }
    assert_int_equal(mf_stream_finish(w, &err), 0);
    assert_int_equal(mf_out_commit(out, &err), 0);
}

static struct mf_dataset *open_halves(const char *path) {
    struct mf_err err;
    struct mf_dataset *dataset;
    assert_int_equal(mf_dataset_open(&dataset, path, 0, "", &specials, "model", &err), 0);
    assert_int_equal(mf_dataset_sample(dataset, 100000, &err), 0);
    mf_dataset_halve(dataset, WINDOW);
    return dataset;
}

/* The documents of one part: the first token of each, which says its number; sizes; all tokens. */
struct seen {
    size_t count, tokens, sizes[2 * DOCUMENTS];
    uint32_t of[2 * DOCUMENTS][MOST];
};

static struct seen see(struct mf_dataset *dataset, enum mf_dataset_part part) {
    struct seen seen = {0};
    struct mf_token_doc doc;
    struct mf_err err;
    mf_dataset_select(dataset, part);
    while (mf_dataset_next(dataset, &doc, &err) > 0) {
        assert_true(doc.n <= MOST && seen.count < 2 * DOCUMENTS);
        memcpy(seen.of[seen.count], doc.tokens, doc.n * sizeof *doc.tokens);
        seen.sizes[seen.count++] = doc.n;
        seen.tokens += doc.n;
    }
    return seen;
}

static size_t number_of(uint32_t token) {
    assert_true(token >= FIRST);
    return (token - FIRST) / MOST;
}

static bool has_document(const struct seen *seen, size_t d) {
    for (size_t i = 0; i < seen->count; i++)
        if (number_of(seen->of[i][1]) == d) return true;
    return false;
}

/* One of the mixed documents: its first piece begins a document of the half, its second is a run of another
 * one, as far back as half a window where it is so long; both as long as half a window or all there is. */
static void check_mixed(const struct seen *half, const uint32_t *tokens, size_t n, int64_t n_partitions) {
    size_t a = number_of(tokens[1]), of_a = 0, half_window = WINDOW / 2;
    assert_int_equal(tokens[0], BOS);
    while (1 + of_a < n && number_of(tokens[1 + of_a]) == a) {
        assert_int_equal(tokens[1 + of_a], token_of(a, 1 + of_a));
        of_a++;
    }
    size_t rest = n - 1 - of_a, b = number_of(tokens[1 + of_a]), inside = size_of(b) - 2;
    size_t begin = inside <= half_window ? 0 : inside < 2 * half_window ? inside - half_window : half_window;
    assert_int_equal(of_a, size_of(a) - 2 < half_window ? size_of(a) - 2 : half_window);
    assert_int_equal(rest, inside < half_window ? inside : half_window);
    for (size_t i = 0; i < rest; i++) assert_int_equal(tokens[1 + of_a + i], token_of(b, 1 + begin + i));
    assert_true(has_document(half, a) && has_document(half, b) && a != b);
    if (n_partitions) assert_int_not_equal((int64_t)a % n_partitions, (int64_t)b % n_partitions);
}

static void test_mixed(void **state) {
    (void)state;
    for (int64_t n_partitions = 0; n_partitions < 4; n_partitions++) {
        write_documents("d.mf", DOCUMENTS, n_partitions, false);
        struct mf_dataset *dataset = open_halves("d.mf");
        struct seen first = see(dataset, MF_DATASET_HALF), half = see(dataset, MF_DATASET_OTHER_HALF);
        size_t mixed = mf_dataset_mix(dataset, WINDOW, 0.3);
        struct seen after = see(dataset, MF_DATASET_HALF), both = see(dataset, MF_DATASET_OTHER_HALF);
        assert_memory_equal(&first, &after, sizeof first);
        assert_int_equal(both.count, half.count + mixed);
        for (size_t i = 0; i < half.count; i++)
            assert_memory_equal(both.of[i], half.of[i], sizeof half.of[i]);
        for (size_t i = half.count; i < both.count; i++)
            check_mixed(&half, both.of[i], both.sizes[i], n_partitions);
        if (n_partitions == 1) { /* none is of another subject */
            assert_int_equal(mixed, 0);
        } else { /* as many as it takes, and no more */
            double tokens = (double)(both.tokens - half.tokens), bound = 0.3 * (double)half.tokens;
            assert_true(tokens >= bound && tokens - (double)both.sizes[both.count - 1] < bound);
        }
        mf_dataset_close(dataset);
    }
}

static void test_order(void **state) {
    (void)state;
    struct seen seen[2];
    size_t begin[2];
    for (int backwards = 0; backwards < 2; backwards++) {
        write_documents("d.mf", DOCUMENTS, 3, backwards);
        struct mf_dataset *dataset = open_halves("d.mf");
        begin[backwards] = see(dataset, MF_DATASET_OTHER_HALF).count;
        assert_true(mf_dataset_mix(dataset, WINDOW, 1) > 2);
        seen[backwards] = see(dataset, MF_DATASET_OTHER_HALF);
        mf_dataset_close(dataset);
    }
    assert_true(begin[0] == begin[1] && seen[0].count == seen[1].count);
    assert_memory_equal(seen[0].of[begin[0]], seen[1].of[begin[1]],
                        (seen[0].count - begin[0]) * sizeof seen[0].of[0]);
}

static void test_too_few(void **state) {
    (void)state;
    for (size_t n = 0; n < 4; n++) {
        write_documents("d.mf", n, 0, false);
        struct mf_dataset *dataset = open_halves("d.mf");
        struct seen half = see(dataset, MF_DATASET_OTHER_HALF);
        assert_int_equal(mf_dataset_mix(dataset, WINDOW, 0), 0);
        assert_int_equal(mf_dataset_mix(dataset, WINDOW, 0.01), half.count > 1);
        mf_dataset_close(dataset);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mixed), cmocka_unit_test(test_order),
                                       cmocka_unit_test(test_too_few)};
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
