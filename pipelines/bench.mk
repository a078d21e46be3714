# Benchmarks: ours and a peer in one run, with the ratio. Nothing here is a timed test; memory is asserted.

# The programs of others, for tests and benchmarks: llama.cpp and tokenizers, prebuilt (llama.cpp's for CUDA and Vulkan are the
# optional ones).
PEERS := $B/peers/node_modules/.package-lock.json
$(PEERS): tests/oracle/package.json tests/oracle/package-lock.json | deps
	@mkdir -p $B/peers
	@cp $^ $B/peers
	@npm ci --prefix $B/peers --cache $B/peers/cache --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error >&2
	@touch $@

## bench      measure training, its kernels, assembly, generation, tokenizer, finding copies and partitioning beside their peers; adds this
##            processor's figures to docs/performance.md (bench-page does that alone, from what was measured)
.PHONY: bench bench-page bench-train bench-profile bench-growth bench-assemble bench-generate bench-tokenizer bench-corpus bench-partition
bench: bench-train bench-profile bench-growth bench-assemble bench-generate bench-tokenizer bench-corpus bench-partition
	@tests/bench/performance.sh $B/bench docs

bench-page: deps
	@tests/bench/performance.sh $B/bench docs

# A section's figures, below the processor and its limits.
LIMITS  := $(patsubst %,$B/tests/bench/%_bench,sgemm bf16 bandwidth)
$B/tests/bench/bf16_bench: LDLIBS += -ldnnl -lgomp
MEASURE_SECTION = @tests/bench/measure.sh $B $(THREADS) $(@:bench-%=%)

bench-train: deps build $(LIMITS)
	$(MEASURE_SECTION) tests/bench/train.sh $B $(THREADS) $(patsubst %,configs/%.yaml,default llama demo) tests/bench/smollm2-135m.yaml

# by kernel; needs Linux's perf (Debian's linux-perf) and says so where it is not
bench-profile: deps build $(LIMITS)
	$(MEASURE_SECTION) tests/bench/profile.sh $B $(THREADS) $(patsubst %,configs/%.yaml,default llama demo)

bench-growth: deps build $(LIMITS)
	$(MEASURE_SECTION) tests/bench/growth.sh $B

bench-assemble: deps build $(LIMITS)
	$(MEASURE_SECTION) tests/bench/assemble.sh $B $(THREADS)

bench-generate: deps build $(LIMITS) $(PEERS)
	$(MEASURE_SECTION) tests/bench/generate.sh $B $(THREADS)

bench-tokenizer: deps build $(LIMITS) $B/tests/bench/tokenizer_bench $(PEERS)
	$(MEASURE_SECTION) tests/bench/tokenizer.sh $B $(THREADS)

# COUNT=400000 for fewer documents
bench-corpus: deps build $(LIMITS)
	$(MEASURE_SECTION) tests/bench/corpus.sh $B

bench-partition: deps build $(LIMITS)
	$(MEASURE_SECTION) tests/bench/partition.sh $B $(THREADS)

## bench-base  an expert's training at the shapes of real bases, beside PyTorch, and its bounds of memory
.PHONY: bench-base
bench-base: deps build $(LIMITS)
	$(MEASURE_SECTION) tests/bench/base.sh $B $(THREADS)
