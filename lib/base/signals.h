/* The one signal flag of a process: SIGINT, SIGTERM and SIGHUP ask a training to stop after the step it is
 * in. */
#ifndef MF_BASE_SIGNALS_H
#define MF_BASE_SIGNALS_H

#include <signal.h>

/* Signals that come within so many milliseconds are one request: who stops a group of processes reaches a
 * program directly and through mf-time, which hands its own on. */
#define MF_SIGNALS_ONCE 1000

/* From now on SIGINT, SIGTERM and SIGHUP only set the flag; a second one, later, ends the process at once.
 * One that was ignored when the process began stays ignored: so a shell starts jobs in the background of a
 * script (SIGINT), and nohup a program that outlives its terminal (SIGHUP). */
void mf_signals_catch(void);

/* Handles a signal by `action`, unless it is ignored. */
void mf_signal_handle(int signal_number, const struct sigaction *action);

/* The signal that came, or 0. A program that stops for it exits with 128 + that number. */
int mf_signals_caught(void);

#endif
