#!/bin/bash
# Measures finding copies in a corpus that outgrows memory: [COUNT=10000000] corpus.sh BUILD
#
# Documents of about 50 words: one in ten is an exact copy of an earlier one, one in five a near copy (another beginning), as
# in a crawl. Beside it GNU sort of as many keys as mf-docs sorts, 33 a document of 16 bytes. Memory is asserted.
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
earlier = []
for i in range(int(sys.argv[1])):
    kind = rng.random()
    if earlier and kind < 0.3:
        text = list(rng.choice(earlier))
        if kind >= 0.1:
            text[:1] = rng.choices(words, k=2)
    else:
        text = rng.choices(words, k=rng.randint(20, 80))
    if len(earlier) < 10000:
        earlier.append(text)
    elif kind > 0.9:
        earlier[rng.randrange(10000)] = text
    print('{"id":"%d","text":"%s"}' % (i, " ".join(text)))
END
}

row() { # NAME COMMAND...
    local name=$1
    shift
    cost "$@" > spent
    read -r seconds megabytes < spent
    awk -v name="$name" -v n="$count" -v s="$seconds" -v m="$megabytes" 'BEGIN { printf "%-34s %8.1f %12.1f %6.0f\n", name, s, 1e6 * s / n, m }'
}

documents "$count" > docs.jsonl
echo "finding copies among $count documents, $(($(stat -c %s docs.jsonl) / 1000000)) MB of JSON lines"
printf '%-34s %8s %12s %6s\n' "" s us/document MB
row "exact copies" mf-docs --quiet --near-dup 0 -o exact.mf docs.jsonl
rm exact.mf
for memory in 50M 200M 1G; do
    row "exact and near, --max-memory $memory" mf-docs --quiet --max-memory $memory --removed removed.$memory -o docs.$memory.mf docs.jsonl
    cmp docs.$memory.mf docs.50M.mf
    cmp removed.$memory removed.50M
    if [ $memory != 50M ]; then rm docs.$memory.mf; fi
    awk -v m="$megabytes" -v most=${memory/1G/1024M} 'BEGIN { exit !(m * 1e6 <= most * 1048576) }' || {
        echo "mf-docs took $megabytes MB under --max-memory $memory" >&2
        exit 1
    }
done
echo "removed: $(grep -c '"exact"' removed.50M) exact copies, $(grep -c '"near"' removed.50M) near ones"
rm docs.jsonl docs.50M.mf
openssl rand $((count * 33 * 8)) | xxd -p -c 8 > keys
row "GNU sort of $((count * 33)) keys" env LC_ALL=C sort -S 117M --parallel 1 -o sorted keys
