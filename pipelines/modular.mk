# The pipeline: documents -> tokens -> partitions -> shared backbone -> experts -> model -> calibration -> report -> exports
# -> page.
#
#   make [CONFIG=configs/demo.yaml] [NAME=demo] [DATA=path] [SET='model.top_k=1 ...'] [THREADS=2] [RANKS=1] [SHARDS=1]
#        [BASE=path]
#
# Every stage is a file below runs/NAME. A stage reads its own slice of the configuration, runs/NAME/config/STAGE.yaml,
# which is written when a value in it changes. What changed is found before anything is made: settings by content, the rest by
# times, which follow content (pipelines/times.sh), so that `make -n` and `make -q` know it too. The tokenizer and the
# shared backbone are made once: when documents change, only the experts whose partitions changed are trained again, and
# the model is joined anew. `make fresh` forgets the two, so that everything is made from the documents there are now. An
# interrupted training goes on where it was.

THREADS ?= $(shell nproc)
SET     ?=
# Jobs that documents are read and encoded by; what they make does not depend on their number.
SHARDS  ?= 1
# A Hugging Face folder or GGUF file whose tokenizer and weights take the place of those trained here (docs/bases.md).
BASE    ?=
# What mf-docs reads: a folder of folders (each one a domain, which is used for measuring only), a file, or an archive; or
# several of them, with the shell's patterns and quotes. What is there by the whole of the name is one, also with blanks in it.
DATA    ?= $(CORPUS)
DOCS_FLAGS ?= --domain-from folder

BIN    := $B/bin
SLICE  := $(RUN)/config
COMMON  = --threads $(THREADS)

# The documents' files with their times, also that of the last change of any kind, and how they are read.
INPUTS := $(RUN)/inputs.list
list_inputs = { { find -L $(DOCUMENTS) -type f -printf '%p %s %T@ %C@\n' 2> /dev/null || true; } | LC_ALL=C sort; printf '%s\n' flags $(DOCS_FLAGS); }

# The base's files in the same way. A run that had another base, or one where there is none now, is made anew.
list_base = { printf '%s\n' $(call quoted,$(BASE)); find -L $(call quoted,$(BASE)) -type f -printf '%p %s %T@ %C@\n' | LC_ALL=C sort; }

# --- what changed ---

# Files that depend on this are made again.
.PHONY: changed
changed:

# What mf-config answers: $(call answer,ARGUMENTS,WORD), WORD where it refuses (it says why when a slice is written) or is
# not built yet (127). A make whose mf-config was killed must not take no answer for an empty one, which would be a
# pipeline without experts or launcher.
answer = $(shell $(BIN)/mf-config $(1) 2> /dev/null)$(if $(filter-out 0 64 66 78 127,$(.SHELLSTATUS)),$(error \
    mf-config $(firstword $(1)) ended with status $(.SHELLSTATUS)),$(if $(filter-out 0,$(.SHELLSTATUS)),$(2)))

# mf-config says which slices changed and how many experts there are, so it is built before the other rules are read.
ifneq ($(PIPELINE_GOALS),)
ifeq ($(LOOKING),)
include $B/config.mk
endif
# A base is of family llama, whatever the configuration says of models that begin from nothing.
SETTINGS       := --config $(call quoted,$(CONFIG)) $(if $(BASE),--set model.arch=llama) $(foreach s,$(SET),--set $(call quoted,$s))
DOCUMENTS      := $(or $(shell [ ! -e $(call quoted,$(DATA)) ] || echo $(call quoted,$(call quoted,$(DATA)))),$(DATA))
SLICES_CHANGED := $(call answer,slices --dry-run $(SLICE) $(SETTINGS),unknown)
N_EXPERTS      := $(call answer,get model.n_experts $(SETTINGS))
EXPERTS        := $(if $(N_EXPERTS),$(shell seq -s ' ' 0 $$(($(N_EXPERTS) - 1))))
ifneq ($(words $(EXPERTS)),$(or $(N_EXPERTS),0))
$(error no list of $(N_EXPERTS) experts)
endif
SHARD_LIST := $(if $(filter-out 1,$(SHARDS)),$(shell { seq 0 $$(($(SHARDS) - 1)); } 2> /dev/null))
$(if $(shell [ $(call quoted,$(THREADS)) -ge 1 ] 2> /dev/null && echo fits),,$(error THREADS is a number from 1 on, not '$(THREADS)'))
$(if $(filter 1,$(SHARDS))$(and $(SHARD_LIST),$(filter $(words $(SHARD_LIST)),$(SHARDS))),,$(error SHARDS is a number from 1 on, not '$(SHARDS)'))
$(if $(and $(BASE),$(filter dense,$(MAKECMDGOALS))),$(error a dense model is trained from nothing: dense and BASE= do not go together))
INPUTS_CHANGED := $(shell $(list_inputs) 2> /dev/null | cmp -s - $(INPUTS) || echo changed)
BASE_CHANGED   := $(if $(BASE),$(shell { $(list_base); } 2> /dev/null | cmp -s - $(RUN)/base/list || echo changed),$(if $(wildcard \
    $(RUN)/base/list),changed))
# An empty file is none: `touch` or `make -t` made it.
EMPTY          := $(shell find $(RUN) -type f -empty ! -name '.*' ! -name stamp 2> /dev/null)
endif
$(filter-out unknown,$(SLICES_CHANGED)) $(EMPTY): changed

# The target, or these files, begin to be made anew; they are made: $(call begun,FILES), $(call made,FILES). What was made
# stays also where that cannot be noted.
begun = @printf -- '- - %s\n' $(patsubst $(RUN)/%,%,$(or $(1),$@)) >> $(RUN)/.files
made  = -@pipelines/times.sh keep $(RUN) $(or $(1),$@)

$B/config.mk: $(BIN)/mf-config
	@touch $@

$(SLICE)/%.yaml: $(if $(filter unknown,$(SLICES_CHANGED)),changed) | $(BIN)/mf-config
	@mkdir -p $(@D)
	$(BIN)/mf-config stage $* $(SETTINGS) -o $@
	$(made)

# --- names and goals ---

# Time and memory of each stage go to runs/NAME/stages/STAGE.json: $(call timed,STAGE,MB). The bounds are what the
# default configuration keeps to; training the shared backbone has none. mpirun or a cluster's launcher comes before it.
timed = $(call launched,$(1),$(2))$(BIN)/mf-time -o $(RUN)/stages/$(1).json $(patsubst %,--bound %000000,$(2)) $(call several,$(1))--
TIMED := $(BIN)/mf-time $(RUN)/stages/lists
SPLITS := train val test
STAGES = $(if $(SHARD_LIST),docs.$(SHARD_NUMBERS)) docs $(if $(BASE),base,tokenizer) $(if $(SHARD_LIST),tokens.train.$(SHARD_NUMBERS)) \
    $(SPLITS:%=tokens.%) partition label label.test $(if $(BASE),,shared) expert.$(NUMBERS) join calibrate
TRAIN        := $(or $(SHARD_LIST:%=train.%),train)
DOCS         := $(patsubst %,$(RUN)/docs/%.mf,$(TRAIN) val test)
EXPERT_FILES := $(patsubst %,$(RUN)/expert.%.tar,$(EXPERTS))
PARTS        := $(patsubst %,$(RUN)/parts/part.%.mp,$(EXPERTS)) $(RUN)/parts/partition.mp

## run        run the pipeline without installing packages: runs/NAME/report.json and report.html
.PHONY: run model report experts
run report: $(RUN)/report.html
## model      only up to the calibrated model: runs/NAME/model.safetensors
model: $(RUN)/model.safetensors
## experts    only up to the trained experts
experts: $(EXPERT_FILES)

## fresh      forget tokenizer, shared backbone and how documents were cut, so that the next make trains everything again
.PHONY: fresh
fresh:
	rm -f $(RUN)/tokenizer.json $(RUN)/shared.tar $(RUN)/parts/partition.mp $(RUN)/docs/cuts $(RUN)/docs/stamp

$(RUN)/stages $(RUN)/stages/lists:
	@mkdir -p $@

# `changed` when one of these files, which are made beside a target, is not there or empty: $(call lost,FILES).
lost = $(if $(filter-out $(filter-out $(EMPTY),$(wildcard $(1))),$(1)),changed)

# Files of names, since a thousand do not fit on a command line. The shell knows the experts by their first and last number.
LISTS      := $(RUN)/stages/lists
NUMBERS    := {0..$(lastword $(EXPERTS))}
SHARD_NUMBERS := {0..$(lastword $(SHARD_LIST))}
all_of = $(1)$(if $(SHARD_LIST),.$(SHARD_NUMBERS))
those_there = for file in $(1); do [ ! -e "$$file" ] || echo "$$file"; done

# --- documents and tokens ---

$(INPUTS): $(if $(filter $(CORPUS),$(DATA)),$(CORPUS).list) $(INPUTS_CHANGED)
	$(begun)
	@mkdir -p $(@D)
	@pipelines/data.sh $(RUN) $(DOCUMENTS)
	@$(list_inputs) > $@.tmp
	@mv $@.tmp $@
	$(made)

# One reading writes the three splits; or jobs read a shard each, and one merge decides copies and splits over all of them.
READ := $(SHARD_LIST:%=$(RUN)/shards/$(SHARDS)/%.mf)
.INTERMEDIATE: $(READ)
$(READ): $(RUN)/shards/$(SHARDS)/%.mf: $(INPUTS) $(SLICE)/docs.yaml | $(TIMED) $(BIN)/mf-docs
	@mkdir -p $(@D)
	$(call timed,docs.$*,100) $(BIN)/mf-docs --config $(SLICE)/docs.yaml $(DOCS_FLAGS) --shard $*/$(SHARDS) -o $@ $(DOCUMENTS)

# How documents are split is noted while there is no backbone: when it changes later, one that is tested may have been learned.
SPLIT_KEYS := val_fraction test_fraction min_targets blocks
note_split = split=$$(sed -n $(SPLIT_KEYS:%=-e '/%:/p') $(SLICE)/docs.yaml); \
    if [ ! -e $(RUN)/shared.tar ] || [ ! -e $(@D)/split ]; then echo "$$split" > $(@D)/split; \
    elif [ "$$split" != "$$(cat $(@D)/split)" ]; then \
        echo "make: documents are split otherwise than when the backbone was trained ($(SPLIT_KEYS:%=docs.%)): it may have" \
            "learned what is tested now (make fresh trains it again)" >&2; \
    fi
from = $(if $(READ),--merge $(RUN)/shards/$(SHARDS)/$(SHARD_NUMBERS).mf,$(DOCUMENTS))
$(RUN)/docs/stamp: $(INPUTS) $(SLICE)/docs.yaml $(READ) $(call lost,$(DOCS)) | $(TIMED) $(BIN)/mf-docs
	$(call begun,$@ $(DOCS))
	@mkdir -p $(@D)
	$(call timed,docs,200) $(BIN)/mf-docs --config $(SLICE)/docs.yaml $(DOCS_FLAGS) --splits $(@D) --cuts $(@D)/cuts $(from)
	@rm -f $(filter-out $(DOCS),$(wildcard $(@D)/*.mf))
	@$(if $(BASE),,$(note_split))
	@touch $@
	$(call made,$@ $(DOCS))

# A split that did not change is older than the stamp. By the `+` make looks at its time, also with -n and -q.
$(DOCS): $(RUN)/docs/stamp
	+

ifneq ($(BASE),)
FROM_BASE := $(RUN)/shared.tar $(RUN)/tokenizer.json
$(RUN)/base/list: $(BASE_CHANGED)
	$(begun)
	@mkdir -p $(@D)
	@[ -e $(call quoted,$(BASE)) ] || { echo "make: no base at "$(call quoted,$(BASE))" (BASE= is a Hugging Face folder or a GGUF file)" >&2; exit 66; }
	@$(list_base) > $@.tmp
	@mv $@.tmp $@
	$(made)

$(RUN)/base/stamp: $(RUN)/base/list $(SLICE)/train-shared.yaml $(call lost,$(FROM_BASE)) | $(TIMED) $(BIN)/mf-import
	$(call begun,$@ $(FROM_BASE))
	$(call timed,base,) $(BIN)/mf-import --context $(call answer,get model.context $(SETTINGS)) -o $(RUN)/shared.tar -t $(RUN)/tokenizer.json $(call quoted,$(BASE))
	@touch $@
	$(call made,$@ $(FROM_BASE))

# What did not change is older than the stamp. By the `+` make looks at its time, also with -n and -q.
$(FROM_BASE): $(RUN)/base/stamp
	+
else
$(RUN)/tokenizer.json: $(SLICE)/tokenizer.yaml $(BASE_CHANGED) | $(TRAIN:%=$(RUN)/docs/%.mf) $(TIMED) $(BIN)/mf-tokenize
	$(begun)
	$(call timed,tokenizer,100) $(BIN)/mf-tokenize train --config $(SLICE)/tokenizer.yaml -o $@ $(RUN)/docs/$(call all_of,train).mf
	@rm -rf $(RUN)/base
	$(made)
endif

# One stream is enough to say that the tokenizer is of other text.
$(patsubst %,$(RUN)/tokens/%.mf,$(TRAIN) val test): $(RUN)/tokens/%.mf: $(RUN)/docs/%.mf $(RUN)/tokenizer.json | $(TIMED) $(BIN)/mf-tokenize
	$(begun)
	@mkdir -p $(@D)
	$(call timed,tokens.$*,100) $(BIN)/mf-tokenize encode $(if $(filter train train.0,$*),,--no-warning )-t $(RUN)/tokenizer.json -o $@ $<
	$(made)

ifneq ($(SHARD_LIST),)
$(RUN)/tokens/train.mf: $(TRAIN:%=$(RUN)/tokens/%.mf) | $(TIMED) $(BIN)/mf-cat
	$(begun)
	$(call timed,tokens.train,16) $(BIN)/mf-cat --join -o $@ $(RUN)/tokens/$(call all_of,train).mf
	$(made)
endif

# --- partitions ---

# New documents join the partitioning there is, unless its settings or the tokenizer changed. A larger model.n_experts
# alone makes more partitions, out of the documents that are new since the last run; the old ones stay as they are.
# Where documents go does not depend on model.context, which is only what a partition's tokens are compared with.
# A cmp that was killed (128 and more) says nothing.
DIVIDED  = $(RUN)/parts/stamp $(RUN)/parts/partition.mp $(RUN)/parts/part.$(NUMBERS).mp
dividing = grep -v -e n_experts -e context $(SLICE)/partition.yaml
$(RUN)/parts/stamp: $(RUN)/tokens/train.mf $(SLICE)/partition.yaml $(RUN)/tokenizer.json \
    $(call lost,$(PARTS)) | $(TIMED) $(BIN)/mf-partition
	$(call begun,$(DIVIDED))
	@mkdir -p $(@D)
	@$(dividing) > $(@D)/settings.tmp
	@saved=$(@D)/partition.mp experts=0 differ=0; [ ! -s $(@D)/experts ] || read -r experts < $(@D)/experts; \
	    cmp -s $(@D)/settings.tmp $(@D)/settings || differ=$$?; [ $$differ -lt 128 ] || exit $$differ; \
	    if [ -s $$saved ] && [ $(RUN)/tokenizer.json -ot $$saved ] && [ $$differ -eq 0 ] && \
	        [ "$$experts" -le $(words $(EXPERTS)) ]; then echo "--saved $$saved"; fi > $(@D)/saved.tmp
	$(call timed,partition,100) $(BIN)/mf-partition --config $(SLICE)/partition.yaml $(COMMON) -t $(RUN)/tokenizer.json -n $(words $(EXPERTS)) \
	    -o $(@D) $$(cat $(@D)/saved.tmp) $<
	@rm $(@D)/saved.tmp; mv $(@D)/settings.tmp $(@D)/settings
	@echo $(words $(EXPERTS)) > $(@D)/experts.tmp; mv $(@D)/experts.tmp $(@D)/experts
	@touch $@
	$(call made,$(DIVIDED))

# A part that did not change is older than the stamp. By the `+` make looks at its time, also with -n and -q.
$(PARTS): $(RUN)/parts/stamp
	+

# All validation documents with their partitions, for calibration, and those of each partition, for its expert.
VALIDATED = $(RUN)/tokens/val.labelled.mf $(RUN)/tokens/val/part.$(NUMBERS).mf
$(RUN)/tokens/val.labelled.mf: $(RUN)/tokens/val.mf $(RUN)/parts/stamp \
    $(call lost,$(patsubst %,$(RUN)/tokens/val/part.%.mf,$(EXPERTS))) | $(TIMED) $(BIN)/mf-partition
	$(call begun,$(VALIDATED))
	$(call timed,label,100) $(BIN)/mf-partition --label -t $(RUN)/tokenizer.json --saved $(RUN)/parts/partition.mp --each $(@D)/val -o $@ $<
	$(call made,$(VALIDATED))

# The test documents too, so that the report can say what each would be worth with its partition's expert.
$(RUN)/tokens/test.labelled.mf: $(RUN)/tokens/test.mf $(RUN)/parts/stamp | $(TIMED) $(BIN)/mf-partition
	$(begun)
	$(call timed,label.test,100) $(BIN)/mf-partition --label --quiet -t $(RUN)/tokenizer.json --saved $(RUN)/parts/partition.mp -o $@ $<
	$(made)

# --- training ---

# A checkpoint older than what it was made from is of another training.
define drop_stale_checkpoint
@for p in $^; do \
    [ "$$p" -ot $@.ckpt ] && continue; \
    [ ! -e $@.ckpt ] || echo "make: $$p is newer than $@.ckpt: this training begins again" >&2; \
    rm -f $@.ckpt $@.ckpt.best; \
done
endef

# All that needs no training is made before it, so that what is missing there is said before hours of work.
UNTRAINED := $(SPLITS:%=$(RUN)/tokens/%.mf) $(PARTS) $(RUN)/tokens/val.labelled.mf $(RUN)/tokens/test.labelled.mf
ifeq ($(BASE),)
$(RUN)/shared.tar: $(RUN)/tokenizer.json $(SLICE)/train-shared.yaml | $(UNTRAINED) $(TIMED) $(BIN)/mf-train-shared
	$(begun)
	$(drop_stale_checkpoint)
	$(call timed,shared,) $(BIN)/mf-train-shared $(call several,shared)--config $(SLICE)/train-shared.yaml $(COMMON) --resume -v $(RUN)/tokens/val.mf \
	    --metrics $(RUN)/shared.metrics.mf -o $@ $(RUN)/tokens/train.mf
	$(made)
endif

$(EXPERT_FILES): $(RUN)/expert.%.tar: $(RUN)/shared.tar $(RUN)/parts/part.%.mp $(SLICE)/train-expert.yaml | $(RUN)/tokens/val.labelled.mf $(TIMED) $(BIN)/mf-train-expert
	$(begun)
	$(drop_stale_checkpoint)
	$(call timed,expert.$*,$(if $(BASE),,220)) $(BIN)/mf-train-expert --config $(SLICE)/train-expert.yaml $(COMMON) --resume -s $(RUN)/shared.tar \
	    -v $(RUN)/tokens/val/part.$*.mf -p $* --metrics $(RUN)/expert.$*.metrics.mf -o $@ $(RUN)/parts/part.$*.mp
	$(made)

# One dense model of the same settings, in one schedule over all documents, for as many tokens as the backbone and all
# experts were trained on; made for the goal `dense` alone. Until documents, settings or partitions change, reports have it.
# Of the experts' settings only their steps count.
DENSE       := $(RUN)/dense.tar
DENSE_STEPS := $(RUN)/dense.steps
DENSE_OF    := $(RUN)/tokens/train.mf $(RUN)/tokenizer.json $(SLICE)/train-shared.yaml $(RUN)/parts/stamp $(DENSE_STEPS)
setting     = $(call answer,get $(1) $(SETTINGS))
per_step    = $(call setting,$(1).batch) * $(call setting,$(1).accumulation)
# Of the backbone's training and so many experts' together: $(call dense_steps,EXPERTS).
dense_steps = $$(($(call setting,train_shared.steps) + ($(1) * $(call setting,train_expert.steps) * $(call per_step,train_expert) + $(call \
    per_step,train_shared) - 1) / ($(call per_step,train_shared))))
all_steps   = $(call dense_steps,$(words $(EXPERTS)))
other_steps = [ "$$(cat $(DENSE_STEPS) 2> /dev/null)" != $(all_steps) ]

$(DENSE_STEPS): $(if $(filter dense ablation-%,$(MAKECMDGOALS)),$(shell ! $(other_steps) || echo changed))
	@echo $(all_steps) > $@.tmp; mv $@.tmp $@

$(DENSE): $(DENSE_OF) | $(UNTRAINED) $(TIMED) $(BIN)/mf-train-shared
	$(begun)
	$(drop_stale_checkpoint)
	$(call timed,dense,) $(BIN)/mf-train-shared $(call several,dense)--config $(SLICE)/train-shared.yaml --set train_shared.steps=$(all_steps) \
	    $(COMMON) --resume -v $(RUN)/tokens/val.mf --metrics $(RUN)/dense.metrics.mf -o $@ $(RUN)/tokens/train.mf
	$(made)

# --- the model ---

$(RUN)/assembled.safetensors: $(RUN)/shared.tar $(EXPERT_FILES) $(SLICE)/assemble.yaml | $(TIMED) $(BIN)/mf-assemble
	$(begun)
	@printf '%s\n' $(RUN)/expert.$(NUMBERS).tar > $(LISTS)/join
	$(call timed,join,16) $(BIN)/mf-assemble --config $(SLICE)/assemble.yaml -o $@ $(RUN)/shared.tar --list $(LISTS)/join
	$(made)

$(RUN)/model.safetensors: $(RUN)/assembled.safetensors $(RUN)/tokens/val.labelled.mf $(SLICE)/calibrate.yaml \
    $(call lost,$(RUN)/calibration.json) | $(TIMED) $(BIN)/mf-calibrate
	$(begun)
	$(call timed,calibrate,100) $(BIN)/mf-calibrate --config $(SLICE)/calibrate.yaml $(COMMON) -m $< --report $(RUN)/calibration.json \
	    -o $@ $(RUN)/tokens/val.labelled.mf
	$(made)

## dense      train one dense model on as many tokens as backbone and experts together, and compare in the report
.PHONY: dense
dense: $(RUN)/report.html

$(RUN)/report.json: $(RUN)/model.safetensors $(RUN)/tokens/test.labelled.mf $(SLICE)/eval.yaml $(if $(filter dense,$(MAKECMDGOALS)),$(DENSE)) \
    | $(TIMED) $(BIN)/mf-eval
	$(begun)
	@printf '%s\n' $(RUN)/expert.$(NUMBERS).tar > $(LISTS)/report
	@if [ -s $(DENSE) ] && ! $(other_steps) && [ -z "$$(find $(DENSE_OF) -newer $(DENSE))" ]; then echo --dense $(DENSE); fi > $(LISTS)/dense
	@{ $(call those_there,$(if $(BASE),,$(RUN)/shared.metrics.mf) $(RUN)/expert.$(NUMBERS).metrics.mf); \
	    [ ! -s $(LISTS)/dense ] || echo $(RUN)/dense.metrics.mf; } > $(LISTS)/metrics
	@{ $(call those_there,$(STAGES:%=$(RUN)/stages/%.json)); [ ! -s $(LISTS)/dense ] || echo $(RUN)/stages/dense.json; } > $(LISTS)/stages
	@[ ! -s $(DENSE) ] || [ -s $(LISTS)/dense ] || \
	    echo "make: $(DENSE) is of other documents or settings, so it is not compared (make dense trains it again)" >&2
	$(call timed,report,100) $(BIN)/mf-eval report --config $(SLICE)/eval.yaml $(COMMON) -m $< -t $(RUN)/tokenizer.json -s $(RUN)/shared.tar \
	    --expert-list $(LISTS)/report --metrics-list $(LISTS)/metrics --stage-list $(LISTS)/stages \
	    $$(cat $(LISTS)/dense) --calibration $(RUN)/calibration.json -o $@ $(RUN)/tokens/test.labelled.mf
	$(made)

# --- for other programs ---

# A model of family llama also becomes a file for llama.cpp and a folder for transformers. What these programs cannot run
# (65) is said once: a note of how it ended, made or refused, is what make looks at.
EXPORTED := $(if $(or $(BASE),$(filter llama,$(call answer,get model.arch $(SETTINGS)))),$(RUN)/exported/gguf $(RUN)/exported/hf)
exported  = && echo made > $@ || { [ $$? -eq 65 ]; rm -rf $(1); echo refused > $@; }
unless_refused = $(if $(filter refused,$(file < $(1))),,$(call lost,$(2)))

$(RUN)/exported/gguf: $(RUN)/model.safetensors $(SLICE)/export.yaml $(call unless_refused,$(RUN)/exported/gguf,$(RUN)/model.gguf) | $(TIMED) $(BIN)/mf-export
	$(call begun,$@ $(RUN)/model.gguf)
	@mkdir -p $(@D)
	$(call timed,gguf,64) $(BIN)/mf-export gguf --config $(SLICE)/export.yaml -m $< -t $(RUN)/tokenizer.json -o $(RUN)/model.gguf \
	    $(call exported,$(RUN)/model.gguf)
	$(call made,$$($(call those_there,$@ $(RUN)/model.gguf)))

$(RUN)/exported/hf: $(RUN)/model.safetensors $(RUN)/report.json $(call unless_refused,$(RUN)/exported/hf,$(RUN)/hf/config.json) | $(TIMED) $(BIN)/mf-export
	$(call begun,$@ $(RUN)/hf/config.json)
	@mkdir -p $(@D)
	@[ -s $(RUN)/hf/config.json ] || rm -rf $(RUN)/hf
	$(call timed,hf,64) $(BIN)/mf-export hf -m $< -t $(RUN)/tokenizer.json --report $(RUN)/report.json -o $(RUN)/hf $(call exported,$(RUN)/hf)
	$(call made,$$($(call those_there,$@ $(RUN)/hf/config.json)))

# By the `+` make looks at their times, also with -n and -q.
$(RUN)/model.gguf: $(RUN)/exported/gguf
	+
$(RUN)/hf/config.json: $(RUN)/exported/hf
	+

# By now no stage runs: what a killed mf-time left of its record can go, and the checkpoints of trainings that were killed
# between naming their bundle and removing them. What took too much memory is named.
$(RUN)/report.html: $(RUN)/report.json $(EXPORTED) | $(BIN)/mf-eval
	$(begun)
	@rm -f $(RUN)/stages/.*.tmp $(RUN)/shared.tar.ckpt* $(RUN)/expert.*.tar.ckpt* $(if $(filter dense,$(MAKECMDGOALS)),$(DENSE).ckpt*)
	$(BIN)/mf-eval page -o $@ $<
	$(made)
	@pipelines/bounds.sh $(RUN)/stages >&2
