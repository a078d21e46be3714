#!/bin/bash
# Measures assembly and calibration at the default size: assemble.sh BUILD THREADS
#
# The time to join a shared bundle and its experts, over that of `cat` of as many bytes into a file that is synced, the two in
# turn, the best of three. Then the peaks of resident memory, which must not grow with the number of experts: 16 MB for
# assembly, 100 MB for calibration.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh" "$1"
threads=$2
config=$here/configs/default.yaml
value() { mf-config get "$1" --config "$config"; }
V=$(value tokenizer.vocab_size) S=$(value model.context)
common=(--quiet --config "$config" --threads "$threads")

# One expert of a step, under as many numbers as are wanted: only the manifest differs.
mapfile -t documents < <(for i in $(seq 8); do echo "d$i=$S"; done)
/usr/bin/python3 "$here/tests/oracle/random_model.py" tokens --V "$V" -o tokens.mf "${documents[@]}"
mf-train-shared "${common[@]}" --set train_shared.steps=1 --set train_shared.warmup=1 --set train_shared.batch=1 -o shared.tar tokens.mf
mf-train-expert "${common[@]}" --set train_expert.steps=1 --set train_expert.warmup=1 --set train_expert.batch=1 -s shared.tar -p 0 -o expert.0.tar tokens.mf
/usr/bin/python3 - 64 << 'END'
import io, json, sys, tarfile
for e in range(1, int(sys.argv[1])):
    source = tarfile.open("expert.0.tar")
    with tarfile.open("expert.%d.tar" % e, "w", format=tarfile.PAX_FORMAT) as out:
        for member in source:
            data = source.extractfile(member).read()
            if member.name == "manifest.json":
                manifest = json.loads(data)
                manifest["partition"] = e
                data = json.dumps(manifest).encode()
                member.size = len(data)
            out.addfile(member, io.BytesIO(data))
END
experts() { seq -f 'expert.%g.tar' 0 $(($1 - 1)); }
join() { # E
    local pieces
    mapfile -t pieces < <(experts "$1")
    mf-assemble "${common[@]}" --set "model.n_experts=$1" -o model.safetensors shared.tar "${pieces[@]}"
}
copy() {
    cat like > copied
    sync copied
}
echo "assembly, default.yaml"
printf '%-10s %8s %10s %10s %8s\n' experts MB "ours s" "cat s" ratio
for E in 5 16; do
    join "$E"
    cp model.safetensors like
    ours='' theirs=''
    for _ in 1 2 3; do
        rm -f model.safetensors copied
        ours+="$(seconds join "$E") " theirs+="$(seconds copy) "
    done
    awk -v E="$E" -v bytes="$(stat -c %s like)" -v ours="$ours" -v theirs="$theirs" 'BEGIN {
        n = split(ours, a); split(theirs, b); x = a[1]; y = b[1]
        for (i = 2; i <= n; i++) { if (a[i] < x) x = a[i]; if (b[i] < y) y = b[i] }
        printf "%-10d %8.0f %10.2f %10.2f %7.2fx\n", E, bytes / 1e6, x, y, x / y }'
done
rm -f like copied
over=''
row() { # NAME BOUND COMMAND...
    local mb
    mb=$(peak_mb "${@:3}")
    printf '%-34s %4d MB\n' "$1" "$mb"
    [ "$mb" -lt "$2" ] || over="$1 took $mb MB, not under $2 MB"
}
for E in 2 64; do
    mapfile -t pieces < <(experts "$E")
    row "assembly, $E experts" 16 mf-assemble "${common[@]}" --set "model.n_experts=$E" -o model.safetensors shared.tar "${pieces[@]}"
    row "calibration, $E experts" 100 mf-calibrate "${common[@]}" -m model.safetensors -o calibrated.safetensors tokens.mf
    row "calibration by training, $E experts" 100 mf-calibrate "${common[@]}" --set calibrate.router=train --set calibrate.steps=2 \
        --set calibrate.norms=false -m model.safetensors -o calibrated.safetensors tokens.mf
    rm -f calibrated.safetensors
done
[ -z "$over" ] || { echo "$over" >&2; exit 1; }
