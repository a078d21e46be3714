# Fields of another type in the JSON that others may have written: refused in one line that names file and field, never read
# as 0 or left out. A report's notes are in report.bats, a base's config.json in import.bats, tokenizers in tokenizers.bats.
load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_model
    mv model.safetensors good.safetensors
    make_llama
}

setup() {
    link_made
}

refused() { # MESSAGE PROGRAM [ARGUMENT]...
    run --separate-stderr "${@:2}"
    [ "$status" -eq 65 ] || fail "${*:2}: status $status: $stderr"
    assert_equal "${stderr#mf-*: }" "$1"
    [ ! -e out ] || fail "${*:2} left its output"
}

@test "what a model says of its router and its components" {
    local change message
    while IFS='|' read -r change message; do
        edit_model bad.safetensors "$change"
        refused "bad.safetensors: metadata $message" mf-eval routing -o out -m bad.safetensors test.mf
        case $message in
        experts* | shared* | base*) refused "bad.safetensors: metadata $message" mf-cat -o out --provenance bad.safetensors ;;
        esac
    done << 'END'
m["config"]["n_experts"] = "3"|config: n_experts must be 1 to 65536
m["config"]["top_k"] = [2]|config: top_k is 0, must be 1 to 3
m["router"]["kind"] = 1|router: unknown kind '?'
m["router"]["kind"] = None|router: unknown kind '?'
m["router"]["weights"] = ["all"]|router: weights must be 'chosen' or 'all'
m["router"]["token_scores"] = 0|router: token_scores must be 'sum' or 'mean'
m["router"]["decay"] = "0.9"|router: a value is not a number
m["experts"] = "three"|experts: not a list
m["experts"] = {"0": {}}|experts: not a list
m["experts"][1] = "expert.1.tar"|experts: not a JSON object
m["experts"][1] = [[]]|experts: not a JSON object
m["experts"][2]["partition"] = "2"|experts: partition must be a whole number from 0 on
m["experts"][2]["partition"] = 2.0|experts: partition must be a whole number from 0 on
m["experts"][2]["partition"] = None|experts: partition must be a whole number from 0 on
m["experts"][0]["documents"] = "27"|experts: documents must be a whole number from 0 on
m["experts"][0]["tokens"] = [27]|experts: tokens must be a whole number from 0 on
m["experts"][0]["sha256"] = 27|experts: sha256 must be text
m["experts"][0]["file"] = None|experts: file must be text
m["experts"][0]["data_xxh64"] = 27|experts: data_xxh64 must be text
m["shared_trained"]["tokens"] = "27"|shared_trained: tokens must be a whole number from 0 on
m["shared_trained"] = [27]|shared_trained: not a JSON object
m["base"] = {"class": ["LlamaForCausalLM"]}|base: class must be text
m["base"] = {"name": 1}|base: name must be text
END
}

@test "what a bundle says of itself" {
    local change message
    while IFS='|' read -r change message; do
        edit_bundle expert.1.tar bad.tar "$change"
        refused "bad.tar: the manifest$message" mf-assemble --quiet --config "$TINY" -o out shared.tar expert.0.tar bad.tar
        refused "bad.tar: the manifest$message" mf-eval perplexity --quiet -o out -m shared.tar -e bad.tar test.mf
    done << 'END'
m["partition"] = "1"|: partition must be a whole number from 0 on
m["partition"] = 1.5|: partition must be a whole number from 0 on
m["partition"] = [1]|: partition must be a whole number from 0 on
m["partition"] = None|: partition must be a whole number from 0 on
m["training"] = [1]|'s training: not a JSON object
m["training"] = None|'s training: not a JSON object
m["training"]["best_step"] = "0"|'s training: best_step must be a whole number from 0 on
m["training"]["documents"] = {}|'s training: documents must be a whole number from 0 on
m["training"]["data_xxh64"] = 7|'s training: data_xxh64 must be text
END
    edit_bundle shared.tar bad.tar 'm["base"] = {"class": 1}'
    refused "bad.tar: the manifest's base: class must be text" mf-assemble --quiet --config "$TINY" -o out bad.tar expert.0.tar expert.1.tar
}

@test "what a checkpoint says of its training" {
    local change message train=(mf-train-shared --quiet --config "$TINY" --threads 1 --set train_shared.steps=5000 -v val.mf -o out)
    run -143 strike TERM out.ckpt 1 "${train[@]}" train.mf
    mv out.ckpt good.ckpt
    while IFS='|' read -r change message; do
        edit_bundle good.ckpt out.ckpt "$change"
        refused "out.ckpt: the manifest's state: $message" "${train[@]}" --resume train.mf
    done << 'END'
m["state"]["step"] = "20"|step must be a whole number from 0 on
m["state"]["step"] = -3|step must be a whole number from 0 on
m["state"]["best_step"] = [1]|best_step must be a whole number
m["state"]["best_loss"] = "3.5"|best_loss must be a number
m["state"]["best_loss"] = None|best_loss must be a number
m["state"]["first_loss"] = {}|first_loss must be a number
m["state"]["skipped"] = 1.5|skipped must be a whole number from 0 on
m["state"] = [1]|not a JSON object
END
}

# A copy of llama.gguf with one more key before the others, and a second one that fills up to whole blocks of 32 bytes.
add_key() { # NAME TYPE STRUCT-FORMAT VALUE
    /usr/bin/python3 - "$@" << 'END'
import struct, sys
name, kind, form, value = sys.argv[1].encode(), int(sys.argv[2]), sys.argv[3], eval(sys.argv[4])
data = open("llama.gguf", "rb").read()
version, tensors, keys = struct.unpack("<IQQ", data[4:24])
text = lambda t: struct.pack("<Q", len(t)) + t
added = text(name) + struct.pack("<I", kind) + struct.pack("<" + form, *value)
empty = len(added + text(b"fill") + struct.pack("<I", 8) + text(b""))
added += text(b"fill") + struct.pack("<I", 8) + text(b"x" * (-empty % 32))
open("bad.gguf", "wb").write(data[:4] + struct.pack("<IQQ", version, tensors, keys + 2) + added + data[24:])
END
}

@test "what a GGUF file says of its model" {
    local name kind form value message
    add_key llama.expert_count 4 I '(0,)'
    mf-import --quiet -t t.json -o good.tar bad.gguf
    while IFS='|' read -r name kind form value message; do
        add_key "$name" "$kind" "$form" "$value"
        refused "bad.gguf: $name $message" mf-import --quiet -t t.json -o out bad.gguf
    done << 'END'
llama.expert_count|6|f|(8.0,)|must be a whole number
llama.expert_count|8|Q1s|(1, b"8")|must be a whole number
llama.expert_count|9|IQII|(4, 2, 8, 8)|is a list, not one value
llama.expert_count|10|Q|(1 << 63,)|must be a whole number
llama.attention.sliding_window|6|f|(16.0,)|must be a whole number
llama.attention.sliding_window|9|IQI|(4, 1, 16)|is a list, not one value
llama.rope.scaling.type|9|IQQ4s|(8, 1, 4, b"yarn")|is a list, not one value
END
}
