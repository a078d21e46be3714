/* The precision of products: what a setting comes to on this processor, and why. */
#ifndef MF_CLI_PRECISION_H
#define MF_CLI_PRECISION_H

#include <stdbool.h>
#include "config/config.h"

/* Are products made in bf16 (nn/bf16.h) by a setting, an enum mf_precision? */
bool mf_precision_bf16(int setting);

/* "bf16" or "fp32". */
const char *mf_precision_name(bool bf16);

/* What this processor has for bf16: the reason for what `auto` is. */
const char *mf_precision_units(void);

#endif
