/* Time and memory of this process, as people ask for them. */
#ifndef MF_BASE_CLOCK_H
#define MF_BASE_CLOCK_H

#include <stddef.h>

double mf_now(void);         /* seconds of a clock that never steps back */
double mf_cpu_seconds(void); /* that the processors worked for this process, all threads together */
size_t mf_peak_memory(void); /* peak resident memory so far, in bytes (VmHWM) */

#endif
