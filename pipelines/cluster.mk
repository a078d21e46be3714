# Stages on a cluster: the same recipes, with a launcher before the command of each stage. README.md shows one for Slurm.
#
#   make -j64 [LAUNCH='srun ...'] [THREADS=8]
#
# LAUNCH is by default the configuration's cluster.launch, which is empty: all runs here. In it are filled in {run} NAME,
# {stage} docs.train, expert.3, ..., {cpus} THREADS, {minutes} cluster.minutes, and {memory_mb}: what a training plans to
# take or the bound of another stage, and cluster.spare_mb more.

cluster = $(shell $(BIN)/mf-config get cluster.$(1) $(SETTINGS) 2> /dev/null)
LAUNCH ?= $(call cluster,launch)

# $(call launched,STAGE,MB) comes before the stage's command.
launched  = $(if $(strip $(LAUNCH)),scripts/launch.sh $(call cluster,retries) $(RUN)/stages/$(1).json $@ $(call filled,$(1),$(2)) )
filled    = $(subst {run},$(NAME),$(subst {stage},$(1),$(subst {cpus},$(THREADS),$(subst {minutes},$(call cluster,minutes),$(subst \
    {memory_mb},$(call memory_mb,$(1),$(2)),$(strip $(LAUNCH)))))))
memory_mb = $(shell expr $(or $(call planned,$(firstword $(subst ., ,$(1)))),$(2)) + $(call cluster,spare_mb) 2> /dev/null)
planned   = $(if $(filter shared expert,$(1)),$(shell $(BIN)/mf-config memory train-$(1) $(SETTINGS) $(COMMON) 2> /dev/null))
