/* Text in the man(7) macros: escapes, fonts, line breaks, folded code. */
#include "cli/roff.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define LINE    48 /* characters of a line of the page's source; escapes come on top */
#define EXAMPLE 70 /* columns of an example before it is folded */

void mf_roff_end_line(struct mf_roff *p) {
    if (p->at) printf("\n");
    p->at = 0;
}

void mf_roff_heading(struct mf_roff *p, const char *macro, const char *title) {
    mf_roff_end_line(p);
    printf(".%s %s\n", macro, title);
    p->fresh = true;
}

void mf_roff_paragraph(struct mf_roff *p) {
    mf_roff_end_line(p);
    if (!p->fresh) printf(".PP\n");
    p->fresh = false;
}

void mf_roff_bytes(const char *text, size_t n, bool code) {
    for (size_t i = 0; i < n; i++) {
        switch (text[i]) {
        case '\\':
            printf("\\e");
            break;
        case '-':
            printf(code ? "\\-" : "-");
            break;
        case '\'':
            printf("\\(aq");
            break;
        case '`':
            printf("\\(ga");
            break;
        case '^':
            printf("\\(ha");
            break;
        case '~':
            printf("\\(ti");
            break;
        case '"':
            printf("\\(dq");
            break;
        default:
            putchar(text[i]);
        }
    }
}

void mf_roff_font(char font, const char *text, size_t n) {
    printf("\\f%c", font);
    mf_roff_bytes(text, n, true);
    printf("\\fR");
}

/* All of it is of capitals: FILE, SECTION.KEY. */
static bool is_operand(const char *text, size_t n) {
    size_t letters = 0;
    for (size_t i = 0; i < n; i++) {
        if (islower((unsigned char)text[i])) return false;
        letters += isupper((unsigned char)text[i]) != 0;
    }
    return letters > 0;
}

/* One word: options and programs are bold, and in a synopsis (`usage`) capitals are italic. Punctuation
 * around them is not. */
static void put_styled(const char *word, size_t n, bool usage) {
    size_t lead = 0, end;
    while (lead < n && strchr("([`'\"<", word[lead])) lead++;
    for (end = lead; end < n && (isalnum((unsigned char)word[end]) || strchr("-_./=*", word[end]));) end++;
    while (end > lead && word[end - 1] == '.') end--;
    const char *core = word + lead;
    size_t size = end - lead;
    bool option = size > 1 && core[0] == '-' && (core[1] == '-' || isalpha((unsigned char)core[1]));
    bool program = size > 3 && strncmp(core, "mf-", 3) == 0;
    mf_roff_bytes(word, lead, false);
    if (option || program)
        mf_roff_font('B', core, size);
    else if (usage && is_operand(core, size))
        mf_roff_font('I', core, size);
    else
        mf_roff_bytes(core, size, false);
    mf_roff_bytes(word + end, n - end, false);
}

/* Words with line breaks between them. An abbreviation's stop at a line's end is no sentence's. */
void mf_roff_words(struct mf_roff *p, const char *text, size_t n, bool usage) {
    while (n) {
        size_t gap = 0;
        while (gap < n && isspace((unsigned char)text[gap])) gap++;
        text += gap, n -= gap;
        size_t word = 0;
        while (word < n && !isspace((unsigned char)text[word])) word++;
        if (!word) break;
        if (p->at && p->at + 1 + word > LINE) mf_roff_end_line(p);
        if (p->at) p->at += (size_t)printf(" ");
        if (!p->at && (text[0] == '.' || text[0] == '\'')) printf("\\&");
        put_styled(text, word, usage);
        p->at += word;
        if (word == 4 && strncmp(text, "e.g.", 4) == 0) printf("\\&");
        text += word, n -= word;
    }
}

size_t mf_line_size(const char *text, size_t n) {
    const char *end = memchr(text, '\n', n);
    return end ? (size_t)(end - text) : n;
}

void mf_roff_code(struct mf_roff *p, const char *text, size_t n) {
    size_t begin = 0, word = 0, space = 0, indent = 0;
    char quote = 0;
    for (size_t i = 0; i < n; i++) {
        if (quote ? text[i] == quote : text[i] == '\'' || text[i] == '"') quote = quote ? 0 : text[i];
        if (text[i] == ' ' && !quote) {
            if (text[word] != '-') space = i;
            word = i + 1;
        }
        if (indent + i - begin < EXAMPLE || space <= begin) continue;
        if (!begin && text[0] == '.') printf("\\&");
        printf("%*s", (int)indent, "");
        mf_roff_bytes(text + begin, space - begin, true);
        printf(" \\e\n");
        begin = space + 1;
        indent = 4;
    }
    printf("%*s", (int)indent, "");
    if (text[begin] == '.' && !indent) printf("\\&");
    mf_roff_bytes(text + begin, n - begin, true);
    printf("\n");
    p->at = 0;
}

void mf_roff_text(struct mf_roff *p, const char *text, size_t n) {
    bool code = false;
    mf_roff_paragraph(p);
    while (n) {
        size_t line = mf_line_size(text, n);
        if ((text[0] == ' ') != code) {
            mf_roff_end_line(p);
            printf(code ? ".EE\n" : ".EX\n");
            code = !code;
        }
        if (code)
            mf_roff_code(p, text, line);
        else
            mf_roff_words(p, text, line, false);
        text += line, n -= line;
        if (n) text++, n--;
    }
    mf_roff_end_line(p);
    if (code) printf(".EE\n");
}
