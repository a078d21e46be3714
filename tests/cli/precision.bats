# Products in bf16: that training and measuring differ little from fp32, say what they did, and keep it. On processors
# without bf16 units sgemm multiplies the rounded numbers, so this holds everywhere.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_tokens
    # wide enough that all products but the router's are rounded
    cat > wide.yaml << 'END'
model: {d_model: 64, n_heads: 2, n_layers: 2, d_ff: 96, n_experts: 3, top_k: 2, context: 64, dropout: 0.1}
train_shared: {steps: 200, batch: 4, warmup: 20, lr: 0.002, min_lr: 0.0002, validate_every: 40, validate_batches: 4, log_every: 1}
train_expert: {steps: 40, batch: 4, warmup: 4, lr: 0.003, min_lr: 0.001, validate_every: 20, validate_batches: 4, log_every: 1}
END
    { echo 'model: {arch: llama, n_kv_heads: 1,' && sed 's/^model: {//; s/, dropout: 0.1//' wide.yaml; } > llama.yaml
    mv wide.yaml reference.yaml
    local arch precision
    for arch in llama reference; do
        for precision in fp32 bf16; do
            shared $arch $precision --metrics $arch.$precision.mf -o $arch.$precision.tar
            mf-train-expert --quiet --config $arch.yaml --set train.precision=$precision --threads 2 -s $arch.fp32.tar -v val.labelled.mf -p 1 \
                --metrics $arch.$precision.expert.mf -o $arch.$precision.expert.tar parts/part.1.mp
        done
    done
}

setup() { link_made; }

shared() { # FAMILY PRECISION [OPTION]...
    mf-train-shared --quiet --config "$1.yaml" --set train.precision="$2" --threads 2 -v val.mf "${@:3}" train.mf
}

# The precision that a bundle or checkpoint was made in.
precision_of() {
    tar xOf "$1" manifest.json | jq -r '.. | objects | .settings? // empty | .train.precision'
}

# The largest relative difference of the means of 20 steps' losses.
differ() { # METRICS METRICS
    paste <(mf-cat "$1" | jq 'select(.step) | .loss') <(mf-cat "$2" | jq 'select(.step) | .loss') |
        awk '{ a += $1; b += $2 } NR % 20 == 0 { d = (a - b) / b; if (d < 0) d = -d; if (d > most) most = d; a = b = 0 } END { print most }'
}

perplexity() { # [OPTION]...
    mf-eval perplexity --quiet --json --config llama.yaml "$@" test.mf | jq .perplexity
}

@test "in bf16 200 steps follow those in fp32 within 0.5% of the loss, both families, experts too" {
    for arch in llama reference; do
        for step in "" .expert; do
    difference=$(differ $arch.bf16$step.mf $arch.fp32$step.mf)
            echo "$arch$step: $difference"
            awk "BEGIN { exit !($difference > 0 && $difference < 0.005) }"
        done
    done
}

@test "experts of low rank, beside the anchor and with a head of their own follow too" {
    for arch in llama reference; do
        for way in rank=4 anchor=true head=full head=3; do
            for precision in fp32 bf16; do
                mf-train-expert --quiet --config $arch.yaml --set train.precision=$precision --set expert.$way --threads 2 -s $arch.fp32.tar \
                    -p 1 --metrics $precision.mf -o $precision.tar parts/part.1.mp
            done
            difference=$(differ bf16.mf fp32.mf)
            echo "$arch $way: $difference"
            awk "BEGIN { exit !($difference > 0 && $difference < 0.005) }"
        done
    done
}

@test "bundles say which precision it was, and auto as what it came to" {
    assert_equal "$(precision_of llama.fp32.tar)" fp32
    assert_equal "$(precision_of llama.bf16.expert.tar)" bf16
    ONEDNN_MAX_CPU_ISA=AVX2 shared llama auto --set train_shared.steps=2 --set train_shared.warmup=1 -o auto.tar
    assert_equal "$(precision_of auto.tar)" fp32
}

@test "mf-config precision says what the settings come to, and why" {
    ONEDNN_MAX_CPU_ISA=AVX2 run mf-config precision
    assert_output "$(printf 'train.precision: fp32\neval.precision: fp32\nthis processor has neither AMX nor AVX512-BF16')"
    run mf-config precision --set train.precision=bf16 --set eval.precision=bf16
    assert_line -n 0 "train.precision: bf16"
    assert_line -n 1 "eval.precision: bf16"
    assert_line -n 2 -p "this processor has "
    run -78 mf-config precision --set train.precision=fp16
    assert_output -p "train.precision"
}

@test "the same inputs and threads give the same bytes, stopped and resumed too" {
    shared llama bf16 -o again.tar
    cmp again.tar llama.bf16.tar
    often=(--set train_shared.checkpoint_every=20 --threads 1)
    shared llama bf16 "${often[@]}" -o whole.tar
    run -130 strike INT s.tar.ckpt 2 mf-train-shared --quiet --config llama.yaml --set train.precision=bf16 "${often[@]}" -v val.mf -o s.tar train.mf
    [ ! -e s.tar ]
    shared llama bf16 "${often[@]}" --resume -o s.tar
    cmp s.tar whole.tar
}

@test "what is resumed keeps its precision where it is auto, and another is refused" {
    often=(--set train_shared.checkpoint_every=20)
    stop() { # PRECISION
        run -130 strike INT s.tar.ckpt 2 mf-train-shared --quiet --config llama.yaml --set train.precision="$1" "${often[@]}" --threads 1 -v val.mf \
            -o s.tar train.mf
    }
    stop bf16
    run shared llama fp32 "${often[@]}" --resume -o s.tar
    assert_failure 65
    assert_output 'mf-train-shared: s.tar.ckpt: of another training: train.precision is "bf16" there, "fp32" here'
    # a processor that would not choose it goes on in it
    ONEDNN_MAX_CPU_ISA=AVX2 shared llama auto "${often[@]}" --threads 1 --resume -o s.tar
    assert_equal "$(precision_of s.tar)" bf16
}

@test "perplexity in bf16 is that in fp32 within 0.5%, of a dense model and of a mixture" {
    mf-assemble --config llama.yaml -o model.safetensors llama.fp32.tar llama.fp32.expert.tar llama.bf16.expert.tar
    for model in llama.fp32.tar model.safetensors; do
        wide=$(perplexity -m $model) narrow=$(perplexity -m $model --set eval.precision=bf16)
        echo "$model: $wide $narrow"
        awk "BEGIN { d = $narrow / $wide - 1; exit !(d != 0 && d < 0.005 && d > -0.005) }"
    done
    mf-calibrate --quiet --config llama.yaml --set eval.precision=bf16 -m model.safetensors -o calibrated.safetensors val.mf
    narrow=$(perplexity -m calibrated.safetensors)
    awk "BEGIN { exit !($narrow < 1.02 * $wide) }"
}

@test "the plan of memory counts what bf16 takes, and is kept to" {
    own_memory_only
    for precision in fp32 bf16; do
        mf-config memory train-expert --config llama.yaml --set train.precision=$precision -s llama.fp32.tar --threads 2 > $precision
        peak=$(peak_mb mf-train-expert --quiet --config llama.yaml --set train.precision=$precision --threads 2 -s llama.fp32.tar -o e.tar parts/part.1.mp)
        echo "$precision: planned $(cat $precision) MB, took $peak MB"
        [ "$peak" -le "$(cat $precision)" ]
    done
    [ "$(cat bf16)" -gt "$(cat fp32)" ]
}

@test "where bf16 does not fit into a limit of memory, auto is fp32 and bf16 is refused" {
    least=$(mf-config memory train-expert --config llama.yaml --set train.precision=fp32 -s llama.fp32.tar --threads 2)
    mf-train-expert --quiet --config llama.yaml --threads 2 --max-memory $((least + 2))M -s llama.fp32.tar -o e.tar parts/part.1.mp
    assert_equal "$(precision_of e.tar)" fp32
    run mf-train-expert --quiet --config llama.yaml --set train.precision=bf16 --threads 2 --max-memory $((least + 2))M -s llama.fp32.tar \
        -o b.tar parts/part.1.mp
    assert_failure 78
    assert_output -p "--max-memory: the training needs at least"
}
