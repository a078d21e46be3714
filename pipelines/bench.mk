# Benchmarks: ours and a peer in one run, with the ratio. Nothing here is a timed test; memory is asserted.

## bench      measure training against a PyTorch twin, at the default and the demonstration's size
.PHONY: bench
bench: deps build
	@scripts/bench.sh $(BIN) configs/default.yaml $(THREADS)
	@scripts/bench.sh $(BIN) configs/demo.yaml $(THREADS)
