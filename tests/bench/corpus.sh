#!/bin/bash
# Measures a corpus that outgrows memory, from JSON lines to 16 and 1,000 parts: [COUNT=10000000] corpus.sh BUILD
#
# Documents of about 50 words in 16 domains: one in ten is an exact copy of an earlier one, one in five a near copy (another
# beginning), as in a crawl. Beside finding them GNU sort of as many keys as mf-docs sorts, 33 a document of 16 bytes.
# Asserted: memory; the same bytes for every limit and number of threads, by 4 and by 32 jobs that read, and after a kill; and
# that 1,000 parts take at most four times what 16 take (from a million documents on: of fewer, the clusters of the sample are
# too large a share). Ten million documents take about 20 GB in TMPDIR.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh" "$1"
count=${COUNT:-10000000}
export TMPDIR=$work

documents() {
    /usr/bin/python3 - "$1" << 'END'
import random, sys
rng = random.Random(1)
letters = "etaoinshrdlucmfwypvbgk"
words = ["".join(rng.choice(letters) for _ in range(rng.randint(2, 9))) for _ in range(30000)]
chance = rng.random
earlier = []
for i in range(int(sys.argv[1])):
    kind = chance()
    if earlier and kind < 0.3:
        domain, text = rng.choice(earlier)
        if kind >= 0.1:
            text = rng.choices(words, k=2) + text[1:]
    else:
        domain = rng.randrange(16)
        own = 14000 + 1000 * domain
        text = [words[own + int(1000 * chance() ** 2)] if k % 2 else words[int(14000 * chance() ** 3)] for k in range(rng.randint(20, 80))]
    if len(earlier) < 10000:
        earlier.append((domain, text))
    elif kind > 0.9:
        earlier[rng.randrange(10000)] = domain, text
    print('{"id":"%d","domain":"d%d","text":"%s"}' % (i, domain, " ".join(text)))
END
}

fail() { # MESSAGE
    echo "$1" >&2
    exit 1
}

heading() {
    printf '%-38s %8s %12s %12s %6s\n' "" s "processor s" us/document MB
}

row() { # NAME NUMBER COMMAND...: the number of documents; microseconds are the processor's
    local name=$1 number=$2
    shift 2
    cost "$@" > spent
    read -r seconds megabytes processor < spent
    awk -v name="$name" -v n="$number" -v s="$seconds" -v p="$processor" -v m="$megabytes" \
        'BEGIN { printf "%-38s %8.1f %12.1f %12.1f %6.0f\n", name, s, p, 1e6 * p / n, m }'
}

within() { # LIMIT, of the command measured last: nM or 1G
    awk -v m="$megabytes" -v most="${1/1G/1024M}" 'BEGIN { exit !(m * 1000 <= most * 1024) }' || fail "it took $megabytes MB under --max-memory $1"
}

copies() {
    local memory
    row "exact copies" "$count" mf-docs --quiet --near-dup 0 -o exact.mf docs.jsonl
    rm exact.mf
    for memory in 50M 200M 1G; do
        row "exact and near, --max-memory $memory" "$count" \
            mf-docs --quiet --max-memory $memory --removed removed.$memory -o docs.$memory.mf docs.jsonl
        within $memory
        cmp docs.$memory.mf docs.50M.mf
        cmp removed.$memory removed.50M
        if [ $memory != 50M ]; then rm docs.$memory.mf removed.$memory; fi
    done
    echo "removed: $(grep -c '"exact"' removed.50M) exact copies, $(grep -c '"near"' removed.50M) near ones"
}

# Read by several jobs out of 64 files and merged; killed in between, and begun again.
shards() { # N
    local i
    mkdir shards
    for ((i = 0; i < $1 - 1; i++)); do mf-docs --quiet --shard "$i/$1" -o "shards/$i.mf" files; done
    row "the last of $1 jobs" $((count / $1)) mf-docs --quiet --shard "$i/$1" -o "shards/$i.mf" files
    timeout -s KILL 0.5 mf-docs --quiet --merge -o merged.mf shards/*.mf || true
    row "the merge of $1" "$count" mf-docs --quiet --merge --removed removed.merged -o merged.mf shards/*.mf
    within 200M
    cmp merged.mf docs.50M.mf
    cmp removed.merged removed.50M
    rm -r shards merged.mf removed.merged
}

sorted_keys() {
    head -c $((count * 33 * 8)) /dev/urandom | xxd -p -c 8 > keys
    row "GNU sort of $((count * 33)) keys" "$count" env LC_ALL=C sort -S 117M --parallel 1 -o sorted keys
    rm keys sorted
}

parts() { # NUMBER LIMIT: in the memory that it takes, and in much by four threads
    row "$1 parts, --max-memory $2" "$kept" \
        mf-partition --threads 1 --max-memory "$2" -n "$1" -t t.json -o "parts.$1" tokens.mf 2> table
    within "$2"
    taken=$processor
    row "$1 parts, --max-memory 1G, 4 threads" "$kept" \
        mf-partition --quiet --threads 4 --max-memory 1G -n "$1" -t t.json -o again tokens.mf
    diff -rq "parts.$1" again
    rm -r "parts.$1" again
    sed -n 's/mf-partition: clustered, //p' table
}

documents "$count" > docs.jsonl
echo "finding copies among $count documents, $(($(stat -c %s docs.jsonl) / 1000000)) MB of JSON lines"
heading
copies
mkdir files
split -d -n l/64 --additional-suffix=.jsonl docs.jsonl files/
rm docs.jsonl
for n in 4 32; do shards $n; done
rm -r files
sorted_keys
kept=$((count - $(wc -l < removed.50M)))
mf-tokenize train --quiet --vocab-size 8192 -o t.json docs.50M.mf
mf-tokenize encode --quiet -t t.json -o tokens.mf docs.50M.mf
rm docs.50M.mf
echo
echo "dividing the $kept documents that are left, $(($(stat -c %s tokens.mf) / 1000000)) MB of tokens"
heading
parts 16 100M
few=$taken
parts 1000 130M
awk -v few="$few" -v many="$taken" 'BEGIN { printf "1000 parts take %.1f times what 16 take\n", many / few }'
awk -v few="$few" -v many="$taken" -v n="$count" 'BEGIN { exit !(many <= 4 * few || n < 1000000) }' ||
    fail "1,000 parts took $taken s of the processor, more than four times the $few s of 16"
