#!/bin/bash
# mpirun as our processes need it: mpirun.sh -n N PROGRAM [ARGUMENT]...
#
# Also as root, as in a container; more of them than processors, as in tests; not bound, since each has threads; and one that
# waits lets others have its processor, without which a busy machine takes ten times as long.
exec mpirun --allow-run-as-root --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 "$@"
