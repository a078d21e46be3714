# mf-eval on small random models: against the reference in PyTorch, and on inputs that break programs like it.
load ../helper

make_random() {
    /usr/bin/python3 "$MF_ROOT/tests/oracle/random_model.py" "$@"
}

compare_with_oracle() {
    make_random model -o m.safetensors "$@"
    make_random tokens -o t.mf a=17 b=20 c=2 d=40 e=16
    agrees_with_oracle
}

agrees_with_oracle() {
    /usr/bin/python3 "$MF_ROOT/tests/oracle/reference.py" m.safetensors t.mf theirs.f32 > theirs
    mf-eval logits -m m.safetensors -o ours.f32 t.mf
    mf-eval perplexity -m m.safetensors --json --quiet t.mf > ours.json
    run difference ours.f32 theirs.f32
    assert_success
    awk "BEGIN { exit !($output < 1e-4) }"
    read -r perplexity tokens < theirs
    assert_equal "$(jq .tokens ours.json)" "$tokens"
    ours=$(jq .perplexity ours.json)
    awk "BEGIN { d = ($ours - $perplexity) / $perplexity; exit !(d < 1e-5 && d > -1e-5) }"
}

@test "logits and perplexity agree with the reference: hidden router" {
    needs_torch
    compare_with_oracle --kind hidden
}

@test "logits and perplexity agree with the reference: prefix router, gates on top" {
    needs_torch
    compare_with_oracle --kind prefix
}

@test "logits and perplexity agree with the reference: weights over all experts, one chosen" {
    needs_torch
    compare_with_oracle --kind prefix --weights all --top-k 1
}

@test "logits and perplexity agree with the reference: experts with heads of their own, weights over all experts or the chosen" {
    needs_torch
    compare_with_oracle --kind prefix --weights all --top-k 1 --heads 16 0 4
    compare_with_oracle --kind prefix --weights all --top-k 2 --heads 16 16 16
    compare_with_oracle --kind hidden --heads 16 16 16
    compare_with_oracle --kind hidden --heads 2 16 0
}

@test "logits and perplexity agree with the reference: a trained model with the positions it stores" {
    needs_torch
    make_tokens
    make_pieces
    for kind in hidden prefix; do
        mf-assemble --config "$TINY" --set router.kind=$kind -o m.safetensors shared.tar expert.0.tar expert.1.tar expert.2.tar
        cp test.mf t.mf
        agrees_with_oracle
    done
}

@test "perplexity does not depend on batch and cache size" {
    make_random model -o m.safetensors
    make_random tokens -o t.mf a=17 b=20 c=2 d=40 e=16
    whole=$(mf-eval perplexity -m m.safetensors --json t.mf | jq .perplexity)
    for options in "--batch 1" "--batch 9" "--max-memory 22M" "--threads 1"; do
        # shellcheck disable=SC2086
        other=$(mf-eval perplexity -m m.safetensors $options --json t.mf | jq .perplexity)
        awk "BEGIN { d = ($whole - $other) / $whole; exit !(d < 1e-6 && d > -1e-6) }"
    done
}

@test "every token but a document's first is scored once, however documents fall into windows" {
    make_random model -o m.safetensors
    total=0
    for spec in a=17 b=20 c=2; do
        make_random tokens -o "$spec.mf" "$spec"
        mf-eval perplexity -m m.safetensors --json "$spec.mf" > one.json
        assert_equal "$(jq .tokens one.json)" "$((${spec#*=} - 1))"
        jq .nats one.json >> nats
    done
    make_random tokens -o all.mf a=17 b=20 c=2
    mf-eval perplexity -m m.safetensors --json all.mf > all.json
    assert_equal "$(jq .tokens all.json)" "$((16 + 19 + 1))"
    sum=$(awk '{ s += $1 } END { printf "%.9f", s }' nats)
    all=$(jq .nats all.json)
    awk "BEGIN { d = ($sum - $all) / $all; exit !(d < 1e-6 && d > -1e-6) }"
    awk "BEGIN { d = $(jq .perplexity all.json) - exp($all / 36); exit !(d < 1e-3 && d > -1e-3) }"
}

@test "the losses of the tokens are those of their document, in the order of its text" {
    make_random model -o m.safetensors
    make_random tokens -o t.mf a=17 b=90
    mf-eval perplexity -m m.safetensors --json --losses --batch 1 t.mf > t.json
    jq -e '[.per_document[] | (.losses | length) == .tokens] | all and length == 2' t.json
    jq -e '[.per_document[] | ((.losses | add) - .nats | fabs) < 1e-6 * .nats] | all' t.json
    assert_equal "$(jq -c '[.per_document[] | .losses | length]' t.json)" "[16,89]"
    mf-eval perplexity -m m.safetensors --json --losses t.mf | jq -c '[.per_document[].losses[] * 1e4 | round]' > many
    jq -c '[.per_document[].losses[] * 1e4 | round]' t.json | diff - many
    run -64 --separate-stderr mf-eval perplexity -m m.safetensors --losses t.mf
    assert_equal "$stderr" "mf-eval perplexity: --losses goes with --json"
}

@test "a model of zeros has a perplexity of V" {
    make_random model --zero-embedding -o m.safetensors
    make_random tokens -o t.mf a=17 b=20
    p=$(mf-eval perplexity -m m.safetensors --json t.mf | jq .perplexity)
    awk "BEGIN { exit !($p > 299.99 && $p < 300.01) }"
}

@test "a shared bundle is measured with its own FFN, or with an expert's" {
    make_random shared -o s.tar
    make_random expert -o e.tar --expert 1
    make_random tokens -o t.mf a=17 b=20
    run mf-eval perplexity -m s.tar t.mf
    assert_success
    assert_output --partial perplexity
    run mf-eval perplexity -m s.tar -e e.tar t.mf
    assert_success
    make_random expert -o other.tar --seed 2
    run mf-eval perplexity -m s.tar -e other.tar t.mf
    assert_failure 65
    assert_output --partial "other.tar: trained against"
}

@test "routing shows shares that sum to 1 and names the experts without tokens" {
    make_random model --gate zero --top-k 1 -o m.safetensors
    make_random tokens -o t.mf a=17@x b=20@y
    mf-eval routing -m m.safetensors --json t.mf > r.json
    jq -e '.layers | length == 2' r.json
    jq -e 'all(.layers[]; (.shares | add) > 0.9999 and (.shares | add) < 1.0001)' r.json
    jq -e 'all(.layers[]; .shares[0] == 1 and .entropy == 0 and (.dead | length) == 2)' r.json
    run mf-eval routing -m m.safetensors t.mf
    assert_success
    assert_output --partial "without tokens"
    make_random shared -o s.tar
    run mf-eval routing -m s.tar t.mf
    assert_failure 65
}

@test "routing shows balance, pairs and the tokens of each expert" {
    make_random model -o m.safetensors
    make_random tokens -o t.mf a=40@x b=20@y
    mf-eval routing -m m.safetensors --json t.mf > r.json
    # two slots a row: the pairs of a layer make up all rows
    jq -e 'all(.layers[]; . as $l | ([range(3)] | map(. as $i | [range($i + 1; 3)] | map($l.together[$i][.] * $l.shares[$i] * 2) | add // 0) | add)
        | . > 0.9999 and . < 1.0001)' r.json
    jq -e 'all(.layers[]; .balance <= 1 and .balance >= 0)' r.json
    # each row is the first choice of one expert in each layer
    jq -e '.top_tokens | length == 3 and all(.[]; length <= 10 and ([.[].count] == ([.[].count] | sort | reverse)))' r.json
    jq -e '([.top_tokens[][].count] | add) <= .tokens * 2' r.json
    jq -e 'all(.layers[]; .agreement >= 0 and .agreement <= 1)' r.json
    # without two domains there is nothing to agree with
    make_random tokens -o none.mf a=40 b=20
    mf-eval routing -m m.safetensors --json none.mf | jq -e 'all(.layers[]; .agreement == null)'
    run -0 mf-eval routing -m m.safetensors none.mf
    assert_regex "$output" $'\n0( +[0-9.]+){5} +- +[0-2]\\+[0-2] '
    run -0 mf-eval routing -m m.safetensors t.mf
    assert_output --partial "balance"
    assert_output --regexp ' [0-2]\+[0-2] +0\.[0-9]{4}'
    assert_output --partial "part0        takes most:"
    # many experts have a row each
    make_random model --E 20 -o many.safetensors
    mf-eval routing -m many.safetensors t.mf > many
    [ "$(awk '{ print length }' many | sort -g | tail -n 1)" -lt 240 ]
    mf-eval routing -m many.safetensors --json t.mf | jq -r '.layers | map(.shares) | transpose | to_entries[] | "part\(.key) \(.value[0]) \(.value[1])"' |
        awk '{ printf "%s %.4f %.4f\n", $1, $2, $3 }' > shares
    awk '/^part[0-9]+ +[0-9.]+ +[0-9.]+$/ { print $1, $2, $3 }' many | diff shares -
}

@test "overlapping windows, threads and padding leave every token scored once" {
    make_random model --kind prefix -o m.safetensors
    make_random tokens -o t.mf a=17 b=50 c=2
    for stride in 1 5 16; do
        one=$(mf-eval perplexity -m m.safetensors --stride $stride --threads 1 --batch 1 --json t.mf)
        two=$(mf-eval perplexity -m m.safetensors --stride $stride --threads 2 --batch 7 --json t.mf)
        assert_equal "$(jq .tokens <<< "$one")" 66
        jq -es '.[0].nats / .[1].nats - 1 | fabs < 1e-6' <<< "$one $two"
    done
    run mf-eval perplexity -m m.safetensors --stride 17 t.mf
    assert_failure 64
    # PAD (0) and BOS (2) in the midst of a document are read but never scored
    /usr/bin/python3 - "$MF_ROOT/tests/oracle" << 'END'
import random, struct, sys
sys.path.insert(0, sys.argv[1])
import random_model
tokens = [2, 9, 0, 0, 8, 2, 7, 3]
random_model.write_stream("p.mf", {"mf": "tokens", "version": 1, "width": 2, "vocab_size": 300, "tokenizer_sha256": "0" * 64},
                          [{"id": "p", "tokens": struct.pack("<8H", *tokens)}])
END
    assert_equal "$(mf-eval perplexity -m m.safetensors --json p.mf | jq .tokens)" 4
    # routing counts the same
    assert_equal "$(mf-eval routing -m m.safetensors --json p.mf | jq .tokens)" 4
    mf-eval routing -m m.safetensors --json p.mf | jq -e 'all(.layers[]; (.shares | add) - 1 | fabs < 1e-9) and all(.layers[]; (.domains | length) == 1)'
    assert_equal "$(mf-eval routing -m m.safetensors --json p.mf | jq '[.top_tokens[][].count] | add')" $((4 * $(mf-eval routing -m m.safetensors --json p.mf | jq '.layers | length')))
    assert_equal "$(mf-eval routing -m m.safetensors --json t.mf | jq .tokens)" 66
    /usr/bin/python3 - "$MF_ROOT/tests/oracle" << 'END'
import struct, sys
sys.path.insert(0, sys.argv[1])
import random_model
random_model.write_stream("none.mf", {"mf": "tokens", "version": 1, "width": 2, "vocab_size": 300, "tokenizer_sha256": "0" * 64},
                          [{"id": "p", "tokens": struct.pack("<3H", 9, 0, 2)}])
END
    run -65 mf-eval routing -m m.safetensors none.mf
    assert_output "mf-eval routing: none.mf: nothing to route: no token predicts a target"
}

@test "one long document does not fill a sample" {
    make_random model -o m.safetensors
    make_random tokens -o t.mf long=900 a=20 b=20 c=20
    for order in "long=900 a=20 b=20 c=20" "a=20 c=20 long=900 b=20"; do
        # shellcheck disable=SC2086
        make_random tokens -o t.mf $order
        mf-eval perplexity -m m.safetensors --max-tokens 100 --documents --json t.mf | jq -c '[.per_document[] | [.id, .tokens]] | sort' > "$order.json"
    done
    # the short ones whole, the long one what is left: 100 - 60
    assert_equal "$(cat "$order.json")" '[["a",19],["b",19],["c",19],["long",39]]'
    cmp *.json
}

@test "a bundle whose tensors do not fit the memory is measured the same" {
    size=(--V 2000 --D 32)
    make_random shared "${size[@]}" -o s.tar
    make_random expert "${size[@]}" -o e.tar
    make_random tokens --V 2000 -o t.mf a=17 b=40
    for expert in "" "-e e.tar"; do
        # shellcheck disable=SC2086
        whole=$(mf-eval perplexity -m s.tar $expert --json t.mf)
        # shellcheck disable=SC2086
        assert_equal "$(mf-eval perplexity -m s.tar $expert --max-memory 22M --json t.mf)" "$whole"
    done
}

@test "a header that lies is refused with one line" {
    make_random model -o good.safetensors
    make_random tokens -o t.mf a=17
    declare -A lies=(
        [long]='d[:8] = struct.pack("<Q", len(d) + 1); raw = b""'
        [huge]='d[:8] = struct.pack("<Q", 1 << 63); raw = b""'
        [short]='d[:8] = struct.pack("<Q", n - 9); raw = b""'
        [list]='raw = b"[1, 2]"'
        [twice]='raw = json.dumps(h).encode()[:-1] + b", " + json.dumps({names[0]: h[names[0]]}).encode()[1:]'
        [same]='b["data_offsets"] = a["data_offsets"]; b["shape"] = a["shape"]'
        [overlap]='b["data_offsets"][0] -= 4; b["shape"] = [(b["data_offsets"][1] - b["data_offsets"][0]) // 4]'
        [hole]='a["data_offsets"][1] -= 4; a["shape"] = [(a["data_offsets"][1] - a["data_offsets"][0]) // 4]'
        [behind]='body += b"xxxx"'
        [backwards]='a["data_offsets"].reverse()'
        [beyond]='b["data_offsets"][1] += 1 << 40'
        [shape]='a["shape"] = [1 + a["shape"][0]] + a["shape"][1:]'
        [cut]='del body[-5:]'
        [config]='h["__metadata__"]["config"] = "{"'
    )
    first=$(mf-cat good.safetensors | sed -n 2p | jq -r .name)
    for lie in "${!lies[@]}"; do
        edit_model "$lie.safetensors" "${lies[$lie]}"
        for program in "mf-eval perplexity -m MODEL t.mf" "mf-eval routing -m MODEL t.mf" \
            "mf-eval logits -m MODEL t.mf" "mf-calibrate -m MODEL -o out.safetensors t.mf" "mf-cat MODEL"; do
            case $lie:$program in
            *:"mf-eval perplexity"* | huge:* | twice:* | overlap:* | beyond:* | cut:*) ;;
            *) continue ;; # they all read by io/safetensors.h
            esac
            run ${program/MODEL/$lie.safetensors}
            [ "$status" -eq 65 ] || fail "$lie: $program: status $status: $output"
            [ "${#lines[@]}" -eq 1 ] || fail "$lie: $program: $output"
            [[ $output == *"$lie.safetensors: "* ]] || fail "$lie: $program: $output"
            [ "$lie" != twice ] || [[ $output == *"$first"* ]] || fail "$output"
            [ ! -e out.safetensors ] || fail "$lie: $program left its output"
        done
    done
    edit_model bare.safetensors 'h["__metadata__"] = {}'
    mf-cat bare.safetensors > /dev/null
    run mf-eval perplexity -m bare.safetensors t.mf
    assert_failure 65
    edit_model same-as-good.safetensors 'h = dict(reversed(list(h.items())))'
    run mf-eval perplexity -m same-as-good.safetensors t.mf
    assert_success
    : > empty.safetensors
    run mf-eval perplexity -m empty.safetensors t.mf
    assert_failure 65
}

@test "a router that cannot be is refused with one line that names what is wrong" {
    make_random llama --kind prefix --token-scores mean --H 4 -o good.safetensors
    make_random tokens -o t.mf a=17
    declare -A lies=(
        ["token_scores must be 'sum' or 'mean'"]='r["token_scores"] = "median"'
        ["bos_weight must be above 0"]='r["bos_weight"] = 0'
        ["a value is not a number"]='r["bos_weight"] = "4096"'
        ["layer_scale must be 2 numbers"]='r["layer_scale"] = [1]'
        ["prior must be 3 numbers"]='r["prior"] = [0, 0, "0"]'
        ["token_scores 'mean' needs weights 'chosen'"]='r["weights"] = "all"'
    )
    for lie in "${!lies[@]}"; do
        edit_model bad.safetensors "r = m['router']; ${lies[$lie]}"
        run mf-eval perplexity -m bad.safetensors t.mf
        assert_failure 65
        assert_output "mf-eval perplexity: bad.safetensors: metadata router: $lie"
    done
    make_random model --kind prefix -o good.safetensors
    for text in '{' '[]' '' 3; do
        edit_model bad.safetensors "h['__metadata__']['router'] = '$text'"
        run -65 mf-eval perplexity -m bad.safetensors t.mf
        assert_output "mf-eval perplexity: bad.safetensors: metadata router: not a JSON object"
    done
    edit_model bad.safetensors "h['__metadata__']['router'] = '{\"token_scores\": \"mean\"}'"
    run mf-eval perplexity -m bad.safetensors t.mf
    assert_failure 65
    assert_output "mf-eval perplexity: bad.safetensors: metadata router: token_scores 'mean' needs family llama"
}

@test "no length in a header is believed before it is checked: memory stays that of a good file" {
    own_memory_only
    make_random model -o good.safetensors
    make_random tokens -o t.mf a=17
    edit_model huge.safetensors 'd[:8] = struct.pack("<Q", 1 << 63); raw = b""'
    edit_model long.safetensors 'd[:8] = struct.pack("<Q", 1 << 29); raw = b""'
    edit_model beyond.safetensors 'b["data_offsets"][1] += 1 << 40; b["shape"] = [(b["data_offsets"][1] - b["data_offsets"][0]) // 4]'
    good=$(peak_mb mf-eval perplexity -m good.safetensors -o good.txt t.mf)
    for lie in huge long beyond; do
        [ "$(peak_mb sh -c "! mf-eval perplexity -m $lie.safetensors t.mf")" -le $((good + 1)) ] || fail "$lie"
    done
}

@test "a context too long for the memory is refused with one line that says what helps" {
    own_memory_only
    make_random model --tile --D 512 --F 8 --S 1048576 -o long.safetensors
    make_random tokens -o t.mf a=17
    for command in perplexity routing; do
        run -71 --separate-stderr mf-eval $command -m long.safetensors --batch 4096 t.mf
        assert_equal "$stderr" "mf-eval $command: long.safetensors: no memory for 4096 windows of its context, 1048576 tokens; a smaller eval.batch takes less"
    done
    run -0 mf-eval perplexity -m long.safetensors --batch 1 t.mf
}

@test "each way to fail has its status" {
    make_random model -o m.safetensors
    make_random tokens -o t.mf a=17
    run mf-eval perplexity t.mf
    assert_failure 64
    run mf-eval perplexity -m m.safetensors --bathc 3 t.mf
    assert_failure 64
    assert_output --partial "--batch"
    run mf-eval perplexity -m nothing.safetensors t.mf
    assert_failure 66
    run mf-eval perplexity -m m.safetensors -o no/such/folder t.mf
    assert_failure 73
    run mf-eval perplexity -m m.safetensors --set eval.batch=0 t.mf
    assert_failure 78
    make_random tokens -o other.mf --V 301 a=17
    run mf-eval perplexity -m m.safetensors other.mf
    assert_failure 65
    assert_output --partial "vocab_size is 301, more than 300"
    make_random tokens -o short.mf a=1
    run mf-eval perplexity -m m.safetensors short.mf
    assert_failure 65
    # a model in another program's file
    printf 'GGUF\3\0\0\0%0100d' 0 > model.gguf
    run -65 mf-eval perplexity -m model.gguf t.mf
    assert_output "mf-eval perplexity: model.gguf: a GGUF file, where safetensors are read"
    printf '\x08\0\0\0\0\0\0\0{}      ' > other.safetensors
    run -65 mf-eval perplexity -m other.safetensors t.mf
    assert_output "mf-eval perplexity: other.safetensors: no config in the metadata, as mf-assemble writes it"
    head -c 40 t.mf > cut.mf
    run mf-eval perplexity -m m.safetensors cut.mf
    assert_failure 65
}

@test "two reports are compared: better, worse, even, and what only one has is left out" {
    cat > a.json << 'END'
{"version": 1, "measures": {
   "test": {"perplexity": 120, "error": 2, "bits_per_byte": 2.5, "domains": [{"domain": "x", "perplexity": 50, "error": 1}, {"domain": "gone", "perplexity": 7, "error": 1}]},
   "dense": {"perplexity": 140, "error": 2}, "dense_total": {"perplexity": 100, "error": 2}, "oracle": {"perplexity": 119, "error": 2}, "experts": [{"file": "e.0", "perplexity": 150, "error": 1}]},
 "routing": {"layers": [{"balance": 0.5, "agreement": 0.8, "dead": []}, {"balance": 0.7, "agreement": null, "dead": [{"expert": 1}]}]},
 "memory": {"eval_peak": 34000000, "training_peak": null}}
END
    jq '.measures.test.perplexity = 110 | .measures.test.domains = [{domain: "x", perplexity: 51, error: 1}, {domain: "new", perplexity: 1, error: 1}]
        | .measures.dense.perplexity = 150 | .measures.dense_total.perplexity = 90 | .measures.experts[0].file = "other" | .routing.layers[].dead = [] | .memory.eval_peak = 40000000' a.json > b.json
    run -0 --separate-stderr mf-eval compare a.json b.json
    assert_equal "$stderr" ""
    assert_regex "$output" $'\nperplexity +120.00 +110.00 +-8.3%  better\n'
    assert_regex "$output" $'\nperplexity x +50.00 +51.00 +\\+2.0%  even\n'
    assert_regex "$output" $'\nbits per byte +2.5000 +2.5000 +\\+0.0%  even\n'
    assert_regex "$output" $'\ndense perplexity +140.00 +150.00 +\\+7.1%  worse\n'
    assert_regex "$output" $'\ndense perplexity, same tokens +100.00 +90.00 +-10.0%  better\n'
    assert_regex "$output" $'\noracle perplexity +119.00 +119.00 +\\+0.0%  even\n'
    assert_regex "$output" $'\nrouting balance +0.600 +0.600 +\\+0.0%  even\n'
    assert_regex "$output" $'\ndead experts a layer +0.5 +0.0 +-100.0%  better\n'
    assert_regex "$output" $'evaluation peak, MB +34 +40 +\\+17.6%  worse$'
    refute_output --partial gone
    refute_output --partial e.0
    refute_output --partial agreement
    refute_output --partial nan
    mf-eval compare b.json a.json | grep -q '^perplexity  *110.00 .* worse$'
    # what is no report
    run -64 --separate-stderr mf-eval compare a.json
    assert_equal "$stderr" "mf-eval compare: give two reports"
    run -66 --separate-stderr mf-eval compare a.json absent
    echo '{"version": 2}' > two.json
    run -65 --separate-stderr mf-eval compare a.json two.json
    assert_equal "$stderr" "mf-eval compare: two.json: not a report of version 1"
    echo '{"version": 1}' > none.json
    run -65 --separate-stderr mf-eval compare none.json a.json
    assert_equal "$stderr" "mf-eval compare: none.json: no number that a.json has too"
    echo '{' > cut.json
    run -65 --separate-stderr mf-eval compare cut.json a.json
    assert_regex "$stderr" '^mf-eval compare: cut.json: cannot be read as JSON: line [0-9]+: '
    run -74 --separate-stderr bash -c 'mf-eval compare a.json b.json > /dev/full'
}
