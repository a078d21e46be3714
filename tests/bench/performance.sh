#!/bin/bash
# Adds what the benchmarks printed to docs/performance/KIND/, a folder for each kind of processor, and writes
# docs/performance.md from all of them: performance.sh RESULTS DOCS
#
# RESULTS/SECTION.txt (measure.sh) replaces what an earlier run of that section left of the same kind; other kinds and other
# sections stay. KIND/SECTION.notes.md, written by hand, is about one run and goes with it.
set -euo pipefail
export LC_ALL=C.UTF-8 # numbers have points
results=$1 docs=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

add_results() {
    local file kind folder
    for file in "$results"/*.txt; do
        kind=$(sed -n '1s/^processor \([a-z0-9_-]*\): .*/\1/p' "$file" 2> /dev/null) || true
        [ -n "$kind" ] || continue
        folder=$docs/performance/$kind
        mkdir -p "$folder"
        if cmp -s "$file" "$folder/${file##*/}"; then continue; fi
        cp "$file" "$folder"
        rm -f "$folder/$(basename "$file" .txt).notes.md"
    done
}

# Runs a command for each kind that has a section, below its name, features and limits.
of_every_kind() { # SECTION COMMAND...
    local file
    for file in "$docs"/performance/*/"$1.txt"; do
        [ -e "$file" ] || continue
        printf '\n'
        awk 'NR == 1 { sub(/^processor [^ ]*: /, ""); printf "**%s**: ", kind; printf "%s.", $0 } NR == 2 { print " Limits, " substr($0, 9) "."; exit }' \
            kind="$(basename "$(dirname "$file")")" "$file" | fold -s -w 100 | sed 's/ $//'
        printf '\n'
        "${@:2}" "$file"
        if [ -e "${file%.txt}.notes.md" ]; then printf '\n' && cat "${file%.txt}.notes.md"; fi
    done
}
block() { # FILE
    printf '```text\n'
    tail -n +3 "$1"
    printf '```\n'
}
shown() { of_every_kind "$1" block; }

# The tables and the plot of growth. A line of growth.txt is FAMILY WHAT VALUE PRECISION TOKENS/S MB, or "experts" E PROGRAM MB.
growth() { # FILE
    plot "$1"
    printf '| what | value |' && printf ' %s |' "reference fp32" "reference bf16" "llama fp32" "llama bf16" && printf '\n|---|---|---|---|---|---|\n'
    tail -n +3 "$1" | awk '$1 == "experts" { next }
        !(($2, $3) in seen) { seen[$2, $3] = 1; order[++n] = $2 SUBSEP $3 }
        { cell[$2, $3, $1 " " $4] = $5 " (" $6 ")" }
        function shown(i, column) { return (order[i] SUBSEP column) in cell ? cell[order[i] SUBSEP column] : "-" }
        END { for (i = 1; i <= n; i++) { split(order[i], a, SUBSEP)
            printf "| %s | %s | %s | %s | %s | %s |\n", a[1], a[2], shown(i, "reference fp32"), shown(i, "reference bf16"),
                shown(i, "llama fp32"), shown(i, "llama bf16") } }'
    printf '\n![tokens/s and peak MB of each precision and family](performance/%s/growth.svg)\n' "$(basename "$(dirname "$1")")"
    printf '\n| experts | program | peak MB |\n|---|---|---|\n'
    awk '$1 == "experts" { printf "| %s | %s | %s |\n", $2, $3, $4 }' "$1"
}
plot() { # FILE
    local series what family precision
    for what in d_model context vocabulary rank; do
        for series in reference.fp32 reference.bf16 llama.fp32 llama.bf16; do
            family=${series%.*} precision=${series#*.}
            awk -v family="$family" -v what="$what" -v precision="$precision" \
                '$1 == family && $2 == what && $4 == precision && $3 > 0 { print $3, $5, $6 }' "$1" > "$work/$what.$series"
        done
    done
    (cd "$work" && gnuplot) << 'END'
set terminal svg size 1100,560 font "sans,12" background "white" noenhanced
set output "plot.svg"
set multiplot layout 2,4
set logscale xy
set xtics nomirror
set ytics nomirror
unset key
size(file) = int(system("wc -c < " . file))
colour(i) = word("#1f6feb #d29922 #2da44e #cf222e", i)
series = "reference.fp32 reference.bf16 llama.fp32 llama.bf16"
do for [column = 2:3] {
    do for [what in "d_model context vocabulary rank"] {
        set xlabel what
        set ylabel (column == 2 ? "tokens/s" : "peak MB")
        there = ""
        do for [i = 1:4] { if (size(what . "." . word(series, i)) > 0) { there = there . " " . i } }
        if (column == 2 && what eq "d_model") { set key bottom left samplen 1 } else { unset key }
        if (words(there) == 0) {
            set multiplot next
        } else {
            stats what . "." . word(series, int(word(there, 1))) using 1 nooutput
            set xrange [STATS_min / 1.3 : STATS_max * 1.3]
            plot for [i in there] what . "." . word(series, int(i)) using 1:column:xtic(1) with linespoints pt 7 ps 0.6 \
                lc rgb colour(int(i)) title word(series, int(i))
        }
    }
}
END
    mv "$work/plot.svg" "${1%.txt}.svg"
}

page() {
    cat << 'END'
# Performance

Made by `make bench`; the numbers of a block were printed by one run of its section's target (`make
bench-train`, `bench-growth`, ...). Ours and the peer run one after the other, with the same threads,
the same text or tokens, and the same settings.

A section has a block for each kind of processor that it was measured on: its features, and its
limits in the same run, which are OpenBLAS's sgemm and oneDNN's product in bf16 with fp32 sums on
2048 x 2048 matrices (medians; the second with the name of its kernel) and reading memory. A new run
replaces the block of its own kind (`docs/performance/KIND/`) and leaves the others.

## Training

The peer is `tests/peers/train_torch.py`: the same model, batch and optimizer in PyTorch, fused
attention where it has it, no gradients for what is frozen; in bf16 its forward pass is under
autocast. `demo.yaml` has two layers now; blocks of before December 2026 are of four.
END
    shown train
    cat << 'END'

**Work of a token** (MFLOP/tok), D d_model, F d_ff, L layers, V vocabulary, S context: two
operations for each weight a token meets, the forward pass `2 (L (4 D^2 + 2 D F + S D) + V D)`,
where attention meets half of the context on average; the shared step three times that; the expert's
step adds to the forward pass `2 (V D + 4 L D F + (L - 1) (4 D^2 + 2 S D))`: gradients pass through
the head, the FFNs (and to their weights) and all attention layers but the lowest. In family llama
an FFN has 3 D F weights a layer, and 4 D^2 are 2 (H + K) d D: K heads of keys, d columns a head.
Products that are made again to save memory are not counted as work, nor is the optimizer. "of
limit" is work a second over the limit of its precision, sgemm or the bf16 product, with the same
threads just before (the machine's speed varies by a tenth from minute to minute).

**Beside llm.c's CPU trainer**, an argument from its published design, not a measurement:
`train_gpt2.c` keeps every activation of every layer and an S x S array of attention scores a head
(twice, before and after the softmax), and the logits of the whole batch with their gradients. At D
512, 8 heads, 4 layers, V 16384 and 16 x 512 tokens that is 2 x 4 x 16 x 8 x 512^2 x 4 bytes = 1.07
GB of scores and 2 x 8192 x 16384 x 4 bytes = 1.07 GB of logits, before weights and the other
activations; we hold one block of each. It has one loop nest for a product where we call a packed
sgemm, and it trains every weight: an expert's step that way is the shared step's work, 1.27 times
as much.

**bf16 products** (`train.precision`) are oneDNN's, with operands rounded to bf16 and sums in fp32, and
are measured where the processor has units for them, AVX512-BF16 or AMX; elsewhere the rows are left
out. Weights that learn, norms, softmax, losses and the optimizer are in fp32; an expert's frozen
weights are held in bf16. A product is made by oneDNN if it has 32 rows at least, of 32 inputs and
outputs at least, and attention's if its sequences' lengths are multiples of 64; others are OpenBLAS's
and fp32. `auto` takes bf16 with AMX. With AVX512-BF16 alone it does on AMD's processors, where its dot
product of 32 numbers takes as long as an fp32 multiplication of 16; on Intel's it takes twice that: a
processor with AMX switched off (`ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16`) made 85 GFLOP/s of 1024 x 512 x
2048 on one thread in bf16, and 156 by sgemm.
END
    if compgen -G "$docs/performance/*/profile.txt" > /dev/null; then
        cat << 'END'

## Kernels

Where the time of a step goes (`make bench-profile`): the share of each kernel, and its speed beside
its limit, sgemm's for products and memory's for what stands between them. What was just written may
still be in a cache, so more than the limit is possible; bf16 products may be faster than sgemm.
END
        shown profile
    fi
    if compgen -G "$docs/performance/*/base.txt" > /dev/null; then
        cat << 'END'

## An expert on a base

The shapes of real bases with random weights (`make bench-base`): changes of rank 16, and a whole
FFN, with `--max-memory` a hundredth below the bound.
END
        shown base
    fi
    cat << 'END'

## How it grows

An expert, one number changed at a time from d_model 256, 2 layers, d_ff 4 d_model (llama: 8/3
d_model), vocabulary 4096, context 256, rank 0 (a whole FFN), one thread, 8192 tokens a step. A cell
is tokens/s, and in brackets the peak in MB.

No S x S array exists: from context 2048 to 8192 memory grows by the rows of one sequence, linearly.
Training does not depend on the number of experts, since each is trained alone; the last table has
the peak memory of assembling and measuring a model of small experts.
END
    of_every_kind growth growth
    printf '\n## Assembly, and the memory of calibration\n'
    shown assemble
    cat << 'END'

## Generation and the memory of evaluation

The peers are `tests/peers/generate_torch.py`, without a cache, and for family `llama` llama.cpp (npm
node-llama-cpp) with the same model as GGUF. Limit: reading the weights of a token once.
END
    shown generate
    printf '\n## Tokenizer\n'
    shown tokenizer
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
    shown corpus
    printf '\n## Partitioning\n'
    shown partition
}

add_results
page > "$work/page.md"
mv "$work/page.md" "$docs/performance.md"
