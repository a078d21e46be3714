/* The manual page of a program, in the man(7) macros, from the tables and notes that --help shows.
 *
 * Lines are broken between words and hold no trailing space, every hyphen of an option is one that can be
 * copied, and the date is the version's: what mandoc -Tlint and man --warnings accept. */
#include "base/help.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define LINE    60 /* characters of a line of the page's source; escapes come on top */
#define EXAMPLE 70 /* columns of an example before it is folded */

/* All programs, in the order documents flow through them. */
static const char *const programs[] = {"mf-docs",         "mf-tokenize", "mf-partition", "mf-train-shared",
                                       "mf-train-expert", "mf-assemble", "mf-calibrate", "mf-eval",
                                       "mf-config",       "mf-cat"};

struct page {
    size_t at;  /* bytes of the current line */
    bool fresh; /* a heading was just printed: a paragraph needs no macro */
};

static void end_line(struct page *p) {
    if (p->at) printf("\n");
    p->at = 0;
}

static void heading(struct page *p, const char *macro, const char *title) {
    end_line(p);
    printf(".%s %s\n", macro, title);
    p->fresh = true;
}

static void paragraph(struct page *p) {
    end_line(p);
    if (!p->fresh) printf(".PP\n");
    p->fresh = false;
}

/* Bytes as roff shows them unchanged; in code and option names a hyphen is the one of the keyboard. */
static void put_bytes(const char *text, size_t n, bool code) {
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

static void put_font(char font, const char *text, size_t n) {
    printf("\\f%c", font);
    put_bytes(text, n, true);
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
    put_bytes(word, lead, false);
    if (option || program)
        put_font('B', core, size);
    else if (usage && is_operand(core, size))
        put_font('I', core, size);
    else
        put_bytes(core, size, false);
    put_bytes(word + end, n - end, false);
}

/* Words with line breaks between them. An abbreviation's stop at a line's end is no sentence's. */
static void put_words(struct page *p, const char *text, size_t n, bool usage) {
    while (n) {
        size_t gap = 0;
        while (gap < n && isspace((unsigned char)text[gap])) gap++;
        text += gap, n -= gap;
        size_t word = 0;
        while (word < n && !isspace((unsigned char)text[word])) word++;
        if (!word) break;
        if (p->at && p->at + 1 + word > LINE) end_line(p);
        if (p->at) p->at += (size_t)printf(" ");
        if (!p->at && (text[0] == '.' || text[0] == '\'')) printf("\\&");
        put_styled(text, word, usage);
        p->at += word;
        if (word == 4 && strncmp(text, "e.g.", 4) == 0) printf("\\&");
        text += word, n -= word;
    }
}

static size_t line_size(const char *text, size_t n) {
    const char *end = memchr(text, '\n', n);
    return end ? (size_t)(end - text) : n;
}

/* A line of code, folded where it is long: at spaces outside quotes, but not between an option and its value.
 */
static void put_code(struct page *p, const char *text, size_t n) {
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
        put_bytes(text + begin, space - begin, true);
        printf(" \\e\n");
        begin = space + 1;
        indent = 4;
    }
    printf("%*s", (int)indent, "");
    if (text[begin] == '.' && !indent) printf("\\&");
    put_bytes(text + begin, n - begin, true);
    printf("\n");
    p->at = 0;
}

/* A paragraph; lines that begin with a space are shown as they are. */
static void put_text(struct page *p, const char *text, size_t n) {
    bool code = false;
    paragraph(p);
    while (n) {
        size_t line = line_size(text, n);
        if ((text[0] == ' ') != code) {
            end_line(p);
            printf(code ? ".EE\n" : ".EX\n");
            code = !code;
        }
        if (code)
            put_code(p, text, line);
        else
            put_words(p, text, line, false);
        text += line, n -= line;
        if (n) text++, n--;
    }
    end_line(p);
    if (code) printf(".EE\n");
}

static void put_synopsis(struct page *p, const char *synopsis) {
    while (*synopsis) {
        size_t n = strcspn(synopsis, "\n");
        put_words(p, synopsis, n, true);
        end_line(p);
        synopsis += n;
        if (*synopsis) synopsis++, printf(".br\n");
    }
    p->fresh = false;
}

static void put_options(struct page *p, const struct mf_option *options) {
    for (const struct mf_option *o = options; o && o->name; o++) {
        end_line(p);
        printf(".TP\n");
        if (o->letter) printf("\\fB\\-%c\\fR, ", o->letter);
        printf("\\fB\\-\\-");
        put_bytes(o->name, strlen(o->name), true);
        printf("\\fR");
        if (o->argument) printf(" ");
        if (o->argument && o->kind == MF_OPT_CHOICE)
            put_font('B', o->argument, strlen(o->argument));
        else if (o->argument)
            put_font('I', o->argument, strlen(o->argument));
        printf("\n");
        put_words(p, o->help, strlen(o->help), false);
    }
    end_line(p);
    p->fresh = false;
}

/* Where the explanation behind an example begins, or `n`. */
static size_t find_explanation(const char *line, size_t n) {
    for (size_t i = 2; i + 3 < n; i++)
        if (strncmp(line + i, "   ", 3) == 0 && line[i - 1] != ' ') return i + strspn(line + i, " ");
    return n;
}

/* The lines of an examples paragraph. What is explained becomes an item, with its explanation's further lines
 * (indented deeply); the others are shown as they are. */
static void put_examples(struct page *p, const char *text, size_t n) {
    bool code = false, explained = false;
    while (n) {
        size_t line = line_size(text, n), indent = strspn(text, " ");
        size_t explanation = indent < line ? find_explanation(text + indent, line - indent) + indent : line;
        if (explained && indent > 10) {
            put_words(p, text, line, false);
        } else if (explanation < line) {
            size_t command = explanation;
            while (text[command - 1] == ' ') command--;
            if (code) printf(".EE\n");
            end_line(p);
            printf(".TP\n");
            put_font('B', text + indent, command - indent);
            printf("\n");
            put_words(p, text + explanation, line - explanation, false);
            code = false, explained = true, p->fresh = false;
        } else {
            if (!code) paragraph(p), printf(".EX\n");
            size_t skip = indent < 2 ? indent : 2;
            put_code(p, text + skip, line - skip);
            code = true, explained = false;
        }
        text += line, n -= line;
        if (n) text++, n--;
    }
    end_line(p);
    if (code) printf(".EE\n");
}

/* "0, or 64 wrong use, 73 or 74 cannot write" as a list: the numbers, then what they mean. */
static void put_statuses(struct page *p, const char *text, size_t n) {
    while (n) {
        size_t item = 1;
        while (item < n &&
               !(text[item] == ',' && item + 2 < n && isspace((unsigned char)text[item + 1]) &&
                 (isdigit((unsigned char)text[item + 2]) || strncmp(text + item + 2, "or ", 3) == 0)))
            item++;
        size_t numbers = strspn(text, "0123456789");
        if (strncmp(text + numbers, " or ", 4) == 0 && isdigit((unsigned char)text[numbers + 4]))
            numbers += 4 + strspn(text + numbers + 4, "0123456789");
        end_line(p);
        printf(".TP\n");
        put_font('B', text, numbers);
        printf("\n");
        size_t end = item;
        if (item == n && text[end - 1] == '.') end--;
        if (numbers < end)
            put_words(p, text + numbers, end - numbers, false);
        else
            put_words(p, "success", 7, false);
        text += item, n -= item;
        while (n && !isdigit((unsigned char)*text)) text++, n--;
    }
    end_line(p);
    p->fresh = false;
}

static bool has_note(const char *notes, int kind) {
    struct mf_note note;
    while (mf_note_next(&notes, &note))
        if ((int)note.kind == kind) return true;
    return false;
}

/* All paragraphs of one kind. */
static void put_notes(struct page *p, const char *notes, int kind) {
    struct mf_note note;
    while (mf_note_next(&notes, &note)) {
        if ((int)note.kind != kind) continue;
        if (note.kind == MF_NOTE_TEXT) put_text(p, note.text, note.size);
        if (note.kind == MF_NOTE_EXAMPLES) put_examples(p, note.text, note.size);
        if (note.kind == MF_NOTE_STATUS) put_statuses(p, note.text, note.size);
    }
}

/* The title, NAME and the head of SYNOPSIS. */
static void put_head(struct page *p, const char *program, const char *purpose) {
    char name[64];
    snprintf(name, sizeof name, "%s", program);
    for (char *c = name; *c; c++)
        if (*c == ' ') *c = '-'; /* man(1) looks for a command's page under this name */
    printf(".\\\" Made from the tables behind --help: %s --help=man\n.TH ", program);
    for (const char *c = name; *c; c++) putchar(toupper((unsigned char)*c));
    printf(" 1 %s \"ModularForge %s\" \"ModularForge\"\n.SH NAME\n", MF_DATE, MF_VERSION);
    put_bytes(name, strlen(name), true);
    printf(" \\- ");
    put_bytes(purpose, strlen(purpose), false);
    printf("\n");
    heading(p, "SH", "SYNOPSIS");
}

static void put_common(struct page *p, const struct mf_option *common) {
    heading(p, "SH", "\"COMMON OPTIONS\"");
    put_options(p, common);
    put_options(p, mf_help_options);
}

static void put_see_also(struct page *p, const char *program) {
    size_t n = sizeof programs / sizeof programs[0], last = n - 1;
    if (strcmp(programs[last], program) == 0) last--;
    heading(p, "SH", "\"SEE ALSO\"");
    for (size_t i = 0; i < n; i++) {
        if (strcmp(programs[i], program) == 0) continue;
        printf(".BR ");
        put_bytes(programs[i], strlen(programs[i]), true);
        printf(" (1)%s\n", i == last ? "" : ",");
    }
}

static void put_command(struct page *p, const struct mf_usage *usage) {
    const char *name = strchr(usage->program, ' ');
    heading(p, "SS", name ? name + 1 : usage->program);
    put_synopsis(p, usage->synopsis);
    put_notes(p, usage->notes, MF_NOTE_TEXT);
    put_options(p, usage->options);
    if (!has_note(usage->notes, MF_NOTE_STATUS)) return;
    paragraph(p);
    printf("Exit status:\n");
    put_notes(p, usage->notes, MF_NOTE_STATUS);
}

static void put_command_examples(struct page *p, const struct mf_usage *usage) {
    const char *name = strchr(usage->program, ' ');
    if (!has_note(usage->notes, MF_NOTE_EXAMPLES)) return;
    heading(p, "SS", name ? name + 1 : usage->program);
    put_notes(p, usage->notes, MF_NOTE_EXAMPLES);
}

static void put_page(struct page *p, const struct mf_usage *usage, const struct mf_option *common) {
    put_head(p, usage->program, usage->purpose);
    put_synopsis(p, usage->synopsis);
    if (has_note(usage->notes, MF_NOTE_TEXT)) {
        heading(p, "SH", "DESCRIPTION");
        put_notes(p, usage->notes, MF_NOTE_TEXT);
    }
    if (usage->options && usage->options->name) {
        heading(p, "SH", "OPTIONS");
        put_options(p, usage->options);
    }
    put_common(p, common);
    if (has_note(usage->notes, MF_NOTE_STATUS)) {
        heading(p, "SH", "\"EXIT STATUS\"");
        put_notes(p, usage->notes, MF_NOTE_STATUS);
    }
    if (has_note(usage->notes, MF_NOTE_EXAMPLES)) {
        heading(p, "SH", "EXAMPLES");
        put_notes(p, usage->notes, MF_NOTE_EXAMPLES);
    }
    put_see_also(p, usage->program);
}

void mf_manual_print(enum mf_help_form form, const struct mf_usage *usage, const struct mf_option *common) {
    struct page p = {0};
    if (form == MF_HELP_MAN_COMMAND)
        put_command(&p, usage);
    else if (form == MF_HELP_MAN_EXAMPLES)
        put_command_examples(&p, usage);
    else
        put_page(&p, usage, common);
}

int mf_manual_commands(const char *program, const char *purpose, const struct mf_command *commands,
                       const struct mf_option *common) {
    static const char statuses[] =
        "0, or 64 wrong use, 65 malformed input or inputs that do not belong together, 66 input cannot be "
        "opened, 70 numbers that are not finite, 73 or 74 cannot write, 78 bad config.";
    struct page p = {0};
    char usage[128];
    put_head(&p, program, purpose);
    snprintf(usage, sizeof usage, "%s COMMAND [OPTION]... [FILE]...", program);
    put_synopsis(&p, usage);
    heading(&p, "SH", "DESCRIPTION");
    for (const struct mf_command *c = commands; c->name; c++) {
        printf(".TP\n");
        put_font('B', c->name, strlen(c->name));
        printf("\n");
        put_words(&p, c->purpose, strlen(c->purpose), false);
        end_line(&p);
    }
    heading(&p, "SH", "COMMANDS");
    int status = mf_help_ask(commands, MF_HELP_MAN_COMMAND);
    if (status) return status;
    put_common(&p, common);
    heading(&p, "SH", "\"EXIT STATUS\"");
    put_statuses(&p, statuses, strlen(statuses));
    heading(&p, "SH", "EXAMPLES");
    status = mf_help_ask(commands, MF_HELP_MAN_EXAMPLES);
    put_see_also(&p, program);
    return status;
}
