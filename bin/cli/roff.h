/* Text in the man(7) macros, on standard output; used by manual.c alone.
 *
 * Lines are broken between words, every hyphen of an option is one that can be copied, and text never reads
 * as a macro: what mandoc -Tlint and man --warnings accept. */
#ifndef MF_CLI_ROFF_H
#define MF_CLI_ROFF_H

#include <stdbool.h>
#include <stddef.h>

/* Where a page stands; zeroed at first. */
struct mf_roff {
    size_t at;  /* characters of the current line */
    bool fresh; /* a heading was just printed: a paragraph needs no macro */
};

void mf_roff_end_line(struct mf_roff *p);
void mf_roff_heading(struct mf_roff *p, const char *macro, const char *title); /* macro: "SH" or "SS" */
void mf_roff_paragraph(struct mf_roff *p);

/* Bytes as roff shows them unchanged; in code and option names a hyphen is the one of the keyboard. */
void mf_roff_bytes(const char *text, size_t n, bool code);

/* The same in bold ('B') or italics ('I'). */
void mf_roff_font(char font, const char *text, size_t n);

/* Words, broken into lines: options and programs are bold, and in a synopsis (`usage`) capitals are italic.
 */
void mf_roff_words(struct mf_roff *p, const char *text, size_t n, bool usage);

/* A line of code, folded where it is long: at spaces outside quotes, not between an option and its value. */
void mf_roff_code(struct mf_roff *p, const char *text, size_t n);

/* A paragraph; lines that begin with a space are shown as they are. */
void mf_roff_text(struct mf_roff *p, const char *text, size_t n);

/* Bytes of the first line of `text`, without its end. */
size_t mf_line_size(const char *text, size_t n);

#endif
