# What each part of the recipe is worth: the assembled model beside dense models, its own parts, and other routers.
#
#   make ablation [FAMILIES='llama reference'] [SEEDS='1 2 3'] [LENGTHS='2 4']
#
# Every seed is a run of its own, runs/ablation/FAMILY.seedN, made by the pipeline with tests/bench/ablation.yaml on the
# demonstration corpus, and the models it is compared with. LENGTHS are runs of the first seed whose shared phase is that
# many times as long. Broken off, it goes on where it was; what is there already is not made again. The table of each run is
# kept in docs/quality, so that families, seeds and lengths may be added one at a time. With THREADS=1 two runs go side by
# side by -j2.

FAMILIES ?= llama reference
SEEDS    ?= 1 2 3
LENGTHS  ?= 2 4
ABLATION_CONFIG := tests/bench/ablation.yaml
SHARED_STEPS := $(shell sed -n '/^train_shared:/,/^[a-z]/s/^  steps: *//p' $(ABLATION_CONFIG))

family_llama     := # whose experts may learn attention, too
learned_llama    := qo qoheadfull
family_reference := model.arch=reference model.d_ff=512# two matrices of it have as many weights as three of the demo's

## ablation   measure what each part of the recipe is worth, in both families, on three seeds; writes docs/quality.md
.PHONY: ablation
ablation: $(foreach f,$(FAMILIES),$(SEEDS:%=docs/quality/$f.seed%.tsv) $(LENGTHS:%=docs/quality/$f.length$(firstword $(SEEDS))x%.tsv))
	tests/bench/ablation_report.sh docs

# FAMILY.seedN or FAMILY.lengthNxTIMES. Each is a make of its own, since a pipeline's rules are those of one run.
ablation_family  = $(firstword $(subst ., ,$*))
ablation_numbers = $(subst x, ,$(patsubst length%,%,$(patsubst seed%,%,$(lastword $(subst ., ,$*)))))
ablation_longer  = $(if $(word 2,$(ablation_numbers)),train_shared.steps=$(shell expr $(SHARED_STEPS) \* $(word 2,$(ablation_numbers))))
docs/quality/%.tsv: ablation-look | deps build $(CORPUS).list
	+$(MAKE) --no-print-directory CONFIG=$(ABLATION_CONFIG) NAME=ablation/$* \
	    SET='$(family_$(ablation_family)) calibrate.max_tokens=20000 seed=$(firstword $(ablation_numbers)) $(ablation_longer)' \
	    ABLATION_LEARNED='head16 head64 headfull $(learned_$(ablation_family))' $(if $(ablation_longer),ablation-short,ablation-run)
	@mkdir -p $(@D)
	$(if $(ablation_longer),,cp $(RUNS)/ablation/$*/results/subjects.tsv $(@D)/$(ablation_family).subjects$(ablation_numbers).tsv)
	cp $(RUNS)/ablation/$*/results/$(if $(ablation_longer),short,table).tsv $@
.PHONY: ablation-look
ablation-look:

# --- the models one run is compared with ---

# Dense models that train on as many tokens as the shared phase and one expert, or all experts (that of `make dense`),
# together; and of twice the width, which has the active parameters of two experts. All in one schedule, from scratch.
.PHONY: ablation-run ablation-short
ablation-run: $(RUN)/results/table.tsv
ablation-short: $(RUN)/results/short.tsv

dense = $(BIN)/mf-train-shared --config $(SLICE)/train-shared.yaml $(COMMON) --resume -v $(RUN)/tokens/val.mf -o $@

DENSE_INPUTS = $(RUN)/tokenizer.json $(SLICE)/train-shared.yaml $(SLICE)/train-expert.yaml | $(RUN)/tokens/train.mf $(RUN)/tokens/val.mf
$(RUN)/dense.one.tar: $(DENSE_INPUTS)
	$(drop_stale_checkpoint)
	$(dense) --set train_shared.steps=$(call dense_steps,1) $(RUN)/tokens/train.mf
$(RUN)/dense.wide.tar: $(DENSE_INPUTS)
	$(drop_stale_checkpoint)
	$(dense) --set train_shared.steps=$(call dense_steps,$(words $(EXPERTS))) \
	    --set model.d_ff=$$((2 * $(call setting,model.d_ff))) $(RUN)/tokens/train.mf

# Experts that start from random weights.
$(RUN)/scratch.%.tar: $(RUN)/shared.tar $(RUN)/parts/part.%.mp $(SLICE)/train-expert.yaml | $(RUN)/tokens/val.labelled.mf
	$(drop_stale_checkpoint)
	$(BIN)/mf-train-expert --config $(SLICE)/train-expert.yaml --set expert.init=kaiming $(COMMON) --resume -s $(RUN)/shared.tar \
	    -v $(RUN)/tokens/val.labelled.mf -p $* -o $@ $(RUN)/parts/part.$*.mp

# Experts that learn more than FFNs: learned.WHAT.NUMBER, where WHAT is headRANK (a head of their own), qo (attention's queries
# and outputs), or both.
ABLATION_LEARNED ?= head16 head64 headfull
LEARNED := $(foreach w,$(ABLATION_LEARNED),$(EXPERTS:%=$(RUN)/learned.$w.%.tar))
learned_what = $(firstword $(subst ., ,$*))
learned_part = $(RUN)/parts/part.$(lastword $(subst ., ,$*)).mp
learned_sets = $(if $(filter qo%,$(learned_what)),--set expert.train=ffn+qo) \
    $(if $(findstring head,$(learned_what)),--set expert.head=$(lastword $(subst head, ,$(learned_what))))
$(LEARNED): $(RUN)/learned.%.tar: $(RUN)/shared.tar $(PARTS) $(SLICE)/train-expert.yaml | $(RUN)/tokens/val.labelled.mf
	$(drop_stale_checkpoint)
	$(BIN)/mf-train-expert --config $(SLICE)/train-expert.yaml $(learned_sets) $(COMMON) --resume -s $(RUN)/shared.tar \
	    -v $(RUN)/tokens/val.labelled.mf -p $(lastword $(subst ., ,$*)) -o $@ $(learned_part)

# --- measuring ---

MEASURE = tests/bench/ablation.sh $(RUN) $(BIN) $(THREADS)
MEASURED = $(RUN)/shared.tar $(EXPERT_FILES) $(SLICE)/assemble.yaml $(SLICE)/calibrate.yaml $(RUN)/tokens/test.mf $(RUN)/tokens/val.labelled.mf
$(RUN)/results/short.tsv: $(MEASURED) $(DENSE)
	@[ ! -e $@ ] || rm -rf $(@D)
	$(MEASURE) short
$(RUN)/results/table.tsv: $(MEASURED) $(EXPERTS:%=$(RUN)/scratch.%.tar) $(LEARNED) $(RUN)/dense.one.tar $(DENSE) $(RUN)/dense.wide.tar
	@[ ! -e $@ ] || rm -rf $(@D)
	LEARNED='$(ABLATION_LEARNED)' $(MEASURE) whole
