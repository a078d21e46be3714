# What make ablation is made of: the measures of one run, and the report over seeds.
load ../helper

bin=${MF_BIN:-$MF_ROOT/build/bin}

@test "one run is measured: parts alone, ensembles, oracle, routers" {
    make_tokens 25
    make_pieces
    mkdir -p run/tokens run/config
    cp "$TINY" run/config/assemble.yaml
    sed 's/^calibrate:/&\n  steps: 1/' "$TINY" > run/config/calibrate.yaml
    for e in 0 1 2; do
        mf-train-expert --quiet --config "$TINY" --set expert.init=kaiming -s shared.tar -p $e -o run/scratch.$e.tar parts/part.$e.mp
    done
    mv test.mf val.labelled.mf run/tokens/
    cp tokenizer.json run/
    mv parts shared.tar expert.*.tar run/
    for model in .one "" .wide; do cp run/shared.tar "run/dense$model.tar"; done
    export LENGTH=32
    ROUTERS='prefix ridge' TOP_K=2 "$MF_ROOT/tests/bench/ablation.sh" run "$bin" 1 whole
    cut -f1 run/results/table.tsv | sort > names
    for name in alone.0 alone.1 alone.2 average dense.all dense.one dense.shared dense.wide ensemble.posterior ensemble.uniform oracle \
        assembled.shared.{prefix,ridge}.k2.{on,off}; do
        grep -qx "$name" names || fail "no $name"
    done
    assert_equal "$(head -n 1 run/results/table.tsv | tr '\t' ' ')" "name mixture alpha beta gamma balance agreement"
    # the ensembles, worked out another way
    /usr/bin/python3 - << 'END'
import json, math
alone = [json.load(open(f"run/results/alone.{e}.json"))["per_document"] for e in range(3)]
for name, posterior in ("uniform", False), ("posterior", True):
    nats = tokens = 0
    for documents in zip(*alone):
        weights = [1 / 3] * 3
        for losses in zip(*(d["losses"] for d in documents)):
            joint = [w * math.exp(-l) for w, l in zip(weights, losses)]
            nats -= math.log(sum(joint))
            tokens += 1
            if posterior:
                weights = [j / sum(joint) for j in joint]
    ours = json.load(open(f"run/results/ensemble.{name}.json"))
    assert abs(ours["perplexity"] / math.exp(nats / tokens) - 1) < 1e-6, (name, ours)
    assert len(ours["domains"]) == 3
END
    # documents that change their subject: all tokens are somewhere, and the expert of one's own subject helps most without
    awk -F '\t' '
        NR == 1 { next }
        $2 == 0 { kinds++; all = $4; if (all != 80 * 32 || (r = $8 * $5 / $6 - 1) > 1e-3 || r < -1e-3) exit bad = 1; if ($1 != "no domain") gain[kinds] = $5 / $7 }
        $2 > 0 { all -= $4; if ($3 == 32) last += all == 0 }
        END { exit bad || kinds != 4 || last != 3 || gain[1] < 1 || gain[2] < 1 || gain[3] < 1 }' run/results/subjects.tsv
    # the oracle is no worse than any expert alone on these three kinds of words, and is made of their domains
    jq -n -e '[inputs.perplexity] | .[0] <= (.[1:] | min)' run/results/oracle.json run/results/alone.*.json
    # trained gates are rows with any number of experts a token, and with experts of either start, before and after calibration
    ROUTERS=trained "$MF_ROOT/tests/bench/ablation.sh" run "$bin" 1 whole
    for name in assembled.shared.trained.k{1,2,3}.{on,off} assembled.kaiming.trained.k2.{on,off}; do
        cut -f1 run/results/table.tsv | grep -qx "$name" || fail "no $name"
    done
    # nothing is measured twice
    stat -c '%n %.Y' run/results/*.json run/results/*.routing run/results/subjects.tsv | grep -v oracle > before
    ROUTERS=trained "$MF_ROOT/tests/bench/ablation.sh" run "$bin" 1 whole
    stat -c '%n %.Y' run/results/*.json run/results/*.routing run/results/subjects.tsv | grep -v oracle | diff before -
}

@test "the report judges the worst seed" {
    command -v gnuplot > /dev/null || skip "gnuplot is not installed"
    table() { # ORACLE
        printf 'name\tmixture\ta\tbalance\tagreement\n'
        printf '%s\t%s\t1\t-\t-\n' alone.0 14 alone.1 12 dense.shared 10 dense.one 9.5 dense.all 8.5 dense.wide 8 oracle "$1"
        printf '%s\t%s\t1\t0.9\t0.8\n' assembled.shared.prefix.k2.on 8.8 assembled.shared.prefix.k2.off 8.8
    }
    mkdir -p docs/quality
    table 8.7 > docs/quality/llama.seed1.tsv
    table 8.0 > docs/quality/llama.seed2.tsv
    for seed in 1 2; do
        printf 'kind\tfrom\tto\ttokens\tbackbone\tassembled\toracle\tratio\terror\none change\t1\t8\t640\t%d\t8\t7\t0.%d\t0.01\n' \
            $((8 + seed)) $((95 - 10 * seed)) > docs/quality/llama.subjects$seed.tsv
    done
    "$MF_ROOT/tests/bench/ablation_report.sh" docs
    grep -F '| one change | 1 to 8 | 9.50 | 8.00 | 7.00 | 0.850 ± 0.010 |' docs/quality.md
    grep -F '| (a) beside the best expert alone (alone.1) | at most 1.00 | 0.733 | met |' docs/quality.md
    grep -F '| (b) beside the dense model after the shared phase | at most 0.90 | 0.880 | met |' docs/quality.md
    grep -F '| (d) beside oracle routing by true domain | at most 1.03 | 1.100 | **not met** |' docs/quality.md
    grep -F '| (e) calibrated beside not calibrated | at most 1.00 | 1.000 | met |' docs/quality.md
    grep -F '| oracle | 8.35 ± 0.35 | 1.00 |' docs/quality.md
    [ -s docs/quality.llama.svg ]
    [ ! -e docs/quality.search.svg ]
    # a search, where there is one
    {
        printf '%s\t' round total share backbone trained rate backbone_steps expert_steps backbone_perplexity oracle_perplexity
        printf 'expert_bytes\n'
        printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' 1 100 50 steady headfull 1 50 10 60 41 3200000 \
            1 100 50 steady ffn 1 50 10 60 42 1100000 1 100 0 untrained qo 1 1 20 99 43 1100000 \
            2 200 50 steady headfull 0.5 100 20 50 31 3200000 2 200 0 untrained qo 1 1 40 99 32 1100000 \
            2 200 0 untrained qo 9 1 40 99 - -
    } > docs/quality/search.tsv
    "$MF_ROOT/tests/bench/ablation_report.sh" docs
    grep -Fx '3 with 100, 3 with 200.' docs/quality.md
    grep -A 9 'best of each share, in' docs/quality.md | sed -n 5,6p > shares
    assert_equal "$(cat shares)" '| 2 | 0% | untrained | qo | 1 | 1 | 40 | 99.00 | 32.00 | 1.10 MB |
| 2 | 50% | steady | headfull | 0.5 | 100 | 20 | 50.00 | 31.00 | 3.20 MB |'
    grep -A 9 'best of what experts learn, in' docs/quality.md | sed -n 5,7p | cut -d '|' -f 2,5 > trained
    assert_equal "$(cat trained)" ' 2 | headfull 
 2 | qo 
 1 | ffn '
    [ -s docs/quality.search.svg ]
    run -66 "$MF_ROOT/tests/bench/ablation_report.sh" absent
}
