/* The one signal flag of a process: SIGINT and SIGTERM ask a training to stop after the step it is in. */
#ifndef MF_BASE_STOP_H
#define MF_BASE_STOP_H

/* Signals that come within so many milliseconds are one request: who stops a group of processes reaches a
 * program directly and through mf-time, which hands its own on. */
#define MF_STOP_ONCE 1000

/* From now on SIGINT and SIGTERM only set the flag; a second one, later, ends the process at once. */
void mf_stop_watch(void);

/* The signal that came, or 0. A program that stops for it exits with 128 + that number. */
int mf_stop_signal(void);

#endif
