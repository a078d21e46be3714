#!/bin/bash
# Writes docs/performance.md and docs/growth.svg from what the benchmarks printed: performance.sh RESULTS DOCS
set -euo pipefail
export LC_ALL=C.UTF-8 # numbers have points
results=$1 docs=$2
mkdir -p "$docs"
shown() { # FILE
    printf '```text\n'
    cat "$results/$1"
    printf '```\n'
}
growth() { awk -v what="$1" '$1 == what { print $2, $3, $4 }' "$results/growth.txt"; }
cells() { # WHAT: a line of a table for each value
    growth "$1" | awk -v what="$1" '{ printf "| %s | %s | %s | %s |\n", what, $1, $2, $3 }'
}
for what in d_model context vocabulary; do growth $what > "$results/$what.dat"; done
gnuplot << END
set terminal svg size 1000,320 font "sans,12" background "white" noenhanced
set output "$docs/growth.svg"
set multiplot layout 1,3
set xtics nomirror
set offsets 0.3, 0.3, 0, 0
set ytics nomirror
set y2tics
set yrange [0:*]
set y2range [0:*]
set ylabel "tokens/s"
set y2label "MB"
set key below
do for [what in "d_model context vocabulary"] {
    set xlabel what
    plot "$results/".what.".dat" using 0:2:xtic(1) with linespoints pt 7 lc rgb "#1f6feb" title "tokens/s", \
        "" using 0:3 axes x1y2 with linespoints pt 5 lc rgb "#d29922" title "MB"
}
END
{
    cat << 'END'
# Performance

Made by `make bench`; the numbers of a section were printed by one run of its target
(`make bench-train`, `bench-growth`, ...), on the processor named here. Ours and the peer run one
after the other, with the same threads, the same text or tokens, and the same OpenBLAS setting.

END
    printf 'Processor: %s, %s cores. OPENBLAS_CORETYPE=%s.\n' "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
        "${OPENBLAS_CORETYPE:-not set}"
    cat << 'END'

## Training

The peer is `tests/peers/train_torch.py`: the same model, batch and optimizer in PyTorch, fused
attention where it has it, no gradients for what is frozen.

END
    shown train.txt
    cat << 'END'

**Work of a token** (MFLOP/tok), D d_model, F d_ff, L layers, V vocabulary, S context: two
operations for each weight a token meets, the forward pass `2 (L (4 D^2 + 2 D F + S D) + V D)`,
where attention meets half of the context on average; the shared step three times that; the expert's
step adds to the forward pass `2 (V D + 4 L D F + (L - 1) (4 D^2 + 2 S D))`: gradients pass through
the head, the FFNs (and to their weights) and all attention layers but the lowest. In family llama
an FFN has 3 D F weights a layer, and 4 D^2 are 2 (H + K) d D: K heads of keys, d columns a head.
Products that are made again to save memory are not counted as work, nor is the optimizer. "of
sgemm" is work a second over what OpenBLAS's sgemm on 2048 x 2048 matrices reached with the same
threads just before (the median of 60 products; the machine's speed varies by a tenth from minute to
minute).

**Beside llm.c's CPU trainer**, an argument from its published design, not a measurement:
`train_gpt2.c` keeps every activation of every layer and an S x S array of attention scores a head
(twice, before and after the softmax), and the logits of the whole batch with their gradients. At D
512, 8 heads, 4 layers, V 16384 and 16 x 512 tokens that is 2 x 4 x 16 x 8 x 512^2 x 4 bytes = 1.07
GB of scores and 2 x 8192 x 16384 x 4 bytes = 1.07 GB of logits, before weights and the other
activations; we hold one block of each. It has one loop nest for a product where we call a packed
sgemm, and it trains every weight: an expert's step that way is the shared step's work, 1.27 times
as much.

**bf16 products** are left out: Debian 12's OpenBLAS has no `cblas_sbgemm` (`nm -D libopenblas.so.0`
lists none), so there is nothing to speed training up with. bf16 is used to store the frozen part of
an expert's training under `--max-memory`.

## How it grows

An expert, one number changed at a time from d_model 256, 2 layers, d_ff 4 d_model, vocabulary 4096, context 256, one thread, 8192 tokens a step.

| what | value | tokens/s | peak MB |
|---|---|---|---|
END
    for what in d_model context vocabulary threads; do cells $what; done
    cat << 'END'

![tokens/s and memory against d_model, context and vocabulary](growth.svg)

No S x S array exists: from context 2048 to 8192 memory grows by the rows of one sequence, linearly.
Training does not depend on the number of experts, since each is trained alone; peak memory of
assembling and measuring a model of small experts:

| experts | program | peak MB |
|---|---|---|
END
    awk '$1 == "experts" { printf "| %s | %s | %s |\n", $2, $3, $4 }' "$results/growth.txt"
    printf '\n## Assembly, and the memory of calibration\n\n'
    shown assemble.txt
    cat << 'END'

## Generation and the memory of evaluation

The peers are `tests/peers/generate_torch.py`, without a cache, and for family `llama` llama.cpp (npm
node-llama-cpp) with the same model as GGUF. Limit: reading the weights of a token once.

END
    shown generate.txt
    printf '\n## Tokenizer\n\n'
    shown tokenizer.txt
    cat << 'END'

## A corpus larger than memory

Generated documents of about 50 words in 16 domains, one in ten an exact copy of an earlier one, one
in five a near copy. GNU sort, with one thread and the memory that mf-docs sorts in by default,
sorts as many keys of 16 bytes: what is read, hashed, spilled and written besides is mf-docs' own.
What is left is divided into 16 and 1,000 parts, by one thread in little memory and by four in more,
with the same bytes. Time a document is that of processors.

Peers that were not run here: text-dedup's README has 69 s for 88,803 documents of 180 MB, half of
them near copies, by Spark with 36 GB, and 15 s by its script in memory, with hashes from a cache;
mf-docs takes 11.5 s of processor time and 61 MB for as many generated documents as long, half of
them copies (AMD EPYC, AVX2; theirs is another machine). datatrove, which made FineWeb, works like
mf-docs: signatures on disk, sorted, merged band by band (14 of 8 hashes); one process then joins
the pairs in a dictionary that grows with them. It publishes no time for such a corpus.

END
    shown corpus.txt
    printf '\n## Partitioning\n\n'
    shown partition.txt
} > "$docs/performance.md"
