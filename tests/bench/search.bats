# What make ablation-search is made of: the search in a run of the pipeline, and its place in the report.
load ../helper

setup() {
    cd "$BATS_TEST_TMPDIR"
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words 30
}

# The search of shares, rates and trained sets that a few seconds allow.
search() { # [ARGUMENT of make]...
    GOAL=search-run mf_make SET="model.arch=llama train_shared.steps=80 train_expert.steps=30 ${MORE:-}" SEARCH_SHARES='0 50 80' \
        SEARCH_TRAINED='ffn qorank8head16' SEARCH_RATES='1 2' SEARCH_KEEP='4 3' "$@"
}
export -f search

@test "a search keeps the best of each round and one of each share, and goes on where it was" {
    # the plan says what there will be
    search -n > plan
    grep -x 'round 1: 31 steps for each of 10 candidates: 35 trainings, [0-9]* steps' plan
    grep -x 'round 2: 62 steps for each of 8 candidates: at most 28 trainings, [0-9]* steps' plan
    grep 'in all at most' plan
    [ ! -e runs/t/search ]
    # broken off in the second round, where an expert of a candidate is trained, another half
    half=runs/t/search/62/0-untrained-qorank8head16-2
    mkdir -p $half.tsv.tmp
    run -2 search
    assert_output --partial "$half.tsv.tmp: "
    rmdir $half.tsv.tmp
    command=$(grep -- "-o [^ ]*$half.expert.1.tar " <<< "$output")
    rm $half.expert.1.tar
    run -137 strike KILL $half.expert.1.tar.ckpt 1 bash -c "cd '$MF_ROOT'; exec ${command%||*}"
    [ -s $half.expert.1.tar.ckpt ]
    [ -s $half.expert.0.tar ]
    find runs/t/search -name '*.tsv' -printf '%p %T@\n' | sort > before
    has_lines before 10
    search > log 2>&1
    refute grep -- "-o [^ ]*$half.expert.0.tar" log
    refute grep "begins again" log
    find runs/t/search -name '*.tsv' -printf '%p %T@\n' | sort | comm -23 before - > again
    assert_equal "$(cat again)" ""
    # of the experts, the results are left
    assert_equal "$(find runs/t/search -name '*.expert.*')" ""
    # as if nothing had happened, by two at a time
    cp runs/t/search/table.tsv table.tsv
    rm -r runs/t/search
    search -j2 > log 2>&1
    diff runs/t/search/table.tsv table.tsv
    search > log 2>&1
    assert_equal "$(stages log)" ""

    /usr/bin/python3 - << 'PY'
import csv, itertools
rows = list(csv.DictReader(open("table.tsv"), delimiter="\t"))
rounds = [[r for r in rows if r["round"] == n] for n in "123"]
combination = lambda r: (r["share"], r["backbone"], r["trained"])
perplexity = lambda r: float(r["oracle_perplexity"])
named = lambda r: (*combination(r), r["rate"])

def best_rates(rows):
    return [min(group, key=perplexity) for _, group in itertools.groupby(sorted(rows, key=combination), key=combination)]

kinds = [("0", "untrained"), *itertools.product(("50", "80"), ("annealed", "steady"))]
assert sorted(map(named, rounds[0])) == sorted((*k, t, "1") for k in kinds for t in ("ffn", "qorank8head16"))
for before, after, keep in zip(rounds, rounds[1:], (4, 3)):
    assert [perplexity(r) for r in before] == sorted(map(perplexity, before))
    stand, kept = best_rates(before), set(map(combination, after))
    assert len(kept) == keep and {r["share"] for r in after} == {"0", "50", "80"}
    of_share = {combination(min((r for r in stand if r["share"] == s), key=perplexity)) for s in ("0", "50", "80")}
    assert of_share <= kept
    others = [r for r in stand if combination(r) not in of_share]
    worst = max([perplexity(r) for r in others if combination(r) in kept], default=0)
    assert all(perplexity(r) >= worst for r in others if combination(r) not in kept)
assert sorted(map(named, rounds[1])) == sorted((*c, rate) for c in set(map(combination, rounds[1])) for rate in "12")
assert set(map(named, rounds[2])) <= set(map(named, best_rates(rounds[1])))
for index, total in enumerate((31, 62, 125)):
    for r in rounds[index]:
        assert r["total"] == str(total)
        shared, expert = int(r["backbone_steps"]), int(r["expert_steps"])
        assert r["share"] == "0" and shared == 1 or shared == round(total * int(r["share"]) / 100)
        # batches of the backbone are twice those of the three experts
        assert abs((0 if r["share"] == "0" else shared) + 1.5 * expert - total) <= 1, r
        assert perplexity(r) < float(r["backbone_perplexity"])
assert int(next(r for r in rows if r["trained"] == "ffn")["expert_bytes"]) > 0
PY
}

@test "what is measured is each test document by the expert of its partition" {
    search SEARCH_SHARES=50 SEARCH_BACKBONES=steady SEARCH_TRAINED=ffn SEARCH_ROUNDS=100 SEARCH_KEEP= > log 2>&1
    cut -f1-8 runs/t/search/table.tsv | tail -n 1 > ours
    assert_equal "$(cat ours)" "$(printf '1\t125\t50\tsteady\tffn\t1\t62\t42')"
    cd runs/t
    for e in 0 1 2; do
        mf-train-expert --quiet --config config/train-expert.yaml --threads 1 --set train_expert.steps=42 --set train_expert.warmup=4 \
            --set train_expert.validate_every=14 -s search/125/50-steady.tar -v tokens/val/part.$e.mf -p $e -o e.tar parts/part.$e.mp
        mf-eval perplexity --quiet --threads 1 --json --documents -m search/125/50-steady.tar -e e.tar -o $e.json tokens/test.mf
        assert_equal "$(stat -c %s e.tar)" "$(tail -n 1 search/table.tsv | cut -f11)"
    done
    mf-partition --label --quiet --saved parts/partition.mp -o labelled.mf tokens/test.mf
    oracle=$(mf-cat labelled.mf | jq -s --slurpfile a 0.json --slurpfile b 1.json --slurpfile c 2.json '[$a[0], $b[0], $c[0]]
        as $experts | [.[] | select(.id) | . as {$id, $partition} | $experts[$partition].per_document[] | select(.id == $id)]
        | (map(.nats) | add) / (map(.tokens) | add) | exp')
    near "$oracle" "$(tail -n 1 search/table.tsv | cut -f10)"
}

@test "an expert whose learning diverges is a result, the last of its round" {
    # weights that a step makes some thousand times as large
    MORE=train_expert.weight_decay=100 search SEARCH_SHARES=50 SEARCH_BACKBONES=steady SEARCH_TRAINED=ffn SEARCH_RATES='30000 1' SEARCH_ROUNDS='50 100' SEARCH_KEEP=1 \
        > log 2>&1
    tail -n 1 runs/t/search/table.tsv > last
    assert_equal "$(cut -f6,10,11 last)" "$(printf '30000\t-\t-')"
}

@test "a search that cannot be is refused before anything is made" {
    refused() { # MESSAGE ARGUMENT...
        run search "${@:2}"
        assert_failure
        assert_output --partial "$1"
        refute_output --partial 'mf-docs'
    }
    refused "a share is a whole percent from 0 to 99, not '100'" SEARCH_SHARES='50 100'
    refused "a share is a whole percent from 0 to 99, not '2.5'" SEARCH_SHARES=2.5
    refused "a backbone is annealed or steady, not 'warm'" SEARCH_BACKBONES='steady warm'
    refused "experts learn ffn, or qo, rankR, headR or headfull in this order, not 'head16qo'" SEARCH_TRAINED='ffn head16qo'
    refused "experts learn ffn, or qo, rankR, headR or headfull in this order, not 'rank0'" SEARCH_TRAINED=rank0
    refused "a rate is a number above 0, such as 0.5, not '-1'" SEARCH_RATES=-1
    refused "a rate is a number above 0, such as 0.5, not '1.2.3'" SEARCH_RATES=1.2.3
    refused "--rates names at least one, and none twice" SEARCH_RATES='1 1'
    refused "--trained names at least one, and none twice" SEARCH_TRAINED=
    refused "a round keeps one of each share at least, which is 3, not '2'" SEARCH_KEEP='4 2'
    refused "--keep has a number for each round but the last, which is 2, not 1" SEARCH_KEEP=4
    refused "a round is a percent of the total, above 0, not '101'" SEARCH_ROUNDS='25 50 101'
    refused "each round has more steps than the one before" SEARCH_ROUNDS='50 25 100'
    refused "the first round has 1 steps, too few for one of each expert" SEARCH_ROUNDS='0.5 50 100'
    # what a training would refuse
    refused "train_expert.lr is 150, must be 0 to 100" SEARCH_RATES='1 50000'
    refused "expert.train ffn+qo needs model.arch=llama" SET=
    [ ! -e runs/t/tokenizer.json ]
}
