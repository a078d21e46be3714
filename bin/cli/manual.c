/* The manual page of a program, in the man(7) macros, from the tables and notes that --help shows.
 *
 * Its date is the version's, so that the same source gives the same page. */
#include "cli/help.h"

#include <ctype.h>
#include <string.h>

#include "cli/roff.h"

/* All programs, in the order documents flow through them. */
static const char *const programs[] = {"mf-docs",         "mf-tokenize", "mf-partition", "mf-train-shared",
                                       "mf-train-expert", "mf-assemble", "mf-calibrate", "mf-eval",
                                       "mf-config",       "mf-cat",      "mf-time"};

static void put_synopsis(struct mf_roff *p, const char *synopsis) {
    while (*synopsis) {
        size_t n = strcspn(synopsis, "\n");
        mf_roff_words(p, synopsis, n, true);
        mf_roff_end_line(p);
        synopsis += n;
        if (*synopsis) synopsis++, printf(".br\n");
    }
    p->fresh = false;
}

static void put_options(struct mf_roff *p, const struct mf_option *options) {
    for (const struct mf_option *o = options; o && o->name; o++) {
        mf_roff_end_line(p);
        printf(".TP\n");
        if (o->letter) printf("\\fB\\-%c\\fR, ", o->letter);
        printf("\\fB\\-\\-");
        mf_roff_bytes(o->name, strlen(o->name), true);
        printf("\\fR");
        if (o->argument) printf(" ");
        if (o->argument && o->kind == MF_OPT_CHOICE)
            mf_roff_font('B', o->argument, strlen(o->argument));
        else if (o->argument)
            mf_roff_font('I', o->argument, strlen(o->argument));
        printf("\n");
        mf_roff_words(p, o->help, strlen(o->help), false);
    }
    mf_roff_end_line(p);
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
static void put_examples(struct mf_roff *p, const char *text, size_t n) {
    bool code = false, explained = false;
    while (n) {
        size_t line = mf_line_size(text, n), indent = strspn(text, " ");
        size_t explanation = indent < line ? find_explanation(text + indent, line - indent) + indent : line;
        if (explained && indent > 10) {
            mf_roff_words(p, text, line, false);
        } else if (explanation < line) {
            size_t command = explanation;
            while (text[command - 1] == ' ') command--;
            if (code) printf(".EE\n");
            mf_roff_end_line(p);
            printf(".TP\n");
            mf_roff_font('B', text + indent, command - indent);
            printf("\n");
            mf_roff_words(p, text + explanation, line - explanation, false);
            code = false, explained = true, p->fresh = false;
        } else {
            if (!code) mf_roff_paragraph(p), printf(".EX\n");
            size_t skip = indent < 2 ? indent : 2;
            mf_roff_code(p, text + skip, line - skip);
            code = true, explained = false;
        }
        text += line, n -= line;
        if (n) text++, n--;
    }
    mf_roff_end_line(p);
    if (code) printf(".EE\n");
}

/* "0, or 64 wrong use, 73 or 74 cannot write" as a list: the numbers, then what they mean. */
static void put_statuses(struct mf_roff *p, const char *text, size_t n) {
    while (n) {
        size_t item = 1;
        while (item < n &&
               !(text[item] == ',' && item + 2 < n && isspace((unsigned char)text[item + 1]) &&
                 (isdigit((unsigned char)text[item + 2]) || strncmp(text + item + 2, "or ", 3) == 0)))
            item++;
        size_t numbers = strspn(text, "0123456789");
        if (strncmp(text + numbers, " or ", 4) == 0 && isdigit((unsigned char)text[numbers + 4]))
            numbers += 4 + strspn(text + numbers + 4, "0123456789");
        mf_roff_end_line(p);
        printf(".TP\n");
        mf_roff_font('B', text, numbers);
        printf("\n");
        size_t end = item;
        if (item == n && text[end - 1] == '.') end--;
        if (numbers < end)
            mf_roff_words(p, text + numbers, end - numbers, false);
        else
            mf_roff_words(p, "success", 7, false);
        text += item, n -= item;
        while (n && !isdigit((unsigned char)*text)) text++, n--;
    }
    mf_roff_end_line(p);
    p->fresh = false;
}

static bool has_note(const char *notes, int kind) {
    struct mf_note note;
    while (mf_note_next(&notes, &note))
        if ((int)note.kind == kind) return true;
    return false;
}

/* All paragraphs of one kind. */
static void put_notes(struct mf_roff *p, const char *notes, int kind) {
    struct mf_note note;
    while (mf_note_next(&notes, &note)) {
        if ((int)note.kind != kind) continue;
        if (note.kind == MF_NOTE_TEXT) mf_roff_text(p, note.text, note.size);
        if (note.kind == MF_NOTE_EXAMPLES) put_examples(p, note.text, note.size);
        if (note.kind == MF_NOTE_STATUS) put_statuses(p, note.text, note.size);
    }
}

/* The title, NAME and the head of SYNOPSIS. */
static void put_head(struct mf_roff *p, const char *program, const char *purpose) {
    char name[64];
    snprintf(name, sizeof name, "%s", program);
    for (char *c = name; *c; c++)
        if (*c == ' ') *c = '-'; /* man(1) looks for a command's page under this name */
    printf(".\\\" Made from the tables behind --help: %s --help=man\n.TH ", program);
    for (const char *c = name; *c; c++) putchar(toupper((unsigned char)*c));
    printf(" 1 %s \"ModularForge %s\" \"ModularForge\"\n.SH NAME\n", MF_DATE, MF_VERSION);
    mf_roff_bytes(name, strlen(name), true);
    printf(" \\-\n");
    mf_roff_words(p, purpose, strlen(purpose), false);
    mf_roff_heading(p, "SH", "SYNOPSIS");
}

static void put_common(struct mf_roff *p, const struct mf_option *common) {
    mf_roff_heading(p, "SH", "\"COMMON OPTIONS\"");
    put_options(p, common);
    put_options(p, mf_help_options);
}

static void put_see_also(struct mf_roff *p, const char *program) {
    size_t n = sizeof programs / sizeof programs[0], last = n - 1;
    if (strcmp(programs[last], program) == 0) last--;
    mf_roff_heading(p, "SH", "\"SEE ALSO\"");
    for (size_t i = 0; i < n; i++) {
        if (strcmp(programs[i], program) == 0) continue;
        printf(".BR ");
        mf_roff_bytes(programs[i], strlen(programs[i]), true);
        printf(" (1)%s\n", i == last ? "" : ",");
    }
}

static void put_command(struct mf_roff *p, const struct mf_usage *usage) {
    const char *name = strchr(usage->program, ' ');
    mf_roff_heading(p, "SS", name ? name + 1 : usage->program);
    put_synopsis(p, usage->synopsis);
    put_notes(p, usage->notes, MF_NOTE_TEXT);
    put_options(p, usage->options);
    if (!has_note(usage->notes, MF_NOTE_STATUS)) return;
    mf_roff_paragraph(p);
    printf("Exit status:\n");
    put_notes(p, usage->notes, MF_NOTE_STATUS);
}

static void put_command_examples(struct mf_roff *p, const struct mf_usage *usage) {
    const char *name = strchr(usage->program, ' ');
    if (!has_note(usage->notes, MF_NOTE_EXAMPLES)) return;
    mf_roff_heading(p, "SS", name ? name + 1 : usage->program);
    put_notes(p, usage->notes, MF_NOTE_EXAMPLES);
}

static void put_page(struct mf_roff *p, const struct mf_usage *usage, const struct mf_option *common) {
    put_head(p, usage->program, usage->purpose);
    put_synopsis(p, usage->synopsis);
    if (has_note(usage->notes, MF_NOTE_TEXT)) {
        mf_roff_heading(p, "SH", "DESCRIPTION");
        put_notes(p, usage->notes, MF_NOTE_TEXT);
    }
    if (usage->options && usage->options->name) {
        mf_roff_heading(p, "SH", "OPTIONS");
        put_options(p, usage->options);
    }
    put_common(p, common);
    if (has_note(usage->notes, MF_NOTE_STATUS)) {
        mf_roff_heading(p, "SH", "\"EXIT STATUS\"");
        put_notes(p, usage->notes, MF_NOTE_STATUS);
    }
    if (has_note(usage->notes, MF_NOTE_EXAMPLES)) {
        mf_roff_heading(p, "SH", "EXAMPLES");
        put_notes(p, usage->notes, MF_NOTE_EXAMPLES);
    }
    put_see_also(p, usage->program);
}

void mf_manual_print(enum mf_help_form form, const struct mf_usage *usage, const struct mf_option *common) {
    struct mf_roff p = {0};
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
    struct mf_roff p = {0};
    char usage[128];
    put_head(&p, program, purpose);
    snprintf(usage, sizeof usage, "%s COMMAND [OPTION]... [FILE]...", program);
    put_synopsis(&p, usage);
    mf_roff_heading(&p, "SH", "DESCRIPTION");
    for (const struct mf_command *c = commands; c->name; c++) {
        printf(".TP\n");
        mf_roff_font('B', c->name, strlen(c->name));
        printf("\n");
        mf_roff_words(&p, c->purpose, strlen(c->purpose), false);
        mf_roff_end_line(&p);
    }
    mf_roff_heading(&p, "SH", "COMMANDS");
    int status = mf_help_ask(commands, MF_HELP_MAN_COMMAND);
    if (status) return status;
    put_common(&p, common);
    mf_roff_heading(&p, "SH", "\"EXIT STATUS\"");
    put_statuses(&p, statuses, strlen(statuses));
    mf_roff_heading(&p, "SH", "EXAMPLES");
    status = mf_help_ask(commands, MF_HELP_MAN_EXAMPLES);
    put_see_also(&p, program);
    return status;
}
