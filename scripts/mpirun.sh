#!/bin/bash
# mpirun as our processes need it: mpirun.sh -n N PROGRAM [ARGUMENT]...
#
# Also as root, as in a container; more of them than processors, as in tests; not bound, since each has threads of its own;
# and with a minute to write a checkpoint when they are stopped.
exec mpirun --allow-run-as-root --oversubscribe --bind-to none --mca odls_base_sigkill_timeout 60 "$@"
