# Stages on a cluster: the same recipes, with a launcher before the command of each stage. README.md shows one for Slurm.
#
#   make -j64 [LAUNCH='srun ...'] [THREADS=8] [RANKS=4]
#
# LAUNCH is by default the configuration's cluster.launch, which is empty: all runs here. In it are filled in {run} NAME,
# {stage} docs, expert.3, ..., {cpus} THREADS, {minutes} cluster.minutes, {ranks}, and {memory_mb}: what a training
# plans to take or the bound of another stage, and cluster.spare_mb more.
#
# RANKS processes train the shared backbone (and a dense model for `make dense`), each with its part of every batch, so that
# the model is the same up to rounding. The launcher starts them ({ranks}, 1 for all other stages; {cpus} and {memory_mb} are
# of one), or else mpirun.

RANKS ?= 1
ranks   = $(if $(filter shared dense,$(1)),$(RANKS),1)
# What mf-time and the training are told: $(call several,STAGE).
several = $(if $(filter-out 1,$(call ranks,$(1))),--ranks $(RANKS) )

# What mf-config answers, asked for once and not once a stage.
once    = $(call kept,asked.$(subst $(empty) ,.,$(1)),$(1) $(2))
kept    = $(if $(filter undefined,$(origin $(1))),$(eval $(1) := $$(call answer,$(2) $$(SETTINGS))))$($(1))
cluster = $(call once,get cluster.$(1))
LAUNCH ?= $(call cluster,launch)

# $(call launched,STAGE,MB) comes before the stage's command.
launched = $(if $(call launcher,$(1)),pipelines/launch.sh $(call cluster,retries) $(RUN)/stages/$(1).json $@ $(call filled,$(1),$(2)) )
launcher = $(or $(strip $(LAUNCH)),$(if $(call several,$(1)),pipelines/mpirun.sh -n {ranks}))
filled   = $(subst {run},$(NAME),$(subst {stage},$(1),$(subst {cpus},$(THREADS),$(subst {minutes},$(call cluster,minutes),$(subst \
    {ranks},$(call ranks,$(1)),$(subst {memory_mb},$(call memory_mb,$(1),$(2)),$(call launcher,$(1))))))))
memory_mb = $(shell expr $(or $(call planned,$(firstword $(subst ., ,$(1)))),$(2)) + $(call cluster,spare_mb) 2> /dev/null)
# An expert's on a base is as large as that, once it is imported.
planned   = $(if $(filter shared dense expert,$(1)),$(or $(if $(BASE),$(call once,memory train-expert -s,$(RUN)/shared.tar $(COMMON))),$(call \
    once,memory train-$(1:dense=shared),$(COMMON))))
