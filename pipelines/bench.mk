# Benchmarks: ours and a peer in one run, with the ratio. Nothing here is a timed test; memory is asserted.

# The programs of others, for tests and benchmarks: llama.cpp and tokenizers, prebuilt (llama.cpp's for CUDA and Vulkan are the
# optional ones).
PEERS := $B/peers/node_modules/.package-lock.json
$(PEERS): tests/oracle/package.json tests/oracle/package-lock.json | deps
	@mkdir -p $B/peers
	@cp $^ $B/peers
	@npm ci --prefix $B/peers --cache $B/peers/cache --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error >&2
	@touch $@

# oneDNN, whose threads are those of gcc's OpenMP.
$B/tests/bench/bf16_bench: LDLIBS += -ldnnl -lgomp

## bench      measure training, assembly, generation, tokenizer, finding copies and partitioning beside their peers; writes docs/performance.md
.PHONY: bench bench-train bench-growth bench-assemble bench-generate bench-tokenizer bench-corpus bench-partition
bench: bench-train bench-growth bench-assemble bench-generate bench-tokenizer bench-corpus bench-partition
	@tests/bench/performance.sh $B/bench docs

$B/bench/.folder:
	@mkdir -p $(@D)
	@touch $@

bench-train: deps build $B/tests/bench/sgemm_bench $B/bench/.folder
	@for c in default llama demo; do tests/bench/train.sh $B configs/$$c.yaml $(THREADS); done | tee $B/bench/train.txt

bench-growth: deps build $B/bench/.folder
	@tests/bench/growth.sh $B | tee $B/bench/growth.txt

bench-assemble: deps build $B/bench/.folder
	@tests/bench/assemble.sh $B $(THREADS) | tee $B/bench/assemble.txt

bench-generate: deps build $B/tests/bench/bandwidth_bench $(PEERS) $B/bench/.folder
	@tests/bench/generate.sh $B $(THREADS) | tee $B/bench/generate.txt

bench-tokenizer: deps build $B/tests/bench/tokenizer_bench $(PEERS) $B/bench/.folder
	@tests/bench/tokenizer.sh $B $(THREADS) | tee $B/bench/tokenizer.txt

# COUNT=400000 for fewer documents
bench-corpus: deps build $B/bench/.folder
	@tests/bench/corpus.sh $B | tee $B/bench/corpus.txt

bench-partition: deps build $B/bench/.folder
	@tests/bench/partition.sh $B $(THREADS) | tee $B/bench/partition.txt

## bench-base  an expert's training at the shapes of real bases, beside PyTorch, and its bounds of memory
.PHONY: bench-base
bench-base: deps build $B/bench/.folder
	@tests/bench/base.sh $B $(THREADS) | tee $B/bench/base.txt
