/* mf-time: runs a program and writes down the time and the memory it took, for the report.
 *     mf-time -o stages/shared.json --bound 200M -- mf-train-shared -o shared.tar train.mf */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "cli/options.h"
#include "base/signals.h"
#include "io/json_file.h"

static const char notes[] =
    "Writes one JSON object (formats/report.md): seconds, cpu_seconds, peak_memory in bytes, bound, attempts, status.\n"
    "If FILE holds the record of an attempt that failed or was stopped, the new attempt is added to it, so that an\n"
    "interrupted training is counted whole. mf-time passes SIGTERM and SIGHUP to the program and ends with its exit\n"
    "status. It turns SIGUSR1 into SIGTERM, since Slurm's srun and mpirun keep SIGTERM for themselves and pass SIGUSR1\n"
    "on.\n"
    "\n"
    "With --ranks N, mpirun or srun starts N copies. The first one (PMIX_RANK) writes the record and multiplies its\n"
    "program's figures by N: all ranks of a training do the same work.\n"
    "\n"
    "examples:\n"
    "  mf-time -o stages/join.json --bound 16M -- mf-assemble -o model.safetensors shared.tar expert.*.tar\n"
    "  mpirun -n 2 mf-time -o stages/shared.json --ranks 2 -- mf-train-shared --ranks 2 -o shared.tar train.mf\n"
    "\n"
    "exit status: 0 when the program's is 0, else the program's, 128 + N when signal N ended it, 127 when it cannot\n"
    "be run; or 64 wrong use, 73 or 74 cannot write.\n";

/* The one thing a signal handler can reach. */
static volatile sig_atomic_t child;

static void pass_on(int signal_number) {
    if (child > 0) kill(child, signal_number == SIGUSR1 ? SIGTERM : signal_number);
}

/* Does not return. */
static void become(char **command) {
    signal(SIGUSR1, SIG_IGN); /* sent to all processes of a job, it is for the mf-time that waits */
    execvp(command[0], command);
    struct mf_err err;
    mf_err_sys(&err, 127, "%s", command[0]);
    mf_fail("mf-time", &err);
    _exit(127);
}

static void run_child(char **command, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(127);
    become(command);
}

/* Runs `command`; its exit status as a shell would have it, or -1. */
static int run(char **command, struct rusage *usage, struct mf_err *err) {
    int status;
    pid_t parent = getpid();
    sigset_t asking, before;
    struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigemptyset(&asking);
    sigaddset(&asking, SIGTERM);
    sigaddset(&asking, SIGHUP);
    sigaddset(&asking, SIGUSR1);
    sigprocmask(SIG_BLOCK, &asking, &before); /* until the program's number is known */
    pid_t made = fork();
    if (made < 0) return mf_err_sys(err, EX_OSERR, "cannot start %s", command[0]);
    if (made == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        run_child(command, parent);
    }
    child = made;
    signal(SIGINT, SIG_IGN); /* a terminal sends these to both */
    signal(SIGQUIT, SIG_IGN);
    mf_signal_handle(SIGTERM, &action);
    mf_signal_handle(SIGHUP, &action);
    sigaction(SIGUSR1, &action, NULL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    int waited;
    do waited = wait4(made, &status, 0, usage);
    while (waited < 0 && errno == EINTR);
    child = 0; /* the number may be another's by now */
    if (waited < 0) return mf_err_sys(err, EX_OSERR, "cannot wait for %s", command[0]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define RECORD_LIMIT ((size_t)1 << 20)

/* 0 for what cannot have been measured: the record is a file that anything may have changed.
 */
static double number(const json_t *record, const char *key) {
    double value = json_number_value(json_object_get(record, key));
    return value >= 0 && value < 1e15 ? value : 0;
}

static double of_timeval(struct timeval t) {
    return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

/* Adds an unfinished record in the same place, and writes. */
static int record(const char *path, double seconds, const struct rusage *usage, int64_t ranks, uint64_t bound,
                  int status, struct mf_err *err) {
    double cpu = (double)ranks * (of_timeval(usage->ru_utime) + of_timeval(usage->ru_stime));
    double peak = (double)ranks * (double)usage->ru_maxrss * 1024;
    struct mf_err none;
    json_t *old = mf_json_read(path, RECORD_LIMIT, 0, &none), *now = json_object();
    bool more = old && number(old, "status") != 0;
    double before = more ? number(old, "peak_memory") : 0;
    if (more) seconds += number(old, "seconds");
    if (more) cpu += number(old, "cpu_seconds");
    json_object_set_new(now, "seconds", json_real(seconds));
    json_object_set_new(now, "cpu_seconds", json_real(cpu));
    json_object_set_new(now, "peak_memory", json_integer((json_int_t)(before > peak ? before : peak)));
    json_object_set_new(now, "bound", bound ? json_integer((json_int_t)bound) : json_null());
    json_object_set_new(now, "attempts",
                        json_integer(more ? (json_int_t)number(old, "attempts") + 1 : (json_int_t)1));
    json_object_set_new(now, "status", json_integer(status));
    json_decref(old);
    return mf_json_write(path, now, JSON_REAL_PRECISION(6), err);
}

struct request {
    const char *output;
    uint64_t bound;
    int64_t ranks;
};

static int time_program(void *request, const struct mf_common *common, struct mf_strs *operands,
                        struct mf_err *err) {
    const struct request *q = request;
    struct rusage usage = {0};
    (void)common;
    if (!q->output) return mf_err_set(err, EX_USAGE, "write to which file? (-o FILE)");
    if (!operands->count) return mf_err_set(err, EX_USAGE, "run which program?");
    double start = mf_now();
    const char *rank = getenv("PMIX_RANK");
    mf_strs_add(operands, NULL); /* ends the command */
    if (q->ranks > 1 && rank && strcmp(rank, "0") != 0) become((char **)operands->items);
    int ended = run((char **)operands->items, &usage, err);
    if (ended < 0) return -1;
    if (record(q->output, mf_now() - start, &usage, q->ranks, q->bound, ended, err) < 0) return -1;
    return ended;
}

int main(int argc, char **argv) {
    struct request q = {.ranks = 1};
    const struct mf_option options[] = {
        {"output", 'o', MF_OPT_OUTPUT, &q.output, "FILE", "write the record to FILE", 0, 0},
        {"bound", 0, MF_OPT_SIZE, &q.bound, "SIZE", "note that at most SIZE of memory is expected", 0, 0},
        {"ranks", 0, MF_OPT_INT, &q.ranks, "N", "started N times; the first writes, and counts for all", 1,
         1e6},
        {0}};
    const struct mf_usage usage = {"mf-time", "run a program and write down the time and memory it took",
                                   "mf-time -o FILE [OPTION]... -- PROGRAM [ARGUMENT]...", options, notes};
    return mf_options_run(&usage, time_program, &q, argc, argv);
}
