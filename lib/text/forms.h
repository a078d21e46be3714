/* Unicode's normalization forms of long texts: only what is near a character that a form may change is handed
 * to utf8proc. */
#ifndef MF_TEXT_FORMS_H
#define MF_TEXT_FORMS_H

#include "text/tokenizer.h"

enum mf_form { MF_NFC, MF_NFD, MF_NFKC, MF_NFKD, MF_FORMS };

/* What is known of each character so far, by form; zeroed at first. One a thread. */
struct mf_forms {
    unsigned char *known[MF_FORMS];
};
void mf_forms_free(struct mf_forms *forms);

/* Does the form leave valid UTF-8 and stray bytes as they are? May say no where it does. */
bool mf_form_keeps(struct mf_forms *forms, enum mf_form form, const char *text, size_t size);

/* Appends the text in its form. EX_OSERR. */
int mf_form_put(struct mf_forms *forms, enum mf_form form, const char *text, size_t size, struct mf_text *out,
                struct mf_err *err);

#endif
