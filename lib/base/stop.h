/* The one signal flag of a process: SIGINT and SIGTERM ask a training to stop after the step it is in. */
#ifndef MF_BASE_STOP_H
#define MF_BASE_STOP_H

/* From now on SIGINT and SIGTERM only set the flag; a second one ends the process at once. */
void mf_stop_watch(void);

/* The signal that came, or 0. A program that stops for it exits with 128 + that number. */
int mf_stop_signal(void);

#endif
