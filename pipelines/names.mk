# What the lock and the rules must agree on: the names of a run, which goals work in its folder, and whether this make
# only looks.

# make's lists are parted by blanks: a path with one is taken relative to here, where that has none. $(call quoted,TEXT) is
# one word of the shell.
quoted = '$(subst ','\'',$(1))'
near   = $(if $(word 2,$(1)),$(shell realpath -m --relative-to=. -- $(call quoted,$(1))),$(1))
empty  :=

CONFIG ?= configs/demo.yaml
NAME   ?= $(basename $(notdir $(subst $(empty) ,-,$(CONFIG))))
B      ?= build
RUNS   ?= runs
override B    := $(call near,$(B))
override RUNS := $(call near,$(RUNS))
$(if $(NAME),,$(error NAME is empty: a run has a name))
$(if $(filter .. ../%,$(NAME)),$(error NAME: '$(NAME)' would leave the folder of runs))
RUN    := $(RUNS)/$(NAME)
$(if $(word 2,$(RUN)),$(error NAME and RUNS: '$(RUN)' has a blank, which make cannot have in the files it makes))
$(if $(word 2,$B),$(error B: '$B' has a blank, which make cannot have in the files it makes))

# The goals asked for that are made by the pipeline's rules.
PIPELINE_GOALS := $(filter all run model report experts dense ablation-run ablation-short search-run search-round $(RUNS)/%,$(or $(MAKECMDGOALS),all))

# With -n or -q nothing is made, so nothing is locked, installed or written; the letters are in the first word.
LOOKING := $(strip $(foreach letter,n q,$(findstring $(letter),$(firstword -$(MAKEFLAGS)))))

# Goals that work in the run's folder, when nobody holds its lock for this make.
UNLOCKED := $(if $(LOOKING)$(filter $(RUN),$(LOCKED)),,$(PIPELINE_GOALS)$(filter fresh,$(MAKECMDGOALS)))
