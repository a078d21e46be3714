#!/bin/bash
# Draws the loss curves of a run, FOLDER/*.metrics.mf, into FOLDER/curves.svg and curves.png. A stream may still be being
# written: what is there is drawn.
#     plot.sh MF-CAT FOLDER
set -euo pipefail
export LC_ALL=C.UTF-8 # numbers have points
cat=$1 folder=$2
work=$(mktemp -d "$folder/.plot.XXXXXX")
trap 'rm -rf "$work"' EXIT

# A table of steps and losses, and one of held-out losses, for each training that has made a step. The message about the end that is
# not there yet is of no interest; a stream without records gives no table.
names=()
shopt -s extglob
mapfile -t others < <(printf '%s\n' "$folder"/!(shared).metrics.mf | sort -V)
for file in "$folder"/shared.metrics.mf "${others[@]}"; do
    [ -e "$file" ] || continue
    name=$(basename "$file" .metrics.mf)
    { "$cat" "$file" 2> /dev/null || true; } > "$work/stream"
    for key in loss val_loss; do
        jq -rR --arg key $key 'fromjson? | select(.step and .[$key]) | [.step, .[$key]] | @tsv' "$work/stream" > "$work/$name.$key"
    done
    [ ! -s "$work/$name.loss" ] || names+=("$name")
done
if [ ${#names[@]} -eq 0 ]; then
    echo "plot.sh: no training has made a step in $folder" >&2
    exit 66
fi

columns=$((${#names[@]} < 3 ? ${#names[@]} : 3))
rows=$(((${#names[@]} + columns - 1) / columns))
draw() { # TERMINAL OUTPUT
    {
        echo "set terminal $1 size $((columns * 420)),$((rows * 300))"
        echo "set output '$2'"
        echo "set multiplot layout $rows,$columns"
        echo "set grid ytics lc rgb '#dfe3e8' lt 1; set border 3 lc rgb '#8c959f'; set tics nomirror; set key above right samplen 2"
        echo "set xlabel 'step'; set ylabel 'nats per token'; set format y '%.2f'"
        for name in "${names[@]}"; do
            echo "set title '$name' noenhanced"
            # from the first step to a little beyond the last, also when there is but one
            echo "set xrange [0:$(awk 'END { print $1 * 1.02 + 1 }' "$work/$name.loss")]"
            echo -n "plot '$work/$name.loss' with linespoints pt 7 ps 0.2 lw 1.2 lc rgb '#8c959f' title 'training'"
            [ ! -s "$work/$name.val_loss" ] ||
                echo -n ", '$work/$name.val_loss' with linespoints pt 7 ps 0.5 lw 2 lc rgb '#0072b2' title 'held out'"
            echo
        done
        echo "unset multiplot"
    } | gnuplot
    mv "$2" "$folder/${2##*/}"
}
draw "svg background rgb 'white' font 'sans,12'" "$work/curves.svg"
draw "pngcairo background rgb 'white' font 'sans,10'" "$work/curves.png"
echo "$folder/curves.svg $folder/curves.png"
