#!/bin/bash
# Measures the models of one run of the ablation on its test documents: ablation.sh RUN BIN THREADS short|whole
#
# RUN/results/NAME.json is what mf-eval says of one model, and is not measured again when it is there. The table,
# RUN/results/short.tsv or table.tsv, has a line for each: name, perplexity of the mixture and of each domain, balance of the
# router (entropy of the experts' shares over its largest), agreement of first choices with domains; "-" where there is none.
# ROUTERS and TOP_K in the environment choose among the assembled models (default: all); LEARNED is what experts learned
# beside FFNs (headRANK, qo, qoheadRANK), LENGTH (256) the tokens of the documents that change their subject.
# short: the dense models and the assembled one by default. whole: also the parts alone, ensembles, oracle, every router with
# two experts a token, prefix and trained gates with one and all, and with experts from random weights; and LEARNED. Then
# RUN/results/subjects.tsv too (subjects.py).
set -euo pipefail
export LC_ALL=C.UTF-8 # numbers have points
run=$1 bin=$2 threads=$3 extent=$4
results=$run/results
mkdir -p "$results"
for piece in "$run"/*.tar; do find "$results" -type f ! -newer "$piece" -delete; done # measures of other pieces
work=$(mktemp -d "$results/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
test=$run/tokens/test.mf
experts=("$run"/expert.*.tar)
E=${#experts[@]}
common=(--quiet --threads "$threads")
assembly=(--config "$run/config/assemble.yaml")
calibration=(--config "$run/config/calibrate.yaml")

measure() { # NAME ARGUMENT...
    local name=$1
    shift
    [ -s "$results/$name.json" ] || "$bin/mf-eval" perplexity "${common[@]}" --json -o "$results/$name.json" "$@" "$test"
}
measure_routed() { # NAME MODEL
    measure "$1" -m "$2"
    [ -s "$results/$1.routing" ] || "$bin/mf-eval" routing "${common[@]}" --json -o "$results/$1.routing" -m "$2" "$test"
}

# Joins a model, $work/joined, and calibrates it, $work/on; the last one is not made twice. Discriminant, ridge and trained
# gates are made by mf-calibrate, so the first has them already.
join() { # INIT ROUTER K
    local files=("${experts[@]}") kind=hidden init=uniform router=temperature off='' more=() on=()
    [ "${joined:-}" != "$*" ] || return 0
    case $1 in
    kaiming) files=("$run"/scratch.*.tar) ;;
    head* | qo*) files=("$run/learned.$1".*.tar) ;;
    esac
    case $2 in
    random) init=kaiming ;;
    centroid) init=data_stats ;;
    discriminant | ridge) off=$2 ;;
    trained) off=train more=(--set calibrate.max_tokens=100000) ;; # fewer it learns by heart
    # few documents change their subject
    prefix) kind=prefix init=data_stats router=best on=(--set calibrate.max_tokens=100000) ;;
    esac
    "$bin/mf-assemble" --quiet "${assembly[@]}" --set "router.kind=$kind" --set "router.init=$init" --set "model.top_k=$3" \
        -o "$work/joined" "$run/shared.tar" "${files[@]}"
    [ -z "$off" ] || calibrate "$off" false "$work/joined.fitted" "${more[@]}"
    [ -z "$off" ] || mv "$work/joined.fitted" "$work/joined"
    calibrate "$router" true "$work/on" "${on[@]}"
    joined=$*
}
# The name of an assembled model is assembled.INIT.ROUTER.kK.off or .on: without and with temperature and norms (and, for
# the prefix, evidence and gates) fitted.
assembled() { # INIT ROUTER K
    local name=assembled.$1.$2.k$3
    [ ! -s "$results/$name.off.routing" ] || [ ! -s "$results/$name.on.routing" ] || return 0
    join "$@"
    measure_routed "$name.off" "$work/joined"
    measure_routed "$name.on" "$work/on"
}
calibrate() { # ROUTER NORMS OUTPUT [OPTION]...
    "$bin/mf-calibrate" "${common[@]}" "${calibration[@]}" --set "calibrate.router=$1" --set "calibrate.norms=$2" "${@:4}" \
        -m "$work/joined" -o "$3" "$run/tokens/val.labelled.mf"
}

# The mean of the experts' probabilities, equal or weighted by Bayes with what the document's tokens so far were worth to each.
ensemble() { # NAME POSTERIOR ALONE.json...
    local name=$1 posterior=$2
    shift 2
    [ -s "$results/$name.json" ] || jq -s --argjson posterior "$posterior" '
        def logsum: max as $m | $m + (map(. - $m | exp) | add | log);
        def nats: length as $E | reduce transpose[] as $losses ({w: [range($E) | 0], nats: 0}; .
            | (.w | logsum) as $before
            | ([.w, $losses] | transpose | map(.[0] - .[1])) as $after
            | .nats += $before - ($after | logsum)
            | if $posterior then .w = $after else . end) | .nats;
        [.[].per_document] | transpose
        | map({domain: .[0].domain, tokens: .[0].tokens, nats: (map(.losses) | nats)})
        | {perplexity: ((map(.nats) | add) / (map(.tokens) | add) | exp),
           domains: (group_by(.domain) | map({domain: .[0].domain, perplexity: ((map(.nats) | add) / (map(.tokens) | add) | exp)}))}
    ' "$@" > "$work/ensemble"
    [ -s "$results/$name.json" ] || mv "$work/ensemble" "$results/$name.json"
}

# Each domain by the expert whose partition has most of its training documents.
oracle() {
    local e
    for e in $(seq 0 $((E - 1))); do
        "$bin/mf-cat" "$run/parts/part.$e.mp" | jq -r --arg e "$e" 'select(.id) | "\(.domain) \($e)"'
    done | sort | uniq -c | sort -k2,2 -k1,1nr | awk '!seen[$2]++ { print $2, $3 }' > "$work/experts"
    while read -r domain e; do
        jq -c --arg d "$domain" '.domains[] | select(.domain == $d)' "$results/alone.$e.json"
    done < "$work/experts" | jq -s '{perplexity: ((map(.nats) | add) / (map(.tokens) | add) | exp), domains: .}' > "$results/oracle.json"
}

# The model by default where documents change their subject.
subjects() {
    [ ! -s "$results/subjects.tsv" ] || return 0
    join shared prefix 2
    /usr/bin/python3 "$(dirname "$0")/subjects.py" "$bin" "$run" "$work/on" "${LENGTH:-256}" > "$work/subjects"
    mv "$work/subjects" "$results/subjects.tsv"
}

measure dense.shared -m "$run/shared.tar"
measure dense.all -m "$run/dense.tar"
assembled shared prefix 2
if [ "$extent" = whole ]; then
    measure dense.one -m "$run/dense.one.tar"
    measure dense.wide -m "$run/dense.wide.tar"
    for e in $(seq 0 $((E - 1))); do measure "alone.$e" -m "$run/shared.tar" -e "$run/expert.$e.tar" --losses; done
    oracle
    subjects
    ensemble ensemble.uniform false "$results"/alone.*.json
    ensemble ensemble.posterior true "$results"/alone.*.json
    if [ ! -s "$results/average.json" ]; then
        "$bin/mf-assemble" --quiet "${assembly[@]}" --average -o "$work/average" "$run/shared.tar" "${experts[@]}"
        measure average -m "$work/average"
    fi
    for what in ${LEARNED:-}; do assembled "$what" prefix 2; done
    for router in ${ROUTERS:-prefix random uniform centroid discriminant ridge trained}; do
        assembled shared "$router" 2
        case $router in # the best of their kinds also otherwise
        prefix | trained)
            for k in ${TOP_K:-1 "$E"}; do assembled shared "$router" "$k"; done
            assembled kaiming "$router" 2
            ;;
        esac
    done
fi

table=$results/$([ "$extent" = whole ] && echo table || echo short).tsv
for file in "$results"/*.json; do
    name=$(basename "$file" .json)
    domains=$(jq -r '[.perplexity] + [.domains | sort_by(.domain)[].perplexity] | map(tostring) | join("\t")' "$file")
    if [ -s "$results/$name.routing" ]; then
        routing=$(jq -r '(.experts | length | log) as $most | [.layers | ((map(.entropy) | add) / length / $most), ((map(.agreement // 0) | add) / length)]
            | map(tostring) | join("\t")' "$results/$name.routing")
    else
        routing=$(printf -- '-\t-')
    fi
    printf '%s\t%s\t%s\n' "$name" "$domains" "$routing"
done > "$table.tmp"
{
    printf 'name\tmixture\t%s\tbalance\tagreement\n' "$(jq -r '[.domains | sort_by(.domain)[].domain] | join("\t")' "$results/dense.shared.json")"
    cat "$table.tmp"
} > "$work/table"
rm "$table.tmp"
mv "$work/table" "$table"
