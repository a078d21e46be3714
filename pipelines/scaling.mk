# What many experts cost: a model of times, bytes and memory, checked against runs with a few experts and carried on to a
# thousand.
#
#   make scaling [SCALING='2 4 8']

SCALING      ?= 2 4 8
SCALING_RUNS := $(RUNS)/scaling

## scaling    measure runs of 2, 4 and 8 experts and carry them on to 1000; writes docs/scaling.md
.PHONY: scaling
scaling: $(CORPUS).list | deps build
	tests/bench/scaling.sh $B $(CORPUS) $(SCALING_RUNS) $(SCALING)
	tests/bench/scaling.py $(BIN) $(SCALING_RUNS) $(SCALING) > $(SCALING_RUNS)/scaling.md
	cat $(SCALING_RUNS)/scaling.md docs/scaling.notes.md > docs/scaling.md
