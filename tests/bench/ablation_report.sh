#!/bin/bash
# Writes DOCS/quality.md and DOCS/quality.FAMILY.svg from the tables of the ablation, DOCS/quality/FAMILY.seedN.tsv and
# FAMILY.lengthNxTIMES.tsv: ablation_report.sh DOCS
# The table of make ablation-search, DOCS/quality/search.tsv, becomes a section and quality.search.svg.
set -euo pipefail
export LC_ALL=C.UTF-8 # numbers have points
docs=$1 ablation=$1/quality
families=$(printf '%s\n' "$ablation"/*.seed*.tsv | sed -nE 's,.*/([a-z]+)\.seed[0-9]+\.tsv,\1,p' | sort -u)
[ -n "$families" ] || { echo "ablation_report.sh: no table in $ablation; run make ablation" >&2; exit 66; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ours=assembled.shared.prefix.k2

# What the functions below read: the tables of one family, by seed.
of_family() { # FAMILY
    tables=("$ablation/$1".seed*.tsv)
    seeds=$(printf '%s\n' "${tables[@]}" | sed -E 's,.*seed([0-9]+)\.tsv,\1,' | sort -n | paste -sd' ')
    first=$ablation/$1.seed${seeds%% *}.tsv
    means=$work/$1.means.tsv bars=$work/$1.bars.dat lengths=$work/$1.lengths.dat
    mean_over_seeds > "$means"
    grep -E '^(dense|average|oracle|ensemble)|^assembled\.shared\.[a-z]*\.k2\.on' "$means" | sort -t $'\t' -k2,2gr |
        sed -e 's/^assembled\.shared\.\([a-z]*\)\.k2\.on/\1 router/' | cut -f1-3 > "$bars"
    measured_lengths "$1" | sort -n > "$lengths"
}

# name, mean and largest distance from it over the seeds for each column: NAME MEAN SPREAD MEAN SPREAD ...
mean_over_seeds() {
    awk -F '\t' -v OFS='\t' '
        FNR == 1 { next }
        !($1 in n) { order[++names] = $1 }
        { n[$1]++; for (c = 2; c <= NF; c++) { cell[$1, c, n[$1]] = $c; columns = NF } }
        END {
            for (i = 1; i <= names; i++) {
                line = order[i]
                for (c = 2; c <= columns; c++) {
                    sum = 0; far = 0
                    for (k = 1; k <= n[order[i]]; k++) sum += cell[order[i], c, k]
                    mean = sum / n[order[i]]
                    for (k = 1; k <= n[order[i]]; k++) { d = cell[order[i], c, k] - mean; if (d < 0) d = -d; if (d > far) far = d }
                    line = line OFS (cell[order[i], c, 1] == "-" ? "-" OFS "-" : mean OFS far)
                }
                print line
            }
        }' "${tables[@]}"
}

# Each run of another length of the shared phase, beside the first seed's own: length, dense, assembled, dense of the same tokens.
measured_lengths() { # FAMILY
    local t
    echo "1 $(length_row "$first")"
    for t in "$ablation/$1".length*.tsv; do
        [ ! -s "$t" ] || echo "$(sed -E 's,.*x([0-9.]+)\.tsv,\1,' <<< "$t") $(length_row "$t")"
    done
}
length_row() { # TABLE
    echo "$(value dense.shared "$1") $(value "$ours.on" "$1") $(value dense.all "$1")"
}

value() { awk -F '\t' -v name="$1" '$1 == name { print $2 }' "${2:-$means}"; } # NAME [TABLE]: perplexity of the mixture
rows() { # PATTERN: the lines of a table
    awk -F '\t' -v pattern="$1" -v seeds=${#tables[@]} '$1 ~ pattern {
        printf "| %s | %.2f", $1, $2
        if (seeds > 1) printf " ± %.2f", $3
        printf " |"
        for (c = 4; c <= NF - 4; c += 2) printf " %.2f |", $c
        for (c = NF - 3; c <= NF; c += 2) printf $c == "-" ? " |" : " %.3f |", $c
        print ""
    }' "$means"
}
head_of() {
    awk -F '\t' 'NR == 1 { printf "| model |"; for (c = 2; c <= NF; c++) printf " %s |", $c; printf "\n|---|"; for (c = 2; c <= NF; c++) printf "---|"; print ""; exit }' \
        "${tables[0]}"
}
# One bar: on every seed, is the first below the second times a factor? Prints the worst ratio and the verdict.
bar() { # TEXT NAME OTHER FACTOR
    for t in "${tables[@]}"; do echo "$(value "$2" "$t") $(value "$3" "$t")"; done | awk -v text="$1" -v factor="$4" '
        { r = $1 / $2; if (r > worst) worst = r }
        END { printf "| %s | at most %.2f | %.3f | %s |\n", text, factor, worst, (worst <= factor ? "met" : "**not met**") }'
}
picture() { # FILE.svg
    gnuplot << END
set terminal svg size 1000,420 font "sans,12" background "white" noenhanced
set output "$1"
set multiplot layout 1,2
set datafile separator "\t"
set style fill solid 0.7
set boxwidth 0.7
set xtics rotate by -40 nomirror
set ytics nomirror
set yrange [0:*]
set ylabel "perplexity of the mixture"
set key off
set offsets 0.6, 0.6, 0, 0
plot "$bars" using 0:2:3:xtic(1) with boxerrorbars lc rgb "#1f6feb"
set datafile separator whitespace
set xtics norotate
set xlabel "length of the shared phase"
set key below
set xrange [-0.5:$(($(wc -l < "$lengths") - 1)).5]
plot "$lengths" using 0:2:xtic(1) with linespoints pt 7 lc rgb "#888888" title "dense after the shared phase", \
    "" using 0:3 with linespoints pt 7 lc rgb "#1f6feb" title "assembled", \
    "" using 0:4 with linespoints pt 7 lc rgb "#d29922" title "dense on the same total tokens"
END
}

# Where documents change their subject: the means over the seeds, and the largest ratio.
subjects() { # FAMILY
    awk -F '\t' '
        FNR == 1 { next }
        {
            key = $1 FS $2 FS $3
            if (!(key in n)) order[++rows] = key
            n[key]++
            for (c = 5; c <= 7; c++) sum[key, c] += $c
            if (!(key in worst) || $8 > worst[key]) { worst[key] = $8; error[key] = $9 }
        }
        END {
            for (i = 1; i <= rows; i++) {
                key = order[i]
                split(key, k, FS)
                printf "| %s | %s |", k[1], k[2] ? k[2] " to " k[3] : "all"
                for (c = 5; c <= 7; c++) printf " %.2f |", sum[key, c] / n[key]
                printf " %.3f ± %.3f |\n", worst[key], error[key]
            }
        }' "$ablation/$1".subjects*.tsv
}

subjects_section() { # FAMILY
    cat << END

Where the subject changes: documents of 256 tokens, made of pieces of the test documents, and of
licences, which no domain is about. Places count from the last change; the oracle takes each token by
the expert of its own domain (of licences by the one that is best at the document). Means over the
seeds; the ratio is that of the worst seed, ± its standard error over documents:

| documents | tokens | backbone | assembled | oracle | assembled over backbone |
|---|---|---|---|---|---|
END
    subjects "$1"
}

chapter() { # FAMILY
    local best_alone
    best_alone=$(grep '^alone' "$means" | sort -t $'\t' -k2,2g | head -n 1 | cut -f1)
    cat << END

## Family \`$1\`

Seeds: $seeds. The assembled model by default: experts started from the shared FFN, prefix router,
two experts a token, calibrated. The worst seed counts.

| what | bar | worst ratio | |
|---|---|---|---|
END
    bar "(a) beside the best expert alone ($best_alone)" "$ours.on" "$best_alone" 1
    bar "(b) beside the dense model after the shared phase" "$ours.on" dense.shared 0.9
    bar "(c) beside the dense model trained on as long as one expert" "$ours.on" dense.one 1
    bar "(d) beside oracle routing by true domain" "$ours.on" oracle 1.03
    bar "(e) calibrated beside not calibrated" "$ours.on" "$ours.off" 1
    bar "beside the dense model trained on the same total tokens (the aim)" "$ours.on" dense.all 1
    bar "beside that of twice the width (the aim)" "$ours.on" dense.wide 1
    cat << END

![perplexities, and how they change with the length of the shared phase](quality.$1.svg)

Dense models and the parts:

END
    head_of
    rows '^dense'
    rows '^alone'
    rows '^(average|ensemble|oracle)'
    printf '\nRouters:\n\n'
    head_of
    rows '^assembled'
    cat << END

Length of the shared phase, of seed ${seeds%% *}; experts train the same number of steps each time,
the dense model on the total:

| length | dense after the shared phase | assembled | dense on the same total tokens | assembled over dense |
|---|---|---|---|---|
END
    awk '{ printf "| %sx | %.2f | %.2f | %.2f | %.3f |\n", $1, $2, $3, $4, $3 / $4 }' "$lengths"
    ! compgen -G "$ablation/$1.subjects*.tsv" > "$work/found" || subjects_section "$1"
}

# --- the search by successive halving, in whose table the best of a round comes first (tests/bench/search.py) ---

search=$ablation/search.tsv
SHARE=3 TRAINED=5 # columns of it

# For each value of a column its best line of the last round that has it.
best_by() { # COLUMN
    tail -n +2 "$search" | sort -s -k1,1nr | awk -F '\t' -v c="$1" '!seen[$c]++'
}
search_table() { # reads lines of the table
    cat << END

| round | share | backbone | experts learn | rate | its steps | each expert's | its perplexity | by oracle | bytes of an expert |
|---|---|---|---|---|---|---|---|---|---|
END
    awk -F '\t' '{
        printf "| %s | %s%% | %s | %s | %s | %s | %s | %.2f | ", $1, $3, $4, $5, $6, $7, $8, $9
        if ($10 == "-") print "diverged | |"; else printf "%.2f | %.2f MB |\n", $10, $11 / 1e6
    }'
}
# For each share its best by oracle in each round; for what experts learn that of the first round.
search_by_share() { # ROUNDS
    awk -F '\t' -v rounds="$1" '
        NR > 1 && $10 != "-" && !(($1, $3) in best) { best[$1, $3] = $10; shares[$3] }
        END {
            for (s in shares) {
                line = s
                for (r = 1; r <= rounds; r++) line = line " " ((r, s) in best ? best[r, s] : "?")
                print line
            }
        }' "$search" | sort -n
}
search_by_trained() {
    awk -F '\t' '$1 == 1 && $10 != "-" && !seen[$5]++ { print $5, $10 }' "$search" | tac
}
search_picture() { # FILE.svg ROUNDS
    search_by_share "$2" > "$work/search.share.dat"
    search_by_trained > "$work/search.trained.dat"
    gnuplot << END
set terminal svg size 1000,420 font "sans,12" background "white" noenhanced
set output "$1"
set multiplot layout 1,2
set datafile missing "?"
set xtics nomirror
set ytics nomirror
set logscale y
set ylabel "perplexity by oracle routing"
set xlabel "percent of the steps for the backbone"
set key below
set offsets 0.2, 0.2, 0, 0
plot for [r=1:$2] "$work/search.share.dat" using 0:(column(r + 1)):xtic(1) with linespoints pt 7 title sprintf("best of round %d", r)
unset logscale y
set yrange [0:*]
set xlabel "best of round 1, by what experts learn"
set xtics rotate by -40
set key off
set style fill solid 0.7
set boxwidth 0.7
set offsets 0.6, 0.6, 0, 0
plot "$work/search.trained.dat" using 0:2:xtic(1) with boxes lc rgb "#1f6feb"
END
}
search_rounds() {
    tail -n +2 "$search" | cut -f1,2 | uniq -c | awk '{ printf "%s%d with %d", (NR > 1 ? ", " : ""), $1, $3 }'
}
search_section() {
    local rounds
    rounds=$(tail -n 1 "$search" | cut -f1)
    search_picture "$docs/quality.search.svg" "$rounds"
    cat << END

## A search by successive halving

How should a fixed number of steps be divided between backbone and experts, and what should experts
learn? \`make ablation-search\` tries all combinations with few steps, and the best with more:
$(search_rounds).
The best of each share stays, whatever others reach. The share is that of the steps which train
the backbone. It is handed over \`annealed\`, or \`steady\`, before its learning rate falls; with a
share of 0 it is \`untrained\`. The rate is the experts' learning rate over the configuration's.
Perplexity on the test documents, of the backbone and by oracle: each document by the expert of its
partition. The search chooses by the same documents, so its best are a little too good. Compare
within a round only.

![the best of each share, and of what experts learn](quality.search.svg)

The best of each share, in the last round that has it:
END
    best_by $SHARE | sort -n -k$SHARE,$SHARE | search_table
    printf '\nThe best of what experts learn, in the last round that has it:\n'
    best_by $TRAINED | search_table
}

{
    cat << END
# Quality

Made by \`make ablation\`, which trains what tests/bench/ablation.yaml says on the demonstration corpus
(of family \`reference\` the same with LayerNorm, added positions and GELU, and as many weights): the
demo as it was with four layers, before [its size](#the-demos-size) was chosen anew.
Perplexity a token on documents that no stage has seen; the mean over the seeds, ± the largest
distance from it (with one seed there is none). Balance is the entropy of the experts' shares over
its largest, agreement that of first choices with domains.

- \`dense.shared\` is the model after the shared phase; \`dense.one\`, \`dense.all\` and \`dense.wide\`
  train from scratch, in one schedule, for the steps of the shared phase and of one expert, of all
  experts, and of all experts at twice the FFN's width.
- So \`dense.one\` is what one machine reaches in the time in which as many machines as experts make
  the assembled model, and \`dense.all\` what they could reach in it together if they shared each
  step's gradients in no time, or what one machine reaches in the time that it takes for all parts.
- \`alone.E\` is the shared model with expert E for its FFN. \`average\` is the mean of the experts'
  weights, \`ensemble\` that of their probabilities; \`oracle\` takes for each domain the expert that
  was trained on most of it.
- \`assembled.INIT.ROUTER.kK\`: how the experts were initialised (\`headR\`: from the shared FFN, with
  heads of rank R of their own, or whole ones; \`qo\`: with attention's queries and outputs of their
  own), what routes, how many experts see a token; \`on\`:
  with temperature and norms (and the prefix router's evidence and gates) fitted on validation
  documents.
END
    for family in $families; do
        of_family "$family"
        picture "$docs/quality.$family.svg"
        chapter "$family"
    done
    [ ! -s "$search" ] || search_section
    [ ! -s "$docs/quality.notes.md" ] || { echo; cat "$docs/quality.notes.md"; }
} > "$docs/quality.md"
