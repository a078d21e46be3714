# Completion of all programs for bash, with bash-completion. What there is to complete is read from `PROGRAM [COMMAND] --help`.
declare -F _init_completion > /dev/null || return 0

_modularforge() {
    local cur prev words cword split program help commands line options=() kind='' lead=''
    _init_completion -s || return
    # a path as it was typed, with quotes or a tilde; nothing that would run a command
    [[ $1 != *[\$\`\(]* ]] && program=$(dequote "$1") && help=$("$program" --help 2> /dev/null) || return 0
    commands=$(sed -n '/^Commands:/,/^$/s/^  \([[:lower:]]*\) .*/\1/p' <<< "$help")
    if [[ $commands && ${words[1]} != -* ]] && ((cword > 1)); then
        help=$("$program" "${words[1]}" --help 2> /dev/null) || return 0
        commands=''
    fi
    while IFS= read -r line; do
        [[ $line =~ ^' '+((-[[:alpha:]])', ')?(--[[:lower:]-]+)(' '([^ ]+))?('  '|$) ]] || continue
        options+=("${BASH_REMATCH[@]:2:2}")
        [[ $prev == "${BASH_REMATCH[2]:---}" || $prev == "${BASH_REMATCH[3]}" ]] && kind=${BASH_REMATCH[5]}
    done <<< "${help%%$'\nExit status:'*}"
    [[ $COMP_WORDBREAKS != *=* ]] && $split && lead=$prev=
    if [[ $kind ]] || $split; then
        _modularforge_value "$kind"
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${options[*]}" -- "$cur")
    elif [[ $commands ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
    else
        _modularforge_operand "${help#*Usage: }"
    fi
    COMPREPLY=("${COMPREPLY[@]/#/$lead}")
}

# The first operand in a help page from the usage on; all that it does not know is a file.
_modularforge_operand() {
    local usage=${1%%$'\n\n'*}
    usage=${usage//'[OPTION]...'/}
    while [[ $usage =~ -[[:lower:]]' '[[:upper:]]+ ]]; do usage=${usage/"${BASH_REMATCH[0]}"/}; done
    if [[ $usage =~ [[:lower:]-]+('|'[[:lower:]-]+)+ || $usage =~ DIR|SECTION.KEY ]]; then
        _modularforge_value "${BASH_REMATCH[0]}"
    elif [[ $usage == *[[:upper:]]* ]]; then
        _modularforge_value FILE
    fi
}

# A value by what --help calls it: text, sizes and numbers are for people.
_modularforge_value() {
    case $1 in
    FILE) _filedir ;;
    DIR) _filedir -d ;;
    *'|'*) mapfile -t COMPREPLY < <(compgen -W "${1//|/ }" -- "$cur") ;;
    KEY=VALUE | SECTION.KEY) _modularforge_key "$1" ;;
    esac
}

# A key of the configuration, or behind it and '=' a choice of its values, by the mf-config beside the program.
_modularforge_key() {
    local keys key choices=''
    keys=$("${program%mf-*}mf-config" keys 2> /dev/null)
    if [[ $cur == *=* ]]; then
        [[ $COMP_WORDBREAKS != *=* ]] && lead+=${cur%%=*}=
        key=$(grep -FxA 2 -- "${cur%%=*}" <<< "$keys")
        [[ $key =~ ' default '[^$'\n']*'; '([[:lower:]_]+('|'[[:lower:]_]+)+)';' ]] && choices=${BASH_REMATCH[1]}
        mapfile -t COMPREPLY < <(compgen -W "${choices//|/ }" -- "${cur#*=}")
    else
        mapfile -t COMPREPLY < <(compgen -W "$(grep '^[[:lower:]]' <<< "$keys")" -- "$cur")
        [[ $1 == SECTION.KEY ]] && return
        COMPREPLY=("${COMPREPLY[@]/%/=}")
        compopt -o nospace 2> /dev/null
    fi
}

complete -F _modularforge mf-{assemble,calibrate,cat,config,docs,eval,export,import,partition,time,tokenize,train-expert,train-shared}
