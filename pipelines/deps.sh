#!/bin/bash
# Installs the Debian packages named as arguments that are missing. Does nothing, quickly, when all are there.
# PACKAGE/COMMAND is wanted only where COMMAND is not there by other means.
set -euo pipefail
wanted=()
for name; do
    case $name in
    */*) command -v "${name#*/}" >/dev/null || wanted+=("${name%/*}") ;;
    *) wanted+=("$name") ;;
    esac
done
set -- "${wanted[@]}"
missing=$(comm -23 <(printf '%s\n' "$@" | sort -u) \
    <(dpkg-query -W -f '${Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^install ok installed //p' | sort -u))
[ -n "$missing" ] || exit 0
read -ra names <<<"${missing//$'\n'/ }"
# Another program at work with the packages (a nightly upgrade) is waited for, and so is another of these; for the lists
# apt-get itself would not wait.
exec 3< "$0"
flock 3
command=(apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${names[@]}")
# What apt-get would do, in its words: "12 newly installed", "34.5 MB of archives", "120 MB of additional disk space".
announce() {
    local plan
    plan=$(LC_ALL=C apt-get install --assume-no --no-install-recommends "${names[@]}" 2> /dev/null |
        sed -n 's/^.* \([0-9]* newly installed\).*/\1/p; s/^Need to get \(.* of archives\).*/\1/p; s/^After this operation, \(.*\) will be used.*/\1/p' |
        paste -sd, | sed 's/,/, /g') || true # it says no
    echo "installing ${names[*]}${plan:+ ($plan)}" >&2
}
update() { # COMMAND...
    local tries=12
    until "$@" apt-get update -qq; do
        [ $((tries -= 1)) -gt 0 ] || return
        sleep 5
    done
}
if [ "$(id -u)" -eq 0 ]; then
    update
    announce
    DEBIAN_FRONTEND=noninteractive "${command[@]}" >&2
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    update sudo
    announce
    sudo DEBIAN_FRONTEND=noninteractive "${command[@]}" >&2
else
    echo "packages are missing; as root, run: ${command[*]}" >&2
    exit 1
fi
