#!/bin/bash
# Writes the manual pages of a program and of its commands to a folder: what help2man makes of --help.
# usage: pipelines/manual.sh PROGRAM FOLDER
set -euo pipefail
export LC_ALL=C.UTF-8 # headings in capitals are the same everywhere
program=$1 folder=$2
bin=$(dirname "$0")/../bin
read -r _ version < <("$program" --version)
date=$(sed -n 's/^#define MF_DATE *"\(.*\)".*/\1/p' "$bin/cli/options.h")

# What help2man shall see: the purpose is in NAME; an example that is not explained is a line behind a prompt.
before='1d
/^Examples:/,$ {
    :join
    /\\$/ { N; s/ *\\\n */ /; b join; }
    /[^ ]   /!s/^  /  $ /
}'

# What it does not make: the version's date, further sections, examples as they stand, characters to copy.
after='s/^[.]SS "\(Common options\|Exit status\):"/.SH "\U\1"/
s/^[.]SH EXAMPLES/&\n.nh\n.ad l/
/^\\f(CW/s/-/\\-/g
/^[.]/! {
    s/\x27/\\(aq/g
    s/`/\\(ga/g
    s/\^/\\(ha/g
    s/~/\\(ti/g
    s/ [.]/ \\\&./g
}'

commands_of() { # HELP
    sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' <<< "$1"
}

# All programs, and the pages of this one's commands.
see_also() { # NAME HELP
    local others=("$bin"/mf-*.c) command
    others=("${others[@]##*/}")
    for command in $(commands_of "$2"); do others+=("$1-$command"); done
    echo '[see also]'
    printf '%s\n' "${others[@]%.c}" | grep -vFx -- "$1" | LC_ALL=C sort | sed 's/-/\\-/g; s/.*/.BR & (1),/; $s/,$//'
}

page() { # [COMMAND]
    local name=${program##*/}${1:+-$1} help
    help=$("$program" ${1:+"$1"} --help)
    local purpose=${help%%$'\n'*}
    sed "$before" <<< "$help" |
        help2man --no-info --help-option=- --version-string="$name $version" --name="${purpose#* - }" \
            --manual=ModularForge --include=<(see_also "$name" "$help") cat |
        sed -e "/^[.]TH/s/ \"1\" \"[^\"]*\"/ 1 $date/" -e "$after" | fold -s -w 79 | sed 's/ $//' > "$folder/$name.1"
}

for command in $(commands_of "$("$program" --help)") ''; do page "$command"; done
