# Was training apart worth it? A dense model of the same total tokens (make dense), and the oracle, in reports.
load ../helper

setup() {
    cd "$BATS_TEST_TMPDIR"
}

@test "make dense trains one model on as many tokens as backbone and experts, and the report compares them" {
    case ${MF_BIN:-} in */sanitized/*) skip "other tests run these programs with sanitizers" ;; esac
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words 60
    mf_make > log 2>&1
    refute grep -E '^[^#]*mf-train-shared .*dense' log
    jq -e '.perplexity | has("dense_total") | not' runs/t/report.json
    tr '\n' ' ' < runs/t/report.html | grep -q 'was not measured; <code>make dense</code> trains it'
    cp runs/t/model.safetensors before
    GOAL=dense mf_make > log 2>&1
    assert_equal "$(stages log)" "eval train-shared "
    cmp before runs/t/model.safetensors
    # 60 steps of 8 x 32 tokens and three experts' 20 of 4 x 32
    mf-cat runs/t/dense.tar | jq -se '.[0].training | .steps == 90 and .settings.train_shared.steps == 90'
    jq -e '.perplexity.dense_total < .perplexity.dense and (.measures.dense_total | .behind < 0 and .behind_error > 0)' runs/t/report.json
    jq -e '[.stages[].stage] | index("dense") > 0' runs/t/report.json
    jq -e '[.training[].file] | length == 5 and index("dense.metrics.mf") > 0' runs/t/report.json
    jq -e '.warnings == []' runs/t/report.json
    mf-eval perplexity --config "$TINY" -m runs/t/dense.tar -t runs/t/tokenizer.json --json runs/t/tokens/test.mf |
        jq -e --slurpfile r runs/t/report.json '($r[0].measures.dense_total.nats / .nats - 1 | fabs) < 1e-9'
    grep -q 'cost quality here' runs/t/report.html
    # then there is nothing to do, with that goal or without
    for goal in dense run; do
        GOAL=$goal mf_make > log 2>&1
        assert_equal "$(stages log)" ""
    done
    # what else experts learn is nothing to it
    mf_make SET=train_expert.lr=0.002 > log 2>&1
    refute grep dense.tar log
    jq -e '.perplexity | has("dense_total")' runs/t/report.json
    # other settings: the old one is said to be of others, and no figure of it stays
    mf_make SET=train_expert.steps=25 > log 2> said
    assert_equal "$(grep -c dense.tar said)" 1
    grep -q '^make: .*runs/t/dense.tar is of other documents or settings, so it is not compared (make dense trains it again)$' said
    jq -e '(.perplexity | has("dense_total") | not) and ([.stages[].stage] | index("dense") == null) and (.training | length == 4)' runs/t/report.json
    GOAL=dense mf_make SET=train_expert.steps=25 > log 2>&1
    jq -e '.perplexity | has("dense_total")' runs/t/report.json
    mf-cat runs/t/dense.tar | jq -se '.[0].training.steps == 98' # 60 + 75 / 2, rounded up
    # a base was trained elsewhere
    GOAL=dense run -2 mf_make BASE="$PWD/words"
    assert_output --partial "a dense model is trained from nothing: dense and BASE= do not go together"
}

@test "a dense training that was stopped goes on, the same bytes by -j2, and as many processes as the backbone's" {
    case ${MF_BIN:-} in */sanitized/*) skip "other tests run these programs with sanitizers" ;; esac
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words 60
    GOAL=dense mf_make -j2 > log 2>&1
    mv runs two
    set='train_shared.checkpoint_every=4'
    mf_make SET=$set > log 2>&1
    GOAL=dense mf_make SET=$set > log 2>&1 &
    for _ in {1..600}; do [ ! -s runs/t/dense.tar.ckpt ] || break; sleep 0.05; done
    pkill -TERM -f "o $(for_make "$PWD/runs")/t/dense.tar " || true
    wait $! && fail "the training was not stopped"
    # a make without that goal leaves the checkpoint
    cp runs/t/dense.tar.ckpt kept
    rm runs/t/report.html
    mf_make SET=$set > log 2>&1
    cmp kept runs/t/dense.tar.ckpt
    GOAL=dense mf_make SET=$set > log 2>&1
    refute grep 'begins again' log
    jq -e '.attempts == 2 and .status == 0' runs/t/stages/dense.json
    cmp <(mf-cat runs/t/dense.tar | sed 1d) <(mf-cat two/t/dense.tar | sed 1d)
    [ -z "$(find runs -name '*.ckpt*')" ]
    GOAL=dense mf_make -n SET="$set train_shared.lr=0.002" RANKS=2 LAUNCH='srun -n {ranks} --mem={memory_mb}' > log
    grep -E 'srun -n 2 --mem=[0-9]+ .*stages/dense.json' log
}

# Documents with their partitions, three experts, and a command that reports on their model.
make_labelled() {
    make_tokens 110
    make_pieces --set train_expert.steps=8 --set train_expert.warmup=0
    mf-assemble --quiet --config "$TINY" -o model.safetensors shared.tar expert.?.tar
    mf-partition --label --saved parts/partition.mp --each each -o labelled.mf train.mf
    report=(mf-eval report --quiet --config "$TINY" -m model.safetensors -t tokenizer.json -s shared.tar)
    experts=(-e expert.0.tar -e expert.1.tar -e expert.2.tar)
}

@test "the oracle is each document by the expert of its partition" {
    make_labelled
    "${report[@]}" "${experts[@]}" --max-tokens 0 -o r.json labelled.mf
    for e in 0 1 2; do mf-eval perplexity --config "$TINY" -m shared.tar -e expert.$e.tar --json each/part.$e.mf; done > alone
    jq -e --slurpfile alone alone '.measures.test as $t | .measures.oracle
        | (.nats / ([$alone[].nats] | add) - 1 | fabs) < 1e-9 and .documents == $t.documents and .tokens == $t.tokens
        and (.behind - (.loss - $t.loss) | fabs) < 1e-9 and .behind_error > 0' r.json
    # by places: what mf-eval perplexity says of each token
    mf-eval perplexity --config "$TINY" -m model.safetensors --json --losses labelled.mf > losses
    jq -e '.measures.test.positions | map([.from, .to]) == [[1, 8], [9, 32], [33, 128]]' r.json
    for range in 0 1 2; do
        jq -e --slurpfile r r.json --argjson i $range '$r[0].measures.test.positions[$i] as $p
            | [.per_document[].losses | to_entries[] | select(.key + 1 >= $p.from and .key < $p.to).value]
            | length == $p.tokens and (add / $p.nats - 1 | fabs) < 1e-9' losses
    done
    jq -e '.measures | [.test, .dense, .oracle, .experts[]] | all(.nats as $n | ([.positions[].nats] | add) / $n - 1 | fabs < 1e-9)' r.json
    jq -e '.measures | .test.positions as $t | [.dense, .oracle] | all([.positions, $t] | transpose | all((.[0].loss - .[1].loss
        - .[0].behind | fabs) < 1e-9 and .[0].behind_error > 0 and .[0].documents == .[1].documents))' r.json
    # of a sample: the same documents as the model's, whatever the order of the experts
    "${report[@]}" "${experts[@]}" -o sample.json labelled.mf
    jq -e '.sample.tokens < .sample.of_tokens and (.measures | .oracle.documents == .test.documents and .oracle.tokens == .test.tokens)' sample.json
    "${report[@]}" -e expert.2.tar -e expert.0.tar -e expert.1.tar -o order.json labelled.mf
    jq -e --slurpfile a sample.json '(.measures.oracle.nats / $a[0].measures.oracle.nats - 1 | fabs) < 1e-12
        and (.measures.oracle.behind_error / $a[0].measures.oracle.behind_error - 1 | fabs) < 1e-9' order.json
    # there is none where a document has no label, or its expert is not given
    "${report[@]}" "${experts[@]}" -o none.json train.mf
    jq -e '.perplexity | has("oracle") | not' none.json
    "${report[@]}" -e expert.0.tar -e expert.1.tar -o none.json labelled.mf
    jq -e '.perplexity | has("oracle") | not' none.json
    # without a backbone a dense model can be compared, if it is of this tokenizer
    "${report[@]/shared.tar/shared.tar}" --dense shared.tar -o dense.json labelled.mf
    jq -e '.perplexity | .dense_total == .dense' dense.json
    mf-tokenize train --quiet --config "$TINY" --set tokenizer.vocab_size=300 -o other.json val.docs 2> /dev/null
    mf-tokenize encode --no-warning -t other.json -o other.mf train.docs
    mf-train-shared --quiet --config "$TINY" --set train_shared.steps=1 --set train_shared.warmup=0 -o other.tar other.mf
    run -65 "${report[@]}" --dense other.tar -o no.json labelled.mf
    assert_output --regexp "^mf-eval report: other.tar: tokenizer is [0-9a-f]+, not [0-9a-f]+ as in model.safetensors$"
    [ ! -e no.json ]
}

@test "the page says whether it was worth it, and what the router costs" {
    page() { jq "$1" r.json | mf-eval page | tr '\n' ' ' | sed 's/  */ /g' > page.html; }
    echo '{"version": 1, "model": "m", "perplexity": {"test": 9, "dense": 10, "experts": [11]},
        "measures": {"test": {"perplexity": 9}, "dense": {"perplexity": 10, "behind": 0.1, "behind_error": 0.01}, "experts": [{"perplexity": 11}]}}' > r.json
    total() { echo ".perplexity.dense_total = $1 | .measures.dense_total = {perplexity: $1, behind: $2, behind_error: $3}"; }
    oracle() { echo ".perplexity.oracle = $1 | .measures.oracle = {perplexity: $1, behind: $2, behind_error: $3}"; }
    page .
    grep -q 'What one dense model reaches .* was not measured; <code>make dense</code>' page.html
    refute grep -q 'oracle' page.html
    page "$(total 10 0.105 0.01)"
    grep -q 'was worth it here.</span> Perplexity is 10.0% below that of one dense model trained on the same total tokens, 10.0 (standard error 0.9%).' page.html
    refute grep -q 'was not measured' page.html
    page "$(total 8 -0.118 0.01)"
    grep -q 'cost quality here.</span> Perplexity is 12.5% above that of one dense model' page.html
    grep -q 'Better than every baseline' page.html # of those that saw no more than its parts
    page "$(total 8.9 -0.011 0.01)"
    grep -q 'cost nothing here.</span> Perplexity is 1.1% above' page.html
    page "$(oracle 8 -0.118 0.01)"
    grep -q '(the oracle) it would be 8.0: the router costs 12.5%.' page.html
    page "$(oracle 10 0.105 0.01)"
    grep -q '(the oracle) it would be 10.0: the router is 10.0% better than that.' page.html
    page "$(oracle 9 0.001 0.01)"
    grep -q '(the oracle) it would be 9.0: the router costs nothing.' page.html
    # by place in the document, where it may be worse than its backbone
    page '.measures.test.positions = [{from: 1, to: 8, perplexity: 30}, {from: 9, perplexity: 20}]
        | .measures.dense.positions = [{from: 1, to: 8, perplexity: 29.5, behind: -0.1, behind_error: 0.01}, {from: 9, perplexity: 21, behind: 0.1, behind_error: 0.01}]'
    grep -q '<th scope="row">1 to 8</th><td>30.0</td> <td class="bad">29.5</td>' page.html
    grep -q '<th scope="row">9 and on</th><td>20.0</td> <td>21.0</td>' page.html
    assert_equal "$(grep -o 'Tokens [^:]*: worse than' page.html)" "Tokens 1 to 8</strong>: worse than"
    # without experts there is no such question
    page 'del(.perplexity.experts, .measures.experts)'
    refute grep -q 'make dense' page.html
}
