# How a fixed number of steps is best divided between the backbone and the experts, and what experts are to learn: a search by
# successive halving (tests/bench/search.py), measured by oracle routing.
#
#   make ablation-search [CONFIG=configs/demo.yaml]     -n prints how many trainings and steps it has
#
# The candidates are all combinations of a share of the steps for the backbone (percent), how the backbone is handed over, what
# the experts learn, and from the second round on their learning rate over the configuration's. Each round trains those that it
# keeps of the round before for more steps (percent of the configuration's total). Documents, tokens and partitions are those
# of a run of the pipeline, runs/ablation/search. Broken off, it goes on where it was; what is there already is not made again.
# With THREADS=1 two trainings go side by side by -j2.

SEARCH_SHARES    ?= 0 25 50 75 90
SEARCH_BACKBONES ?= annealed steady
SEARCH_TRAINED   ?= ffn rank8 rank32 head16 head64 headfull qo qoheadfull
SEARCH_RATES     ?= 0.5 1 2
SEARCH_ROUNDS    ?= 25 50 100
SEARCH_KEEP      ?= 12 7

## ablation-search  search how to divide the steps and what experts should learn; adds it to docs/quality.md
.PHONY: ablation-search
ablation-search: | deps build $(CORPUS).list
	+@$(MAKE) --no-print-directory NAME=ablation/search search-run
	cp $(RUNS)/ablation/search/search/table.tsv docs/quality/search.tsv
	tests/bench/ablation_report.sh docs

# Each round is a make of its own, since its candidates are known when the one before is complete. Looking shows the plan.
SEARCHED = $(RUN)/search
search = tests/bench/search.py --programs $(BIN) --folder $(SEARCHED) --threads $(THREADS) --shares '$(SEARCH_SHARES)' \
    --backbones '$(SEARCH_BACKBONES)' --trained '$(SEARCH_TRAINED)' --rates '$(SEARCH_RATES)' --rounds '$(SEARCH_ROUNDS)' \
    --keep '$(SEARCH_KEEP)' $(1) --settings $(SETTINGS)
.PHONY: search-run search-round
search-run: | $(BIN)/mf-config
	+@$(call search,plan)
ifeq ($(LOOKING),)
	+@totals=$$($(call search,totals)); \
	    for total in $$totals; do $(MAKE) --no-print-directory SEARCH_TOTAL=$$total search-round; done
	@$(call search,table) > $(SEARCHED)/table.tsv.tmp
	@mv $(SEARCHED)/table.tsv.tmp $(SEARCHED)/table.tsv
endif

# --- one round, of SEARCH_TOTAL steps ---

ifneq ($(filter search-round,$(MAKECMDGOALS)),)
ROUND := $(SEARCHED)/$(SEARCH_TOTAL)
CANDIDATES := $(shell $(call search,candidates $(SEARCH_TOTAL)))
$(if $(CANDIDATES),,$(error no candidates for $(SEARCH_TOTAL) steps))
backbone_of = $(word 1,$(subst -, ,$(1)))-$(word 2,$(subst -, ,$(1)))
BACKBONES := $(sort $(foreach c,$(CANDIDATES),$(call backbone_of,$c)))
sets = $(or $(shell $(call search,settings $(SEARCH_TOTAL) $(1))),$(error no settings of $(1)))
search-round: $(CANDIDATES:%=$(ROUND)/%.tsv)

$(BACKBONES:%=$(ROUND)/%.tar): $(ROUND)/%.tar: $(RUN)/tokenizer.json $(SLICE)/train-shared.yaml | $(UNTRAINED) $(BIN)/mf-train-shared
	@mkdir -p $(@D)
	$(drop_stale_checkpoint)
	$(BIN)/mf-train-shared --config $(SLICE)/train-shared.yaml $(call sets,$*) $(COMMON) --resume \
	    -v $(RUN)/tokens/val.mf -o $@ $(RUN)/tokens/train.mf

$(BACKBONES:%=$(ROUND)/%.json): $(ROUND)/%.json: $(ROUND)/%.tar $(RUN)/tokens/test.mf | $(BIN)/mf-eval
	$(BIN)/mf-eval perplexity --quiet --threads $(THREADS) --json -o $@ -m $< $(RUN)/tokens/test.mf

# The test documents of each expert.
$(SEARCHED)/test.mf: $(RUN)/tokens/test.mf $(RUN)/parts/stamp | $(BIN)/mf-partition
	@mkdir -p $(@D)
	$(BIN)/mf-partition --label --quiet --saved $(RUN)/parts/partition.mp --each $(SEARCHED)/test -o $@ $<

# The experts of a candidate and their result, which is what is kept of them. Where the learning rate is too high for one of
# them (70), a word stands in its place.
define SEARCH_CANDIDATE
.SECONDARY: $(EXPERTS:%=$(ROUND)/$1.expert.%.tar)
$(EXPERTS:%=$(ROUND)/$1.expert.%.tar): $(ROUND)/$1.expert.%.tar: $(ROUND)/$(backbone_of).tar $(RUN)/parts/part.%.mp \
    $(SLICE)/train-expert.yaml | $(RUN)/tokens/val.labelled.mf $(BIN)/mf-train-expert
	$$(drop_stale_checkpoint)
	$(BIN)/mf-train-expert --config $(SLICE)/train-expert.yaml $$(call sets,$1) $(COMMON) --resume -s $$< \
	    -v $(RUN)/tokens/val/part.$$*.mf -p $$* -o $$@ $(RUN)/parts/part.$$*.mp || \
	    { [ $$$$? -eq 70 ]; rm -f $$@.ckpt*; echo diverged > $$@; }

$(ROUND)/$1.tsv: $(EXPERTS:%=$(ROUND)/$1.expert.%.tar) $(ROUND)/$(backbone_of).json $(SEARCHED)/test.mf | $(BIN)/mf-eval
	@$$(call search,result $(SEARCH_TOTAL) $1) > $$@.tmp
	@mv $$@.tmp $$@
	@rm -f $(EXPERTS:%=$(ROUND)/$1.expert.%.tar)
endef
$(foreach c,$(CANDIDATES),$(eval $(call SEARCH_CANDIDATE,$c)))
endif
