#!/bin/bash
# Measures how dividing documents grows with their number: partition.sh BUILD THREADS
#
# The documents are short, of 16 domains that share half of their words. Time and memory of one million are asserted.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh" "$1"
threads=$2

documents() { # NUMBER
    /usr/bin/python3 - "$1" << 'END'
import random, sys
random.seed(1)
letters = "etaoinshrdlucmfwypvbgk"
words = ["".join(random.choice(letters) for _ in range(random.randint(3, 8))) for _ in range(4000)]
for i in range(int(sys.argv[1])):
    domain = random.randrange(16)
    own = [words[2000 + 125 * domain + int(125 * random.random() ** 2)] for _ in range(12)]
    shared = [words[int(2000 * random.random() ** 3)] for _ in range(12)]
    print('{"id":"%d","domain":"d%d","text":"%s"}' % (i, domain, " ".join(own + shared)))
END
}

echo "dividing short documents of 16 domains into 16 parts, $threads threads"
printf '%10s %10s %8s %12s %6s %10s\n' documents tokens s "us/document" MB agreement
for n in 10000 100000 1000000; do
    documents $n | mf-docs --quiet --format jsonl --near-dup 0 --min-chars 0 -o docs.mf -
    [ -e t.json ] || mf-tokenize train --quiet --vocab-size 4096 -o t.json docs.mf
    mf-tokenize encode --quiet --threads "$threads" -t t.json -o tokens.mf docs.mf
    cost mf-partition --threads "$threads" -n 16 -t t.json -o "parts.$n" tokens.mf > spent 2> table
    read -r seconds megabytes _ < spent
    tokens=$(awk '$1 ~ /^[0-9]+$/ { n += $3 } END { print n }' table)
    agreement=$(sed -n 's/.*agreement with .* domains //p' table)
    awk -v n="$n" -v t="$tokens" -v s="$seconds" -v m="$megabytes" -v a="$agreement" \
        'BEGIN { printf "%10d %10d %8.1f %12.1f %6.0f %10s\n", n, t, s, 1e6 * s / n, m, a }'
done
awk -v s="$seconds" -v m="$megabytes" 'BEGIN { exit !(s < 120 && m < 200) }' || {
    echo "a million documents took $seconds s and $megabytes MB, not under 120 s and 200 MB" >&2
    exit 1
}
