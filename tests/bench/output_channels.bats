# The twin that measures output channels: what it begins as, that it learns, and the sizes that it computes.
load ../helper

bench() { # ARGUMENT...
    /usr/bin/python3 "$MF_ROOT/tests/bench/output_channels.py" "$@"
}

@test "with output channels, changes to the head and a whole head experts begin as the backbone, and learn" {
    needs_torch
    make_tokens
    make_llama
    mkdir -p run/tokens
    ln -s ../parts run/parts
    mf-partition --quiet --label --saved parts/partition.mp -o run/tokens/test.labelled.mf test.mf
    mf-eval perplexity --quiet --json -m llama.tar test.mf > ours.json
    variants=(backbone ffn channels3 channels2x4 rank2 head)
    bench run llama.tar 0 "${variants[@]}" > begin.tsv
    assert_equal "$(tail -n +2 begin.tsv | cut -f 1)" "$(printf '%s\n' "${variants[@]}")"
    awk -F '\t' -v tokens="$(jq .tokens ours.json)" -v ours="$(jq .perplexity ours.json)" \
        'NR > 1 && !($3 == tokens && $4 / ours < 1.0001 && $4 / ours > 0.9999) { print; bad = 1 } END { exit bad }' begin.tsv
    bench run llama.tar 2 backbone channels3 > learnt.tsv
    awk -F '\t' 'NR == 2 { backbone = $4 } NR == 3 { exit !($4 < backbone && $2 > 0) }' learnt.tsv
}

@test "models of experts with output channels are as large as the tensors that they are made of" {
    run -0 bench bytes 4096 128 4 2 344 5 16
    # widths: 128 and 32 of the router; another 80 for channels, in blocks of 32
    for line in "sparse, FFNs:$((4 * (4096 * 160 + 160 + 2 * (2 * 160 + 4 * 160 * 160 + 5 * 160 + 5 * 3 * 344 * 160))))" \
        "sparse, 16 channels of each expert:$((4 * (2 * 4096 * 256 + 256 + 2 * (2 * 256 + 4 * 160 * 256 + 5 * 256 + 5 * 3 * 344 * 256))))"; do
        assert_line --partial "${line%:*}"$'\t'"$(awk "BEGIN { printf \"%.2f\", ${line#*:} / 1e6 }")"$'\t'
    done
}
