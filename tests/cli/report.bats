# The report: its page in a browser, what stages note, and the curves of a run.
load ../helper

artefacts() { # the folder that screenshots are kept in
    local build=${MF_BIN:-$MF_ROOT/build/bin}
    mkdir -p "${build%/bin}/artefacts"
    echo "${build%/bin}/artefacts"
}

@test "the whole pipeline ends in a page that a browser shows: every figure, no error, nothing to scroll sideways" {
    case ${MF_BIN:-} in */sanitized/*) skip "most of it is the browser's work" ;; esac
    command -v chromium > /dev/null || skip "chromium is not installed"
    local build=${MF_BIN:-$MF_ROOT/build/bin}
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words 60
    make -C "$MF_ROOT" B="${build%/bin}" RUNS="$PWD/runs" NAME=t CONFIG="$TINY" DATA="$PWD/words" THREADS=1 run > log 2>&1 || fail "$(cat log)"
    jq -e '.training | length == 4 and all(.loss | length > 0)' runs/t/report.json
    jq -e '.stages | map(.stage) == ["docs", "tokenizer", "tokens.train", "tokens.val",
        "tokens.test", "partition", "label", "label.test", "shared", "expert.0", "expert.1", "expert.2", "join", "calibrate", "report"]' runs/t/report.json
    jq -e '.stages | all(.seconds > 0 and .cpu_seconds > 0 and .peak_memory > 1e6 and .attempts == 1 and .status == 0)' runs/t/report.json
    jq -e '.warnings == []' runs/t/report.json
    jq -e '.sample | .tokens == .of_tokens and .documents == .of_documents and .tokens > 500' runs/t/report.json
    jq -e '.measures | .test.loss as $l | .test.error as $e | [.dense, .experts[]]
        | all((.behind - (.loss - $l) | fabs) < 1e-9 and .behind_error > 0 and .behind_error * .perplexity < $e)' runs/t/report.json
    jq -e '.samples | all(.text == (.pieces | map(.[0]) | add))' runs/t/report.json
    jq -e '[.samples[].pieces[:-1][][1]] | length > 0 and all(. >= 0 and . < 3)' runs/t/report.json

    limited /usr/bin/python3 "$MF_ROOT/tests/cli/browser.py" runs/t/report.html "$(artefacts)" report > seen.json
    assert_equal "$(jq -c .errors seen.json)" "[]"
    assert_equal "$(jq -c .requests seen.json)" "[]"
    jq -e '.ids | (keys == ["baselines", "curves", "domain-map", "domains", "layers", "memory", "positions", "samples", "time"]) and all(. > 60)' seen.json
    jq -e '.scroll | .["390-light"] == 390 and .["390-dark"] == 390 and .["1280-light"] <= 1280 and .["1280-dark"] <= 1280' seen.json
    jq -e '.held_out | .["390-light"] == "rgb(0, 114, 178)" and .["1280-dark"] == "rgb(86, 180, 233)"' seen.json
    assert_equal "$(jq -c .twice seen.json)" "[]"
    assert_equal "$(grep -c 'class="gnuplot_plot_1"' runs/t/report.html)" 4
    [ -s "$(artefacts)/report-390-dark.png" ]
    [ -s "$(artefacts)/report-print.pdf" ]
    assert_equal "$(grep -c '<script' runs/t/report.html)" 0

    # long names and many experts leave the phone its width and the bars their room
    jq '("a folder of folders/" * 6) as $long | ("NameWithoutASpace" * 6) as $word | .measures[].domains?[0].domain = $long
        | .measures[].domains?[1].domain = $word | .stages[0].stage = $word | .model = $word | .training[0].file = $word
        | .routing.experts = [range(40) | tostring] | .routing.layers[] |= (.shares = [range(40) | . / 780]
        | .domains = {($long): .shares, ($word): .shares})' runs/t/report.json > long.json
    mf-eval page -o long.html long.json
    limited /usr/bin/python3 "$MF_ROOT/tests/cli/browser.py" long.html "$(artefacts)" long > seen.json
    jq -e '.scroll | .["390-light"] == 390 and .["390-dark"] == 390 and .["1280-light"] <= 1280 and .["1280-dark"] <= 1280' seen.json
    jq -e '.narrowest > 60' seen.json
}

# An assembled model of the tiny configuration, ready to report on; $report holds the command.
make_model() {
    make_tokens "$@"
    make_pieces --set train_expert.steps=2 --set train_expert.warmup=0
    mf-assemble --quiet --config "$TINY" -o model.safetensors shared.tar expert.?.tar
    report=(mf-eval report --config "$TINY" -m model.safetensors -t tokenizer.json -s shared.tar -e expert.0.tar -e expert.1.tar -e expert.2.tar)
}

@test "a long test stream is measured on a sample, the same for each model, as long as the experts' training" {
    make_model 110
    all=$(mf-eval perplexity -m model.safetensors --json train.mf | jq .documents)
    run -0 --separate-stderr "${report[@]}" -o default.json train.mf
    # what 20 steps allow is less than the least, 10,000
    jq -e --argjson all "$all" '.sample | .tokens == 10000 and .of_tokens > 10100 and .of_documents == $all and .documents < $all' default.json
    jq -e '[.measures | .test, .dense, .unigram, .experts[]] | length == 6 and (map([.tokens, .documents]) | unique | length == 1)
        and all(.error > 0)' default.json
    jq -e '.measures.test.documents == .sample.documents and (.routing.tokens - .sample.tokens | fabs) < 0.02 * .sample.tokens' default.json
    assert_regex "$stderr" $'\nmf-eval report: measured on a sample: 10000 of [0-9]+ tokens, [0-9]+ of '"$all"' documents'
    assert_equal "$(grep -cE ' perplexity +[0-9.]+ \+- [0-9.]+$' <<< "$stderr")" 6
    # all over the stream, and not its beginning
    mf-eval perplexity -m model.safetensors --json train.mf | jq '[.domains[].domain]' > domains
    jq -e --slurpfile all domains '[.measures.test.domains[].domain] == $all[0]' default.json
    # the same of a pipe, and when asked for
    "${report[@]}" --quiet --max-tokens -1 < train.mf > again.json
    jq -e --slurpfile a default.json '.sample == $a[0].sample and .measures == $a[0].measures' again.json
    # 70 steps of 2 x 4 windows for 3 experts, two passes each, over 3 + 3 + 2 x 2 passes
    "${report[@]}" --quiet --set train_expert.steps=70 --set train_expert.accumulation=2 -o more.json train.mf
    jq -e '.sample | .tokens == 70 * 2 * 4 * 32 * 2 * 3 / 10 and .of_tokens > .tokens' more.json
    for everything in --set=train_expert.steps=100000 --max-tokens=0 --set=eval.max_tokens=0; do
        "${report[@]}" --quiet "$everything" -o all.json train.mf
        jq -e --argjson all "$all" '.sample | .tokens == .of_tokens and .documents == $all' all.json
    done
    mf-eval perplexity --config "$TINY" -m model.safetensors -t tokenizer.json --json train.mf | jq -e --slurpfile a all.json '. == ($a[0].measures.test | del(.positions))'
    "${report[@]}" --quiet --set eval.max_tokens=500 -o few.json train.mf
    jq -e '.sample | .tokens <= 500 and .tokens > 100 and .documents >= 5' few.json
    mf-eval page -o sample.html default.json
    grep -q 'Measured on a sample of the test documents: 10,000 of' sample.html
    assert_equal "$(mf-eval page all.json | grep -c 'Measured on a sample')" 0
    run -78 mf-eval report --set eval.max_tokens=-2 -m model.safetensors -t tokenizer.json train.mf
}

# Tokens that a report measured, of all models together.
measured() { # REPORT
    jq '[.measures | .test, .dense, .experts[] | .tokens] | add' "$1"
}

@test "the sample grows until the perplexity is as certain as eval.error asks for, and no further" {
    make_model 400
    for error in 0.02 0.01 0.005 0; do
        "${report[@]}" --quiet --set eval.error=$error --max-tokens 60000 -o $error.json train.mf
        jq -e '(.sample.error - .measures.test.error / .measures.test.perplexity | fabs) < 1e-9 and .sample.seed == 1' $error.json
    done
    jq -e '.sample | .documents >= 32 and .tokens >= 10000 and .tokens < 12000 and .error <= 0.02' 0.02.json
    jq -e '.sample | .tokens > 12000 and .tokens < 40000 and .error <= 0.01 and .target == 0.01' 0.01.json
    jq -e '.sample | .tokens == 60000 and .error > 0.0045' 0.005.json # its limit comes first
    jq -e '.sample | .tokens == 60000 and .target == 0' 0.json
    # routing, the dense model and the token frequencies are of the same documents
    jq -e '.measures | .test.documents == .dense.documents and .test.documents == .unigram.documents' 0.01.json
    jq -e '(.routing.tokens - .sample.tokens | fabs) < 0.02 * .sample.tokens' 0.01.json
    # an expert is measured until its distance from the model is as certain; what that says of all documents holds
    jq -e '.measures | .test as $t | .experts | all(.documents >= 32 and .documents < $t.documents and .behind_error <= 0.005
        and (.loss - $t.loss - .behind | fabs) < 1e-9 and .error >= .perplexity * .behind_error)' 0.005.json
    jq -e '.measures | .test as $t | .experts | all(.documents == $t.documents)' 0.json
    jq -e --slurpfile all 0.json '[.measures.experts[], $all[0].measures.experts[]] | [.[:3], .[3:]] | transpose
        | all((.[0].loss - .[1].loss | fabs) < 4 * .[0].behind_error and .[0].loss != .[1].loss)' 0.005.json
    mf-eval page 0.01.json > sample.html
    tr '\n' ' ' < sample.html | grep -qE "documents, chosen with seed 1; the +perplexity's standard error is 0\.[89][0-9]%\."
    mf-eval page 0.005.json > fewer.html
    grep -q 'as many of the documents as its distance' fewer.html
    assert_equal "$(mf-eval page 0.json | grep -c 'as many of the documents')" 0
    # the same at any number of threads; another seed takes others
    "${report[@]}" --quiet --set eval.error=0.01 --max-tokens 60000 --threads 3 -o threads.json train.mf
    jq -e --slurpfile one 0.01.json 'del(.sample.error) as $r | $one[0] | del(.sample.error) | .sample == $r.sample and
        ([.measures | .test, .dense, .experts[] | .documents]) == ([$r.measures | .test, .dense, .experts[] | .documents])' threads.json
    "${report[@]}" --quiet --seed 2 --set eval.error=0.02 -o other.json train.mf
    jq -e --slurpfile one 0.02.json '.sample.seed == 2 and .measures.test.nats != $one[0].measures.test.nats' other.json
    # everything is everything, however certain
    "${report[@]}" --quiet --max-tokens 0 --set eval.error=0.5 -o all.json train.mf
    jq -e '.sample | .tokens == .of_tokens and .tokens > 60000 and .target == 0' all.json
    run -78 mf-eval report --set eval.error=-0.1 -m model.safetensors -t tokenizer.json train.mf
}

@test "four times the experts do not take four times the work of a report" {
    make_tokens 160 16
    make_pieces --set train_expert.steps=8 --set train_expert.validate_every=4 --set train_expert.warmup=0
    for n in 4 16; do
        eval "experts=(expert.{0..$((n - 1))}.tar)"
        mf-assemble --quiet --config "$TINY" -o $n.safetensors shared.tar "${experts[@]}"
        for error in 0.02 0.000001; do
            mf-eval report --quiet --config "$TINY" --max-tokens 40000 --set eval.error=$error -m $n.safetensors -t tokenizer.json \
                -s shared.tar "${experts[@]/#/--expert=}" -o $n.$error.json train.mf
            jq -e --argjson n $n '.measures.experts | length == $n and all(.documents >= 32)' $n.$error.json
        done
    done
    # where no error is small enough, experts share a limit
    jq -e '.sample.tokens == 40000 and (.measures | .test as $t | .experts | all(.documents == $t.documents))' 4.0.000001.json
    [ "$(measured 16.0.000001.json)" -lt $((2 * $(measured 4.0.000001.json))) ]
    [ "$(measured 16.0.000001.json)" -gt 300000 ] # it is made use of
    # where it is, one takes what it needs, whatever there is
    [ "$(measured 4.0.02.json)" -lt 100000 ]
    [ "$(measured 16.0.02.json)" -lt 240000 ]
}

@test "no long document stands for all in a sample" {
    make_model
    /usr/bin/python3 -c 'import json
for i in range(40): print(json.dumps({"id": "d%d" % i, "domain": "long" if i < 8 else "short", "text": "word %d and more of it " % i * (400 if i < 8 else 20)}))' > texts.jsonl
    mf-docs --quiet --set docs.near_dup=1 --set docs.test_fraction=0 --set docs.val_fraction=0 --split train -o texts.docs texts.jsonl
    mf-tokenize encode --quiet -t tokenizer.json -o texts.mf texts.docs
    "${report[@]}" --quiet -o r.json texts.mf
    jq -e '.sample | .of_tokens > 20000 and .tokens <= 10000 and .documents >= 16' r.json
}

@test "a stage above its bound is named: in the report, on its page and to who waits" {
    make_model
    record() { # PEAK BOUND
        printf '{"seconds": 1, "cpu_seconds": 1, "peak_memory": %s, "bound": %s, "attempts": 1, "status": 0}' "$1" "$2"
    }
    mkdir stages
    record 641000000 100000000 > stages/tokenizer.json
    record 100000000 100000000 > join.json
    record 641000000 null > shared.json
    record 30000000 16000000 > $'stages/<u>\n\033[31m.json'
    run -0 --separate-stderr "${report[@]}" --stage stages/tokenizer.json --stage join.json --stage shared.json \
        --stage $'stages/<u>\n\033[31m.json' -o r.json test.mf
    grep -q '^mf-eval report: tokenizer took 641 MB of memory, above its bound of 100 MB$' <<< "$stderr"
    grep -q '^mf-eval report: <u>??\[31m took 30 MB of memory, above its bound of 16 MB$' <<< "$stderr"
    assert_equal "$(jq -c '[.warnings[] | [.stage, .text]]' r.json)" \
        '[["tokenizer","took 641 MB of memory, above its bound of 100 MB"],["<u>\n\u001b[31m","took 30 MB of memory, above its bound of 16 MB"]]'
    mf-eval page -o r.html r.json
    grep -q '<strong class="bad">tokenizer</strong> took 641 MB of memory, above its bound of 100 MB\.' r.html
    assert_equal "$(grep -c 'above its bound' r.html)" 2
    assert_equal "$(grep -c '<u>' r.html)" 0
    # a training whose curve is missing is no silent gap either
    mf-train-expert --quiet --config "$TINY" --set train_expert.steps=2 --set train_expert.warmup=0 -s shared.tar -v val.labelled.mf -p 0 \
        --metrics expert.0.metrics.mf -o again.tar parts/part.0.mp
    run -0 --separate-stderr "${report[@]}" --metrics expert.0.metrics.mf -o r.json test.mf
    grep -q '^mf-eval report: report has the loss curves of 1 of 4 trainings only$' <<< "$stderr"
    run -0 --separate-stderr "${report[@]}" --stage join.json --stage shared.json -o r.json test.mf
    refute_regex "$stderr" bound
    jq -e '.warnings == []' r.json
    echo '{"version": 1, "warnings": [1, {"stage": 2, "text": []}, {}]}' | mf-eval page > odd.html
    echo '{"version": 1, "warnings": {"a": 1}, "sample": {"tokens": "x"}}' | mf-eval page > odd.html
}

@test "experts that no step of their training made better are counted: in the report, on its page and to who waits" {
    make_model
    train() { # EXPERT LEARNING-RATE
        mf-train-expert --quiet --config "$TINY" --set train_expert.steps=2 --set train_expert.warmup=0 --set train_expert.min_lr=0 \
            --set train_expert.lr="$2" -s shared.tar -v val.labelled.mf -p "$1" -o "expert.$1.tar" "parts/part.$1.mp"
    }
    assemble() { mf-assemble --quiet --config "$TINY" -o model.safetensors shared.tar expert.?.tar; }
    train 0 1
    train 1 0.003
    train 2 1
    assemble
    run -0 --separate-stderr "${report[@]}" -o r.json test.mf
    said="left 2 of 3 experts as they began: no validation was better than before the first step (more text, or another train_expert.steps or lr, may help)"
    grep -qxF "mf-eval report: training $said" <<< "$stderr"
    jq -e --arg said "$said" '.warnings == [{stage: "training", text: $said}]' r.json
    mf-eval page r.json | grep -qF "<strong class=\"bad\">training</strong> $said."
    mf-eval report --quiet --config "$TINY" -m model.safetensors -t tokenizer.json -s shared.tar -e expert.0.tar -o r.json test.mf
    jq -e '.warnings[0].text | startswith("left the expert as it began: no validation was better")' r.json
    train 0 0.003
    train 2 0.003
    assemble
    run -0 --separate-stderr "${report[@]}" -o r.json test.mf
    jq -e '.warnings == []' r.json
}

@test "an expert given twice is refused in one line, with no report" {
    make_model
    run "${report[@]}" -e expert.1.tar -o r.json test.mf
    assert_failure 65
    assert_line "mf-eval report: expert.1.tar: the same expert as expert.1.tar"
    cp expert.0.tar other.tar
    run "${report[@]}" -e other.tar -o r.json test.mf
    assert_failure 65
    assert_line "mf-eval report: other.tar: the same expert as expert.0.tar"
    [ ! -e r.json ]
}

@test "bundles that the model was not made of are refused, before anything is measured; an expert has its number in the model" {
    make_model
    first() { tar xOf "$1" manifest.json | sha256sum | head -c 12; }
    refused() { # MESSAGE [OPTION]...
        run --separate-stderr mf-eval report --config "$TINY" -t tokenizer.json -o r.json "${@:2}" test.mf
        assert_failure 65
        assert_equal "$stderr" "mf-eval report: $1"
        [ ! -e r.json ]
    }
    mf-train-expert --quiet --config "$TINY" --seed 9 --set train_expert.steps=2 --set train_expert.warmup=0 -s shared.tar -v val.labelled.mf -p 0 \
        -o other.tar parts/part.0.mp
    refused "other.tar: not an expert of model.safetensors ($(first other.tar))" -m model.safetensors -s shared.tar -e expert.0.tar -e other.tar
    mf-calibrate --quiet --config "$TINY" -m model.safetensors -o calibrated.safetensors val.mf
    refused "other.tar: not an expert of calibrated.safetensors ($(first other.tar))" -m calibrated.safetensors -s shared.tar -e other.tar
    mf-assemble --quiet --config "$TINY" --dense -o dense.safetensors shared.tar
    refused "expert.0.tar: not an expert of dense.safetensors ($(first expert.0.tar))" -m dense.safetensors -s shared.tar -e expert.0.tar
    mf-train-shared --quiet --config "$TINY" --seed 9 --set train_shared.steps=2 --set train_shared.warmup=0 -o another.tar train.mf
    refused "another.tar: not the shared bundle of model.safetensors: $(first another.tar), not $(first shared.tar)" -m model.safetensors -s another.tar
    # a part of them, in another order than the model's
    mf-assemble --quiet --config "$TINY" --experts 1,2,0 -o model.safetensors shared.tar expert.?.tar
    mf-eval report --quiet --config "$TINY" -m model.safetensors -t tokenizer.json -s shared.tar -e expert.0.tar -e expert.2.tar -o r.json test.mf
    jq -e '.measures.experts | map([.file, .expert]) == [["expert.0.tar", 2], ["expert.2.tar", 1]]' r.json
    mf-eval page r.json | tr -d '\n' | grep -oE '<span role="rowheader"> *Expert [0-9]' | grep -o '[0-9]' | sort | xargs > numbers
    assert_equal "$(cat numbers)" "1 2"
    # of a model that does not say what it was made of any bundle may be
    /usr/bin/python3 - << 'END'
import json, struct
data = open("model.safetensors", "rb").read()
(size,) = struct.unpack("<Q", data[:8])
header = json.loads(data[8:8 + size])
for key in ("experts", "shared_sha256"):
    del header["__metadata__"][key]
header = json.dumps(header).encode()
open("silent.safetensors", "wb").write(struct.pack("<Q", len(header)) + header + data[8 + size:])
END
    mf-eval report --quiet --config "$TINY" -m silent.safetensors -t tokenizer.json -s shared.tar -e other.tar -o silent.json test.mf
    jq -e '.measures.experts | length == 1 and (.[0] | has("expert") | not)' silent.json
    mf-eval page silent.json > silent.html
}

@test "notes of other stages whose fields are of other types are refused, before anything is measured" {
    make_model
    refused() { # OPTION FILE MESSAGE
        run --separate-stderr "${report[@]}" "$1" "$2" -o r.json test.mf
        assert_failure 65
        assert_equal "$stderr" "mf-eval report: $2: $3"
        [ ! -e r.json ]
        tried=$((tried + 1))
    }
    tried=0
    mf-calibrate --quiet --config "$TINY" -m model.safetensors --report good.json -o calibrated.safetensors val.mf
    mf-time -o stage.json -- true
    "${report[@]}" --quiet --calibration good.json --stage stage.json -o r.json test.mf
    jq -e --slurpfile c good.json '.calibration == $c[0]' r.json
    rm r.json
    jq '.changes = [{what: "a", loss: 2.5, kept: true}] | .notes = ["b"]' good.json > full.json
    no="not a report of mf-calibrate"
    while IFS='|' read -r change message; do
        jq "$change" full.json > c.json
        refused --calibration c.json "$no: $message"
    done << 'END'
{}|calibrated must be true or false
[.]|not a JSON object
{changes: 3}|calibrated must be true or false
.calibrated = "true"|calibrated must be true or false
.calibrated = null|calibrated must be true or false
.loss_before = "3.5"|loss_before must be a number or null
.loss_before = [3.5]|loss_before must be a number or null
del(.loss_after)|loss_after must be a number or null
.loss_after = {}|loss_after must be a number or null
.changes = 3|changes must be a list
.changes = null|changes must be a list
.changes = [[1]]|changes: not a JSON object
.changes = [null]|changes: not a JSON object
.changes[0].loss = "2.5"|changes: loss must be a number
.changes[0].loss = null|changes: loss must be a number
.changes[0].kept = 1|changes: kept must be true or false
.changes[0].what = [[]]|changes: what must be text
del(.changes[0].what)|changes: what must be text
.notes = "b"|notes must be a list
.notes = [["b"]]|notes must be text
.notes += [null]|notes must be text
END
    while IFS='|' read -r change message; do
        jq "$change" stage.json > s.json
        refused --stage s.json "not a record of mf-time: $message"
    done << 'END'
{}|seconds must be a number from 0 on
[.]|not a JSON object
.seconds = "1"|seconds must be a number from 0 on
.seconds = -1|seconds must be a number from 0 on
.cpu_seconds = null|cpu_seconds must be a number from 0 on
.peak_memory = "641000000"|peak_memory must be a number from 0 on
.peak_memory = [641000000]|peak_memory must be a number from 0 on
del(.peak_memory)|peak_memory must be a number from 0 on
.bound = "16M"|bound must be a number from 0 on or null
.bound = {"a": [1]}|bound must be a number from 0 on or null
.attempts = "2"|attempts must be a whole number from 0 on
.attempts = 1.5|attempts must be a whole number from 0 on
.status = true|status must be a whole number from 0 on
END
    assert_equal "$tried" 34
}

@test "the page of one expert does not speak of several, of a choice, or of the expert beside itself" {
    make_model
    mf-assemble --quiet --config "$TINY" --set model.n_experts=1 --set model.top_k=1 -o one.safetensors shared.tar expert.0.tar
    mf-partition --quiet --config "$TINY" -n 1 -o whole train.mf
    mf-partition --quiet --label --saved whole/partition.mp -o all.mf test.mf
    page() { mf-eval page "$@" | sed '/<style>/,/<\/style>/d' | tr '\n' ' ' | sed 's/<[^>]*>//g; s/  */ /g' > page; }
    mf-eval report --quiet --config "$TINY" -m one.safetensors -t tokenizer.json -s shared.tar -e expert.0.tar --dense shared.tar -o one.json all.mf
    jq -e '.perplexity | has("oracle") and (.experts | length == 1)' one.json
    page one.json
    grep -qE 'Training one expert beside the backbone (cost nothing|was worth it|cost quality) here\.' page
    grep -q 'as many tokens as backbone and expert together\.' page
    grep -q 'There is one FFN in every layer, to which every token goes: nothing is routed\.' page
    assert_equal "$(grep -oEi 'experts|of 1 |dead|oracle|router|expert 0|top expert|balance' page)" ""
    mf-eval report --quiet --config "$TINY" -m one.safetensors -t tokenizer.json -s shared.tar -e expert.0.tar -o less.json test.mf
    page less.json
    grep -q 'Was training one expert beside the backbone worth it? What one dense model .* backbone and expert together was not measured; make dense' page
    assert_equal "$(grep -oEi 'experts|of 1 |dead|oracle|router|expert 0|top expert|balance' page)" ""
    jq '.routing += {attention: true, heads: true}' less.json | page
    grep -q 'The expert has attention of its own\. The expert has a head of its own\.' page
    # the mean of several is no expert of them, and a dense model is none
    mf-assemble --quiet --config "$TINY" --average -o mean.safetensors shared.tar expert.?.tar
    mf-eval report --quiet --config "$TINY" -m mean.safetensors -t tokenizer.json -s shared.tar -e expert.0.tar -o mean.json test.mf
    jq -e '.ffn == "average"' mean.json
    page mean.json
    grep -q ' Expert 0 ' page
    grep -q 'nothing is routed' page
    mf-assemble --quiet --config "$TINY" --dense -o dense.safetensors shared.tar
    mf-eval report --quiet --config "$TINY" -m dense.safetensors -t tokenizer.json -s shared.tar --dense shared.tar -o dense.json test.mf
    jq -e '.ffn == "dense"' dense.json
    page dense.json
    assert_equal "$(grep -oE 'Each expert|Training (one|the) expert' page)" ""
    # several: as ever
    "${report[@]}" --quiet -o several.json test.mf
    jq -e '(has("ffn") or (.routing | has("attention") or has("heads"))) | not' several.json
    page several.json
    grep -q 'Each token goes to 2 of 3 experts in every layer\.' page
    grep -q 'Was training the experts apart worth it?' page
    grep -q 'Each expert is measured alone' page
    jq '.routing.attention = true' several.json | page
    grep -q 'Experts have attention of their own: shares count the choice for the FFNs; attention has one of its own before it\.' page
}

@test "what a report holds is text on the page, whatever it looks like" {
    cat > evil.json <<'JSON'
{"version": 1, "model": "<script>alert(1)</script>", "perplexity": {"test": 9, "dense": 8},
 "measures": {"test": {"perplexity": 9, "domains": [{"domain": "\" onload=\"x", "perplexity": 9, "error": 1}]}},
 "routing": {"experts": ["a", "b"], "top_k": 1, "layers": [{"layer": 0, "shares": [1, 0], "balance": 0, "dead": [{"expert": 1}],
   "domains": {"<b>&": [1, 0]}}]},
 "samples": [{"prompt": "<i>", "text": "x", "prompt_pieces": [["<i>", 0]], "pieces": [["</span>\u0000\u001b[31m\u0085é😀", 1], ["&amp;", null]]}],
 "training": [{"file": "</title>.metrics.mf", "loss": [[1, 2.5], [2, null]], "validation": []},
              {"file": "none", "loss": [], "validation": []}],
 "stages": [{"stage": "<u>", "seconds": 3700, "peak_memory": 30000000, "bound": 16000000, "attempts": 2}]}
JSON
    mf-eval page -o page.html evil.json
    iconv -f UTF-8 -t UTF-8 page.html > /dev/null
    assert_equal "$(tr -d '\n\t' < page.html | LC_ALL=C grep -c '[[:cntrl:]]')" 0
    assert_equal "$(grep -cE '<script|onload="x|<u>|<i>|<b>&' page.html)" 0
    run cat page.html
    assert_output --partial "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert_output --partial "&lt;/span&gt;&#x2400;&#x241b;[31m&#xfffd;é😀"
    assert_output --partial "&amp;amp;"
    assert_output --partial "Not better than every baseline that saw no more text."
    assert_output --partial "12.5% above the best, the dense backbone"
    assert_output --partial "over 16 MB"
    assert_output --partial "1 h 01 min"
    assert_output --partial "in 2 attempts"
    assert_output --partial ">dead</td>"
    # a difference within two standard errors is none
    jq '.measures.dense = {perplexity: 8, behind: -0.118, behind_error: 0.07}' evil.json | mf-eval page > level.html
    grep -q 'Level with the best baseline.*12.5% above the best, the dense backbone, which may be chance' level.html
    grep -q 'standard error is 7.9%' level.html
    jq '.measures.dense = {perplexity: 8, behind: -0.118, behind_error: 0.05}' evil.json | mf-eval page > worse.html
    grep -q 'Not better than every baseline.' worse.html
    # a number of any size leaves its line room
    jq '.measures.test.perplexity = 1.3e300 | .perplexity.test = 1.3e300 | .training[0].loss = [[1, 5], [2, 1e300]]' evil.json | mf-eval page > huge.html
    grep -q '<dd>1.3e+300' huge.html
    assert_equal "$(grep -cE '[0-9]{20}' huge.html)" 0
    # experts stand 16 to a table; without domains nothing is said of them
    jq '.measures.test.domains[0].domain = "(none)" | .routing.experts = [range(40) | tostring]
        | .routing.layers[0] |= (.shares = [range(40) | . / 780] | .domains = {"(none)": .shares})' evil.json | mf-eval page > many.html
    assert_equal "$(grep -c '<table>' many.html)" 3
    assert_equal "$(grep -cE 'by domain|Domains|Agreement|nan' many.html)" 0
    # a report of less is a page of less
    echo '{"version": 1}' | mf-eval page > less.html
    run cat less.html
    assert_output --partial "</html>"
    refute_output --partial "<figure"
}

# A report of trainings with these curves, each {loss, validation}.
report_of() { # JSON
    jq -n "{version: 1, training: $1}"
}

@test "a curve of any kind is drawn, or said to hold no step; the report's text never reaches gnuplot" {
    # shellcheck disable=SC2016
    report_of '[{file: "`touch backquoted`", loss: [[1, 5], [2, 4]], validation: [["system(\"touch called\")", "`touch data`"], [2, 4.5]]},
        {file: "$(touch dollar)\"; !touch escaped\nEND\n!touch ended\n", loss: [[1, "!touch x"], "END", [[], {}], [3]], validation: []},
        {file: "one", loss: [[1, 5]], validation: []}, {file: "held", loss: [], validation: [[7, 5]]},
        {file: "flat", loss: [[1, 5], [9e11, 5]], validation: [[9e11, 5]]}, {file: "wild", loss: [[1, -1e300], [2, 1e300], [1e300, 5], [-4, 5]]},
        {file: "start", loss: [[0, 5], [0, 4]], validation: null}, {file: "large", loss: [[1, 999999], [2, -999999]]}, {}, 1, null]' > odd.json
    mf-eval page -o odd.html odd.json
    assert_equal "$(find . -mindepth 1 | sort | xargs)" "./odd.html ./odd.json"
    assert_equal "$(grep -c '<svg' odd.html) $(grep -c 'No step was recorded' odd.html)" "5 6"
    assert_equal "$(grep -cE 'nan|inf|<title>gnuplot|GNUPLOT|id="gnuplot' odd.html)" 0
    assert_equal "$(grep -c 'id=.gpDot' odd.html)" 1
    grep -q 'Losses left out, non-finite or beyond a million: 1<' odd.html
    grep -q '>training 4.00<' odd.html
    grep -q '>held out 4.50<' odd.html
    mf-eval page odd.json | cmp - odd.html

    # the steep beginning is above the chart, long curves are thinned, and 65 charts are no matter
    report_of '[{file: "long", loss: [range(5000) | [., 3 + 9 / (1 + . / 90)]]} | (., range(64)) as $x | .]' > many.json
    mf-eval page -o many.html many.json
    assert_equal "$(grep -c '<svg' many.html)" 65
    [ "$(stat -c %s many.html)" -lt 1000000 ]
}

@test "without gnuplot, or with one that does not draw, there is a line and no page" {
    report_of '[{file: "a", loss: [[1, 5], [2, 4]]}, {file: "b", loss: [[1, 5], [2, 4]]}]' > two.json
    mkdir fake
    refused() { # STATUS MESSAGE PATH
        run --separate-stderr env PATH="$3" mf-eval page -o page.html two.json
        assert_equal "$status" "$1"
        assert_equal "$stderr" "mf-eval page: $2"
        [ ! -e page.html ]
    }
    refused 69 "gnuplot cannot be started: No such file or directory; it is in the Debian package gnuplot-nox" "${MF_BIN:-$MF_ROOT/build/bin}"
    gnuplot_that() { # STATUS MESSAGE COMMANDS
        printf '#!/bin/sh\nreal="env PATH=/usr/bin gnuplot -d /dev/stdin"\n%s\n' "$3" > fake/gnuplot
        chmod +x fake/gnuplot
        refused "$1" "$2" "$PWD/fake:$PATH"
    }
    gnuplot_that 69 "gnuplot ended with status 3" 'echo noise >&2; $real; exit 3'
    gnuplot_that 69 "gnuplot was ended by signal 9" '$real; kill -9 $$'
    gnuplot_that 69 "gnuplot did not draw 2 whole charts" ':'
    gnuplot_that 69 "gnuplot did not draw 2 whole charts" '$real | head -c 5000'
    gnuplot_that 69 "gnuplot did not draw 2 whole charts" '$real | head -n -1'
    gnuplot_that 69 "gnuplot did not draw 2 whole charts" 'head -n 25 | $real'
    gnuplot_that 65 "the charts take more than 64 MB" 'trap "" PIPE; while :; do cat /usr/bin/perl; done'
    # a report without curves needs none
    echo '{"version": 1}' | env PATH="${MF_BIN:-$MF_ROOT/build/bin}" mf-eval page > less.html
}

@test "page says what is no report, and leaves the page there was" {
    echo old > page.html
    run --separate-stderr mf-eval page -o page.html absent.json
    assert_equal "$status" 66
    echo '{"version": 2}' > two.json
    run --separate-stderr mf-eval page -o page.html two.json
    assert_equal "$status" 65
    assert_equal "$stderr" "mf-eval page: two.json: not a report of version 1"
    run --separate-stderr mf-eval page two.json two.json
    assert_equal "$status" 64
    assert_equal "$(cat page.html)" old
    run --separate-stderr mf-eval page -o absent/page.html <(echo '{"version": 1}')
    assert_equal "$status" 73
}

@test "mf-time passes on the status and adds up the attempts until one succeeds" {
    run mf-time -o t.json --bound 1M -- sh -c 'sleep 0.1; exit 3'
    assert_equal "$status" 3
    jq -e '.seconds >= 0.1 and .cpu_seconds < .seconds and .attempts == 1 and .status == 3 and .bound == 1048576 and .peak_memory > 100000' t.json
    longer() { jq '.seconds = 1000' t.json > longer && mv longer t.json; }
    longer
    mf-time -o t.json -- sh -c 'sleep 0.1'
    jq -e '.seconds >= 1000.1 and .attempts == 2 and .status == 0 and .bound == null' t.json
    longer
    mf-time -o t.json -- true
    jq -e '.seconds < 1000 and .attempts == 1' t.json
    # a record that was damaged is not added to
    for old in '{"status": 1, "seconds": 1e308, "cpu_seconds": -5, "attempts": 9223372036854775807, "peak_memory": 1e300}' \
        '{"status": 1, "seconds": "x", "attempts": {}, "peak_memory": []}' '[1]' '{"status": 1' '' $'\xff\xff'; do
        printf '%s' "$old" > t.json
        mf-time -o t.json -- true
        jq -e '.seconds < 1e6 and .cpu_seconds >= 0 and .attempts == 1 and .status == 0 and .peak_memory > 100000 and .peak_memory < 1e9' t.json
    done
    run mf-time -o t.json -- sh -c 'kill -KILL $$'
    assert_equal "$status" 137
    run -127 mf-time -o t.json -- ./absent
    assert_output --partial "mf-time: ./absent: No such file or directory"
    run mf-time -o t.json
    assert_equal "$status" 64
    run mf-time -- true
    assert_equal "$status" 64
}

@test "mf-time hands SIGTERM to the program and writes what it used so far" {
    mf-time -o t.json -- sh -c 'trap "echo asked > asked; exit 7" TERM; echo > ready; while :; do sleep 0.02; done' 3>&- &
    await $! test -e ready
    kill -TERM $!
    local status=0
    ended $! || status=$?
    assert_equal "$status" 7
    assert_equal "$(cat asked)" asked
    jq -e '.status == 7' t.json
}

@test "mf-time makes SIGTERM of SIGUSR1, which the program does not notice" {
    mf-time -o t.json -- sh -c 'trap "exit 7" TERM; echo $$ > program; while :; do sleep 0.02; done' 3>&- &
    await $! test -s program
    kill -USR1 "$(cat program)"
    sleep 0.1
    [ ! -e t.json ]
    kill -USR1 "$(cat program)" $!
    local status=0
    ended $! || status=$?
    assert_equal "$status" 7
}

@test "the curves so far are drawn from whole, unfinished and cut streams" {
    make_tokens
    mkdir -p runs/t
    mf-train-shared --quiet --config "$TINY" --set train_shared.steps=30 -v val.mf --metrics runs/t/shared.metrics.mf -o shared.tar train.mf
    size=$(stat -c %s runs/t/shared.metrics.mf)
    head -c $((size * 2 / 3)) runs/t/shared.metrics.mf > runs/t/expert.0.metrics.mf
    head -c 20 runs/t/shared.metrics.mf > runs/t/expert.1.metrics.mf
    plot() { "$MF_ROOT/pipelines/plot.sh" "$(command -v mf-cat)" runs/t; }
    plot
    file -b runs/t/curves.png 2> /dev/null | grep -q PNG || [ "$(head -c 4 runs/t/curves.png | tail -c 3)" = PNG ]
    run cat runs/t/curves.svg
    assert_output --partial ">shared<"
    assert_output --partial ">expert.0<"
    refute_output --partial "expert.1"
    assert_output --partial "held out"
    rm runs/t/*
    run plot
    assert_equal "$status" 66
    assert_equal "$(find runs/t -mindepth 1)" ""
}
