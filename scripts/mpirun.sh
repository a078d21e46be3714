#!/bin/bash
# mpirun as our processes need it: mpirun.sh -n N PROGRAM [ARGUMENT]...
#
# Also as root, as in a container; more of them than processors, as in tests; and not bound, since each has threads.
exec mpirun --allow-run-as-root --oversubscribe --bind-to none "$@"
