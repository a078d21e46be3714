# Benchmarks: ours and a peer in one run, with the ratio. Nothing here is a timed test; memory is asserted.

# The tokenizers of others, for tests and benchmarks.
PEERS := $B/peers/node_modules/.package-lock.json
$(PEERS): tests/oracle/package.json tests/oracle/package-lock.json | deps
	@mkdir -p $B/peers
	@cp $^ $B/peers
	@npm ci --prefix $B/peers --no-audit --no-fund --loglevel=error >&2
	@touch $@

## bench      measure training against PyTorch, the tokenizer against its peers, and partitioning
.PHONY: bench bench-train bench-tokenizer bench-partition
bench: bench-train bench-tokenizer bench-partition

bench-train: deps build
	@scripts/bench.sh $(BIN) configs/default.yaml $(THREADS)
	@scripts/bench.sh $(BIN) configs/demo.yaml $(THREADS)

bench-tokenizer: deps build $B/tests/tokenizer_bench $(PEERS)
	@scripts/bench_tokenizer.sh $B $(THREADS)

bench-partition: deps build
	@scripts/bench_partition.sh $(BIN) $(THREADS)
