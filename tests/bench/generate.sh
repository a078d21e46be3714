#!/bin/bash
# Measures generation and the memory of evaluation at the default size: generate.sh BUILD THREADS
#
# Decoded tokens a second (the time of 400 new tokens less that of 100, so loading does not count) over what memory gives: the
# bytes of the weights a token meets, at the speed memory was read just before and after. Then the PyTorch twin without a cache,
# from the same length on, and llama.cpp with an exported model of family llama. Last the peaks of resident memory with 5 and with 64 experts, which must stay below 100 MB.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh" "$1"
threads=$2
value() { mf-config get "$1" --config "$here/configs/default.yaml"; }
V=$(value tokenizer.vocab_size) D=$(value model.d_model) H=$(value model.n_heads) L=$(value model.n_layers)
F=$(value model.d_ff) S=$(value model.context) K=$(value model.top_k)
random() {
    /usr/bin/python3 "$here/tests/oracle/random_model.py" "$1" --tile --kind prefix --V "$V" --D "$D" --H "$H" --L "$L" \
        --F "$F" --S "$S" --top-k "$K" "${@:2}"
}

# A vocabulary of V: the bytes, and pairs of them.
echo '{"id": "a", "text": "abab"}' | mf-docs --quiet --set docs.val_fraction=0 --set docs.test_fraction=0 --split train -o docs.mf
mf-tokenize train --quiet --vocab-size 300 -o small.json docs.mf 2> /dev/null
/usr/bin/python3 - "$V" << 'END'
import json, sys
tokenizer = json.load(open("small.json"))
vocabulary, merges = tokenizer["model"]["vocab"], tokenizer["model"]["merges"]
letters = [t for t, i in vocabulary.items() if i >= 4 and len(t) == 1]
for x in letters:
    for y in letters:
        if len(vocabulary) < int(sys.argv[1]) and x + y not in vocabulary:
            vocabulary[x + y] = len(vocabulary)
            merges.append([x, y])
json.dump(tokenizer, open("tokenizer.json", "w"), ensure_ascii=False)
END

random model --E 5 --tokenizer '' -o model.safetensors
generate() { # MODEL TOKENS [OPTION]...
    mf-eval generate -m "$1" -t tokenizer.json -p hello --temperature 0 --threads "$threads" --quiet --max-tokens "${@:2}"
}
keep_text() { # TOKENS
    generate model.safetensors "$1" > "text.$1"
}
active=$((4 * (V * D + L * (4 * D * D + 2 * K * D * F))))
echo "generation, default.yaml, $threads threads, $((active / 1000000)) MB of weights a token; the best of three by share of memory's speed"
printf '%12s %12s %12s %10s %12s %10s\n' tokens/s "memory GB/s" "limit tok/s" "of limit" "PyTorch" faster
for _ in 1 2 3; do
    before=$("$build/tests/bench/bandwidth_bench" "$threads") short=$(seconds keep_text 100) long=$(seconds keep_text 400)
    after=$("$build/tests/bench/bandwidth_bench" "$threads")
    awk -v a="$before" -v b="$after" -v s="$short" -v l="$long" -v bytes="$active" 'BEGIN { speed = (a + b) / 2
        limit = speed * 1e9 / bytes; rate = 300 / (l - s); print rate / limit, rate, speed, limit }'
done | sort -g | tail -n 1 > best
theirs=$(/usr/bin/python3 "$here/tests/peers/generate_torch.py" model.safetensors 100 20 "$threads")
awk -v theirs="$theirs" '{ printf "%12.0f %12.1f %12.0f %9.0f%% %12.1f %9.1fx\n", $2, $3, $4, 100 * $1, theirs, $2 / theirs }' best

# The like in family llama beside llama.cpp: this program with F32, and llama.cpp with what mf-export made of the same model. One
# after the other in each of three rounds, so that they meet the same machine; the best of each counts.
F=$(mf-config get model.d_ff --config "$here/configs/llama.yaml")
/usr/bin/python3 "$here/tests/oracle/random_model.py" llama --tile --kind prefix --token-scores mean --decay 1 --V "$V" --D "$D" \
    --H "$H" --K "$H" --L "$L" --F "$F" --S "$S" --E 5 --top-k "$K" --tokenizer "$(sha256sum < tokenizer.json | cut -d ' ' -f 1)" -o llama.safetensors
for type in f32 q8_0; do
    mf-export gguf --quiet -m llama.safetensors -t tokenizer.json --type "$type" -o "$type.gguf"
done
keep_llama() { # TOKENS
    generate llama.safetensors "$1" > "llama.$1"
}
rate() { # TYPE, or ours: tokens a second
    if [ "$1" != ours ]; then
        node "$here/tests/peers/generate_llama_cpp.mjs" "$work/$1.gguf" 100 300 "$threads"
        return
    fi
    awk -v short="$(seconds keep_llama 100)" -v long="$(seconds keep_llama 400)" 'BEGIN { print 300 / (long - short) }'
}
for _ in 1 2 3; do
    for program in ours f32 q8_0; do
        echo "$program $(rate "$program")"
    done
done > rates
awk '{ if ($2 > best[$1]) best[$1] = $2 }
    END { printf "\n%-28s %12s %14s\n", "family llama", "tokens/s", "ours is faster"
        printf "%-28s %12.0f\n", "mf-eval generate, F32", best["ours"]
        printf "%-28s %12.0f %13.2fx\n", "llama.cpp, F32", best["f32"], best["ours"] / best["f32"]
        printf "%-28s %12.0f %13.2fx\n\n", "llama.cpp, Q8_0", best["q8_0"], best["ours"] / best["q8_0"] }' rates

random tokens a=900@x b=700@y c=600@x d=1500@y -o tokens.mf
random shared -o shared.tar
random expert -o expert.tar
worst=0
row() { # NAME COMMAND...
    local mb
    mb=$(peak_mb "${@:2}" --threads "$threads" --quiet)
    [ "$mb" -le "$worst" ] || worst=$mb
    printf '%-44s %4d MB\n' "$1" "$mb"
}
row "perplexity, shared bundle" mf-eval perplexity -m shared.tar tokens.mf
row "perplexity, shared bundle and expert" mf-eval perplexity -m shared.tar -e expert.tar tokens.mf
for E in 5 64; do
    [ "$E" = 5 ] || random model --E "$E" --tokenizer '' -o model.safetensors
    row "perplexity, $E experts" mf-eval perplexity -m model.safetensors tokens.mf
    row "routing, $E experts" mf-eval routing -m model.safetensors tokens.mf
    row "generate --max-memory 100M, $E experts" mf-eval generate -m model.safetensors -t tokenizer.json -p hello --max-tokens 40 --max-memory 100M
    if [ "$E" = 5 ]; then generate model.safetensors 100 --max-memory 100M | cmp - text.100; fi
done
[ "$worst" -lt 100 ] || { echo "evaluation took $worst MB, not under 100 MB" >&2; exit 1; }
