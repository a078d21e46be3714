/* Patterns by PCRE2, by a scanner, or of plain bytes. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "io/utf8.h"
#include "text/families.h"
#include "text/pattern.h"
#include "text/pattern_internal.h"

/* What one match may take, and all searches of a text together: steps as PCRE2 counts them, and memory. Up to
 * FREE_STEPS at each place are not counted. */
#define MATCH_LIMIT 10000000
#define FREE_STEPS  1000
#define TEXT_STEPS  100000
#define STACK_LEAST ((size_t)32 << 10)
#define STACK_MOST  ((size_t)8 << 20)

struct mf_pattern {
    char *string; /* NULL: a scanner or PCRE2's */
    size_t size;
    mf_scanner *scanner;
    char *regex; /* in PCRE2's syntax */
    size_t regex_size;
    pcre2_code *code;
};

struct mf_search {
    const struct mf_pattern *pattern;
    pcre2_code *here; /* the pattern where a search begins only; NULL until it is needed */
    uint64_t steps;   /* left of this text's */
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    const char *text;
    size_t size, at;
    char *masked; /* a text with control characters in the place of stray bytes */
    size_t capacity;
};

/* --- compiling --- */

/* NULL with PCRE2's error in *code. Without its JIT matching is slower. */
static pcre2_code *compile_regex(const struct mf_pattern *p, uint32_t more, int *code) {
    size_t at;
    const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | more;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) mf_no_memory();
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)p->regex, p->regex_size, options, code, &at, context);
    pcre2_compile_context_free(context);
    if (compiled) pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
    return compiled;
}

static int compile(struct mf_pattern *p, const char *text, size_t size, struct mf_err *err) {
    char reason[120];
    int code;
    uint32_t empty = 0;
    if (pattern_translate(text, size, &p->regex, &p->regex_size, err) < 0) return -1;
    p->code = compile_regex(p, 0, &code);
    if (!p->code) {
        pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof reason);
        return mf_err_set(err, EX_DATAERR, "pattern '%.*s': %s", (int)(size < 100 ? size : 100), text,
                          reason);
    }
    pcre2_pattern_info(p->code, PCRE2_INFO_MATCHEMPTY, &empty);
    if (empty)
        return mf_err_set(err, EX_DATAERR,
                          "pattern '%.*s' matches no characters at all, which is not supported",
                          (int)(size < 100 ? size : 100), text);
    return 0;
}

static int keep_string(struct mf_pattern *p, const char *text, size_t size, struct mf_err *err) {
    if (size == 0) return mf_err_set(err, EX_DATAERR, "a pattern of no characters");
    p->string = malloc(size);
    if (!p->string) mf_no_memory();
    memcpy(p->string, text, size);
    p->size = size;
    return 0;
}

int mf_pattern_new_scanner(struct mf_pattern **pattern, mf_scanner *scanner, struct mf_err *err) {
    (void)err;
    struct mf_pattern *p = calloc(1, sizeof *p);
    if (!p) mf_no_memory();
    p->scanner = scanner;
    *pattern = p;
    return 0;
}

int mf_pattern_new(struct mf_pattern **pattern, enum mf_pattern_kind kind, const char *text, size_t size,
                   struct mf_err *err) {
    struct mf_pattern *p;
    if (mf_pattern_new_scanner(&p, NULL, err) < 0) return -1;
    if (kind == MF_PATTERN_REGEX) p->scanner = mf_family_scanner(text, size);
    int status = kind == MF_PATTERN_STRING ? keep_string(p, text, size, err)
                 : p->scanner              ? 0
                                           : compile(p, text, size, err);
    if (status < 0) {
        mf_pattern_free(p);
        return -1;
    }
    *pattern = p;
    return 0;
}

void mf_pattern_free(struct mf_pattern *p) {
    if (!p) return;
    free(p->string);
    free(p->regex);
    pcre2_code_free(p->code);
    free(p);
}

/* --- searching --- */

struct mf_search *mf_search_new(const struct mf_pattern *pattern) {
    if (!pattern) return NULL;
    struct mf_search *s = calloc(1, sizeof *s);
    if (!s) mf_no_memory();
    s->pattern = pattern;
    if (pattern->code) {
        s->match = pcre2_match_data_create(1, NULL);
        s->context = pcre2_match_context_create(NULL);
        s->stack = pcre2_jit_stack_create(STACK_LEAST, STACK_MOST, NULL);
        if (!s->match || !s->context || !s->stack) mf_no_memory();
        pcre2_set_heap_limit(s->context, STACK_MOST >> 10);
        pcre2_jit_stack_assign(s->context, NULL, s->stack);
    }
    return s;
}

void mf_search_free(struct mf_search *s) {
    if (!s) return;
    pcre2_code_free(s->here);
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->context);
    pcre2_jit_stack_free(s->stack);
    free(s->masked);
    free(s);
}

/* Where the first byte is that is not of valid UTF-8, or `size`. */
static size_t first_stray(const char *text, size_t size, size_t at) {
    for (bool valid; at < size;) {
        if ((unsigned char)text[at] < 0x80) {
            at++;
            continue;
        }
        size_t n = mf_utf8_step((const unsigned char *)text + at, size - at, &valid);
        if (!valid) return at;
        at += n;
    }
    return size;
}

/* PCRE2 takes valid UTF-8 only: each stray byte becomes U+0001, so that places stay as they are. */
static int mask(struct mf_search *s, size_t stray, struct mf_err *err) {
    if (s->capacity < s->size) {
        free(s->masked);
        s->masked = malloc(s->size);
        s->capacity = s->masked ? s->size : 0;
        if (!s->masked) return mf_err_set(err, EX_OSERR, "out of memory for a text of %zu bytes", s->size);
    }
    memcpy(s->masked, s->text, s->size);
    for (; stray < s->size; stray = first_stray(s->text, s->size, stray + 1)) s->masked[stray] = 1;
    s->text = s->masked;
    return 0;
}

int mf_search_begin(struct mf_search *s, const char *text, size_t size, struct mf_err *err) {
    s->text = text;
    s->size = size;
    s->at = 0;
    if (!s->pattern->code) return 0;
    size_t stray = first_stray(text, size, 0);
    return stray < size ? mask(s, stray, err) : 0;
}

void mf_search_text(struct mf_search *s, size_t size) {
    if (s) s->steps = TEXT_STEPS + (uint64_t)FREE_STEPS * size;
}

static int match(struct mf_search *s, const pcre2_code *code, size_t at, uint32_t limit) {
    pcre2_set_match_limit(s->context, limit);
    return pcre2_match(code, (PCRE2_SPTR)s->text, s->size, at, PCRE2_NO_UTF_CHECK, s->match, s->context);
}

/* At one place: with twice the steps as long as they are too few, of which the failed ones are counted. */
static int match_here(struct mf_search *s, size_t at) {
    for (uint32_t limit = FREE_STEPS;; limit *= 2) {
        int n = match(s, s->here, at, limit);
        if (n != PCRE2_ERROR_MATCHLIMIT || limit > MATCH_LIMIT / 2 || s->steps < limit) return n;
        s->steps -= limit;
    }
}

/* PCRE2 does not say how many steps a match took, and its limit is for each place where one may begin: where
 * there are places that need many, they are tried one by one. */
static int match_by_place(struct mf_search *s) {
    int n = PCRE2_ERROR_NOMATCH;
    bool valid;
    if (!s->here && !(s->here = compile_regex(s->pattern, PCRE2_ANCHORED, &n))) mf_no_memory();
    for (size_t at = s->at; at < s->size;
         at += mf_utf8_step((const unsigned char *)s->text + at, s->size - at, &valid))
        if ((n = match_here(s, at)) != PCRE2_ERROR_NOMATCH) return n;
    return PCRE2_ERROR_NOMATCH;
}

static int next_pcre(struct mf_search *s, size_t *begin, size_t *end, struct mf_err *err) {
    int n = match(s, s->pattern->code, s->at, FREE_STEPS);
    if (n == PCRE2_ERROR_MATCHLIMIT) n = match_by_place(s);
    if (n == PCRE2_ERROR_NOMATCH) return 0;
    if (n < 0) {
        char reason[120];
        pcre2_get_error_message(n, (PCRE2_UCHAR *)reason, sizeof reason);
        return mf_err_set(err, EX_DATAERR, "a pattern gives up on %zu bytes of text: %s", s->size - s->at,
                          reason);
    }
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(s->match);
    *begin = bounds[0];
    *end = bounds[1];
    return 1;
}

int mf_search_next(struct mf_search *s, size_t *begin, size_t *end, struct mf_err *err) {
    int found = 0;
    if (s->at >= s->size) return 0;
    if (s->pattern->string) {
        const char *at = memmem(s->text + s->at, s->size - s->at, s->pattern->string, s->pattern->size);
        found = at != NULL;
        *begin = at ? (size_t)(at - s->text) : 0;
        *end = *begin + s->pattern->size;
    } else {
        found = s->pattern->scanner ? s->pattern->scanner(s->text, s->size, s->at, begin, end)
                                    : next_pcre(s, begin, end, err);
    }
    if (found > 0) s->at = *end;
    return found;
}
