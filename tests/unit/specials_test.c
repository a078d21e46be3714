/* The special tokens of streams, manifests and metadata; what they leave of a stream as targets; where
 * documents begin in a training's windows. */
#include "scratch.h"
#include "nn.h"

#include <xxhash.h>
#include "text/tokens.h"
#include "text/specials.h"
#include "train/data.h"

enum { S = 4, MOST = 40 };

/* Documents [count] of `sizes` tokens each, one behind the other in `tokens`. */
static void write_tokens(const char *path, struct mf_specials specials, const uint32_t *tokens,
                         const size_t *sizes, size_t count) {
    struct mf_err err;
    struct mf_out *out;
    struct mf_stream_writer *w;
    struct mf_tokens_header header = {.vocab = 300, .width = 4, .specials = specials};
    memset(header.tokenizer, 'a', 64);
    assert_int_equal(mf_out_open(&out, path, &err), 0);
    assert_int_equal(mf_tokens_create(&w, out, &header, -1, &err), 0);
    for (size_t i = 0; i < count; tokens += sizes[i++]) {
        assert_int_equal(mf_stream_begin(w, 1, &err), 0);
        assert_int_equal(mf_put_bin(w, "tokens", tokens, sizes[i] * sizeof *tokens, &err), 0);
    }
    assert_int_equal(mf_stream_finish(w, &err), 0);
    assert_int_equal(mf_out_commit(out, &err), 0);
}

/* What all windows of a stream come to. */
struct seen {
    uint64_t hash, targets;
    uint32_t of[MOST];   /* the target of each row */
    size_t begins[MOST]; /* rows that begin a sequence, windows' first rows included */
    size_t rows, sequences;
};

static void see(struct seen *seen, const char *path) {
    struct mf_err err;
    struct mf_data data;
    struct mf_window_batch b;
    struct mf_lm_batch slice;
    size_t window = 0;
    *seen = (struct seen){0};
    assert_int_equal(mf_data_load(&data, path, -1, S, NULL, &err), 0);
    assert_int_equal(mf_window_batch_new(&b, data.windows, S, &err), 0);
    for (uint64_t i = 0; i < data.windows; i++) assert_int_equal(mf_data_read(&data, i, &b, &err), 0);
    seen->hash = data.hash;
    seen->targets = b.rows.scored;
    assert_int_equal(b.rows.scored, data.targets);
    while (mf_slice(&b, S, &window, &slice)) {
        for (size_t s = 0; s < slice.seqs.count; s++)
            seen->begins[seen->sequences++] = seen->rows + slice.seqs.start[s];
        for (size_t n = 0; n < slice.seqs.start[slice.seqs.count]; n++) {
            assert_true(slice.tokens[n] < 300);
            seen->of[seen->rows++] = slice.targets[n];
        }
    }
    mf_window_batch_free(&b);
    mf_data_free(&data);
}

#define X LOSS_IGNORE

/* Windows of S cross documents; a target never does, and each document is a sequence. */
static void test_borders(void **state) {
    (void)state;
    const uint32_t tokens[] = {2, 10, 11, 3, 2, 12, 0, 2, 13, 3};
    const size_t sizes[] = {4, 6};
    const uint32_t ours[] = {10, 11, 3, X, 12, X, X, 13, 3}, none[] = {10, 11, 3, X, 12, 0, 2, 13, 3};
    struct seen seen;
    write_tokens("ours.mf", mf_specials_ours, tokens, sizes, 2);
    see(&seen, "ours.mf");
    assert_int_equal(seen.targets, 6);
    assert_memory_equal(seen.of, ours, sizeof ours);
    assert_int_equal(seen.sequences, 3); /* the BOS inside the second document begins nothing */
    assert_int_equal(seen.begins[1], 4);
    assert_int_equal(seen.begins[2], 8);
    write_tokens("none.mf", (struct mf_specials){-1, -1, -1, true}, tokens, sizes, 2);
    see(&seen, "none.mf");
    assert_int_equal(seen.targets, 8); /* all but the first of each document */
    assert_memory_equal(seen.of, none, sizeof none);
    assert_int_equal(seen.sequences, 3);
}

/* Where BOS ends documents as well, their ends are targets; a document may be short, empty or end without. */
static void test_same_bos_and_eos(void **state) {
    (void)state;
    const uint32_t tokens[] = {256, 1, 256, 256, 256, 7, 256, 5};
    const size_t sizes[] = {3, 2, 0, 1, 2};
    const uint32_t wanted[] = {1, 256, X, 256, X, X, 5};
    struct seen seen;
    write_tokens("same.mf", (struct mf_specials){-1, 256, 256, true}, tokens, sizes, 5);
    see(&seen, "same.mf");
    assert_memory_equal(seen.of, wanted, sizeof wanted);
    assert_int_equal(seen.targets, 4);
    const size_t begins[] = {0, 3, 4, 5, 6};
    assert_int_equal(seen.sequences, 5);
    assert_memory_equal(seen.begins, begins, sizeof begins);
}

/* The same tokens in other documents are another training's. */
static void test_hash(void **state) {
    (void)state;
    const uint32_t tokens[] = {2, 9, 9, 2, 9, 9};
    const size_t two[] = {3, 3}, other[] = {2, 4}, one[] = {6};
    struct seen a, b, c;
    write_tokens("a.mf", mf_specials_ours, tokens, two, 2);
    write_tokens("b.mf", mf_specials_ours, tokens, other, 2);
    write_tokens("c.mf", mf_specials_ours, tokens, one, 1);
    see(&a, "a.mf"), see(&b, "b.mf"), see(&c, "c.mf");
    assert_true(a.hash != b.hash && b.hash != c.hash && a.hash != c.hash);
    assert_true(a.hash == XXH64(tokens, sizeof tokens, 0)); /* as checkpoints of such streams have it */
}

/* Nothing but first tokens, padding and boundaries. */
static void test_nothing_to_predict(void **state) {
    (void)state;
    const uint32_t tokens[] = {2, 0, 2, 0, 5};
    const size_t sizes[] = {4, 1};
    struct mf_err err;
    struct mf_data data;
    write_tokens("nothing.mf", mf_specials_ours, tokens, sizes, 2);
    assert_int_equal(mf_data_load(&data, "nothing.mf", -1, S, NULL, &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_string_equal(err.text, "nothing.mf: nothing to predict: of 5 tokens in 2 documents each is the "
                                  "first of its document, padding or a boundary");
    write_tokens("all.mf", (struct mf_specials){-1, -1, -1, true}, tokens, sizes, 2);
    assert_int_equal(mf_data_load(&data, "all.mf", -1, S, NULL, &err), 0);
    assert_int_equal(data.targets, 3);
    mf_data_free(&data);
}

/* The last window is as long as there are targets; of overlapping ones the rows before `first` are not
 * scored. */
static void test_windows(void **state) {
    (void)state;
    const uint32_t tokens[] = {2, 10, 11, 0, 12, 3}, whole[] = {X, 11, X, 12, 3, X, 12, X};
    struct mf_err err;
    struct mf_rows rows;
    assert_int_equal(mf_window_inputs(6, 0, 4), 4);
    assert_int_equal(mf_window_inputs(6, 4, 4), 1);
    assert_int_equal(mf_window_inputs(6, 5, 4), 0);
    assert_int_equal(mf_window_inputs(0, 0, 4), 0);
    assert_int_equal(mf_rows_new(&rows, 8, &err), 0);
    assert_int_equal(mf_rows_add(&rows, &mf_specials_ours, tokens, 5, 1, 5), 3);
    assert_int_equal(mf_rows_add(&rows, &mf_specials_ours, tokens + 2, 3, 0, 2), 1);
    assert_memory_equal(rows.targets, whole, sizeof whole);
    assert_memory_equal(rows.tokens + 5, tokens + 2, 3 * sizeof *tokens);
    assert_int_equal(rows.scored, 4);
    assert_int_equal(rows.N, 8);
    assert_int_equal(rows.seqs.count, 2);
    assert_int_equal(rows.seqs.start[1], 5);
    mf_rows_free(&rows);
}

/* Documents come back as they were written, with and without what may be absent. */
static void test_token_records(void **state) {
    (void)state;
    const unsigned char bytes[] = {1, 0, 255, 0};
    const struct mf_token_doc full = {"id", "domain", 2, 6, .partition = 3, .bytes = bytes, .size = 4};
    const struct mf_token_doc empty = {.id = "", .partition = -1};
    const struct mf_tokens_header header = {
        .vocab = 256,
        .width = 2,
        .specials = mf_specials_ours,
        .tokenizer = "0123456789012345678901234567890123456789012345678901234567890123"};
    struct mf_err err;
    struct mf_out *out;
    struct mf_stream_writer *w;
    struct mf_tokens_reader reader;
    struct mf_token_doc doc;
    assert_int_equal(mf_out_open(&out, "records.mf", &err), 0);
    assert_int_equal(mf_tokens_create(&w, out, &header, -1, &err), 0);
    assert_int_equal(mf_tokens_put(w, &full, &err), 0);
    assert_int_equal(mf_tokens_put(w, &empty, &err), 0);
    assert_int_equal(mf_stream_finish(w, &err), 0);
    assert_int_equal(mf_out_commit(out, &err), 0);
    assert_int_equal(mf_tokens_open(&reader, "records.mf", &err), 0);
    assert_int_equal(mf_tokens_next(&reader, &doc, &err), 1);
    assert_memory_equal(doc.id, "id", 2);
    assert_memory_equal(doc.domain, "domain", 6);
    assert_true(doc.id_size == 2 && doc.domain_size == 6 && doc.partition == 3);
    assert_true(doc.n == 2 && doc.tokens[0] == 1 && doc.tokens[1] == 255);
    assert_true(doc.fingerprint == XXH64(bytes, sizeof bytes, 0));
    assert_int_equal(mf_tokens_next(&reader, &doc, &err), 1);
    assert_true(doc.id_size == 0 && !doc.domain && doc.partition == -1 && doc.n == 0);
    assert_int_equal(mf_tokens_next(&reader, &doc, &err), 0);
    mf_tokens_close(&reader);
}

static void test_json(void **state) {
    (void)state;
    struct mf_err err;
    struct mf_specials s, again;
    assert_int_equal(mf_specials_parse(&s, NULL, 4, "old", &err), 0);
    assert_false(s.given);
    assert_true(s.pad == 0 && s.bos == 2 && s.eos == 3);
    s = (struct mf_specials){-1, 256, 256, true};
    json_t *json = mf_specials_json(&s);
    assert_int_equal(mf_specials_parse(&again, json, 257, "new", &err), 0);
    assert_true(again.given && mf_specials_equal(&s, &again));
    assert_int_equal(mf_specials_parse(&again, json, 256, "m", &err), -1);
    assert_string_equal(err.text, "m: special_tokens: bos is 256, not between -1 and 255");
    json_object_set_new(json, "eos", json_string("x"));
    assert_int_equal(mf_specials_parse(&again, json, 257, "m", &err), -1);
    assert_string_equal(err.text, "m: special_tokens: eos is not a number");
    assert_int_equal(mf_specials_parse(&again, json_object_get(json, "bos"), 257, "m", &err), -1);
    assert_string_equal(err.text, "m: special_tokens is not an object");
    json_decref(json);
}

static void test_match(void **state) {
    (void)state;
    struct mf_err err;
    struct mf_specials a = {-1, 1, 5, true}, b = {0, 1, 5, true};
    assert_int_equal(mf_specials_match(&a, "a", &b, "b", &err), -1);
    assert_int_equal(err.status, EX_DATAERR);
    assert_string_equal(err.text, "b: pad is 0, not -1 as in a");
    b.given = false; /* a file that says nothing goes with any */
    assert_int_equal(mf_specials_match(&a, "a", &b, "b", &err), 0);
}

/* EOS is always a target; a token that is padding and something else learns. */
static void test_roles(void **state) {
    (void)state;
    const struct mf_specials all = {7, 7, 7, true}, ours = mf_specials_ours, two = {7, 7, 8, true};
    assert_true(mf_specials_target(&all, 7));
    assert_false(mf_specials_target(&two, 7));
    assert_true(mf_specials_target(&ours, 1) && mf_specials_target(&ours, 3));
    assert_false(mf_specials_target(&ours, 0) || mf_specials_target(&ours, 2));
    assert_int_equal(mf_specials_padding(&all), -1);
    assert_int_equal(mf_specials_padding(&two), -1);
    assert_int_equal(mf_specials_padding(&ours), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_borders), cmocka_unit_test(test_same_bos_and_eos),
        cmocka_unit_test(test_hash),    cmocka_unit_test(test_nothing_to_predict),
        cmocka_unit_test(test_windows), cmocka_unit_test(test_token_records),
        cmocka_unit_test(test_json),    cmocka_unit_test(test_match),
        cmocka_unit_test(test_roles),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
