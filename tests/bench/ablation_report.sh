#!/bin/bash
# Writes docs/quality.md and docs/quality.svg from the tables of the ablation: ablation_report.sh ABLATION DOCS
set -euo pipefail
export LC_ALL=C.UTF-8 # numbers have points
ablation=$1 docs=$2
mkdir -p "$docs"
tables=("$ablation"/seed*/results/table.tsv)
[ -s "${tables[0]}" ] || { echo "ablation_report.sh: no table in $ablation; run make ablation" >&2; exit 66; }
seeds=$(for t in "${tables[@]}"; do sed -E 's,.*/seed([0-9]+)/.*,\1,' <<< "$t"; done | sort -n | paste -sd' ')

# name, mean and largest distance from it over the seeds for each column: NAME MEAN SPREAD MEAN SPREAD ...
means=$ablation/means.tsv
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
    }' "${tables[@]}" > "$means"

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
best_alone=$(grep '^alone' "$means" | sort -t $'\t' -k2,2g | head -n 1 | cut -f1)
ours=assembled.shared.prefix.k2

# Each run of another length of the shared phase, beside the first seed's own: length, assembled, dense of the same tokens.
first=$ablation/seed${seeds%% *}/results/table.tsv
{
    echo "1 $(value dense.shared "$first") $(value "$ours.on" "$first") $(value dense.all "$first")"
    for t in "$ablation"/length*/results/short.tsv; do
        [ -s "$t" ] || continue
        length=$(sed -E 's,.*x([0-9.]+)/results.*,\1,' <<< "$t")
        echo "$length $(value dense.shared "$t") $(value "$ours.on" "$t") $(value dense.all "$t")"
    done | sort -n
} > "$ablation/lengths.dat"

grep -E '^(dense|average|oracle|ensemble)|^assembled\.shared\.[a-z]*\.k2\.on' "$means" | sort -t $'\t' -k2,2gr |
    sed -e 's/^assembled\.shared\.\([a-z]*\)\.k2\.on/\1 router/' | cut -f1-3 > "$ablation/bars.dat"
gnuplot << END
set terminal svg size 1000,420 font "sans,12" background "white" noenhanced
set output "$docs/quality.svg"
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
plot "$ablation/bars.dat" using 0:2:3:xtic(1) with boxerrorbars lc rgb "#1f6feb"
set datafile separator whitespace
set xtics norotate
set xlabel "length of the shared phase"
set key below
set offsets 0.2, 0.2, 0, 0
plot "$ablation/lengths.dat" using 0:2:xtic(1) with linespoints pt 7 lc rgb "#888888" title "dense after the shared phase", \
    "" using 0:3 with linespoints pt 7 lc rgb "#1f6feb" title "assembled", \
    "" using 0:4 with linespoints pt 7 lc rgb "#d29922" title "dense on the same total tokens"
END

{
    cat << END
# Quality

Made by \`make ablation\` (configs/ablation.yaml, seeds: $seeds). Perplexity a token on documents
that no stage has seen; the mean over the seeds, ± the largest distance from it (with one seed there
is none). Balance is the entropy of the experts' shares over its largest, agreement that of first
choices with domains.

## Bars

The assembled model by default: experts started from the shared FFN, prefix router, two experts a
token, calibrated. The worst seed counts.

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

![perplexities, and how they change with the length of the shared phase](quality.svg)

## Dense models and the parts

\`dense.shared\` is the model after the shared phase; \`dense.one\`, \`dense.all\` and
\`dense.wide\` train from scratch, in one schedule, for the steps of the shared phase and of one
expert, of all experts, and of all experts at twice the FFN's width. \`average\` is the mean of the
experts' weights; \`oracle\` takes for each domain the expert that was trained on most of it.

END
    head_of
    rows '^dense'
    rows '^alone'
    rows '^(average|ensemble|oracle)'
    cat << END

## Routers

assembled.INIT.ROUTER.kK: how the experts were initialised, what routes, how many experts see a
token; on: with temperature and norms (and the prefix router's evidence and gates) fitted on
validation documents.

END
    head_of
    rows '^assembled'
    cat << END

## Length of the shared phase

Seed ${seeds%% *}; experts train the same number of steps each time, the dense model on the total.

| length | dense after the shared phase | assembled | dense on the same total tokens | assembled over dense |
|---|---|---|---|---|
END
    awk '{ printf "| %sx | %.2f | %.2f | %.2f | %.3f |\n", $1, $2, $3, $4, $3 / $4 }' "$ablation/lengths.dat"
    [ ! -s "$docs/quality.notes.md" ] || { echo; cat "$docs/quality.notes.md"; }
} > "$docs/quality.md"
