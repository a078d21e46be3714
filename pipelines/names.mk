# What GNUmakefile and the rules must agree on: the names of a run, which goals work in its folder, and whether this make
# only looks.

CONFIG ?= configs/demo.yaml
NAME   ?= $(basename $(notdir $(CONFIG)))
RUNS   ?= runs
RUN    := $(RUNS)/$(NAME)

# The goals asked for that are made by the pipeline's rules.
PIPELINE_GOALS := $(filter all run model report experts ablation-run ablation-short $(RUNS)/%,$(or $(MAKECMDGOALS),all))

# With -n or -q nothing is made, so nothing is locked, installed or written; the letters are in the first word.
LOOKING := $(strip $(foreach letter,n q,$(findstring $(letter),$(firstword -$(MAKEFLAGS)))))
