# What the programs tell of themselves (help, manual pages, completion), and what make install puts where.
load helper

PROGRAMS=(mf-assemble mf-calibrate mf-cat mf-config mf-docs mf-eval mf-partition mf-time mf-tokenize mf-train-expert mf-train-shared)

# Once for all tests, since programs take a while to start: every program and every command of those that have some, one
# a line in `all`; their help pages in help/, their manual pages in man/, and a tree that make install filled in usr/.
setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    mkdir help man
    local program command
    for program in "${PROGRAMS[@]}"; do
        add_call "$program"
        while read -r command; do
            add_call "$program" "$command"
        done < <(sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' "help/$program")
    done
    case ${MF_BIN:-} in */sanitized/*) return ;; esac
    mf_make install "$PWD/usr"
}

add_call() { # PROGRAM [COMMAND]
    echo "$*" >> all
    "$@" --help > "help/$*"
    local name="$*"
    "$@" --help=man > "man/${name// /-}.1"
}

callables() {
    cat "$BATS_FILE_TMPDIR/all"
}

help_of() { # PROGRAM [COMMAND]
    cat "$BATS_FILE_TMPDIR/help/$*"
}

# Installs the programs under test below PREFIX=$1; further arguments go to make.
mf_make() { # TARGET PREFIX [VARIABLE=VALUE]...
    local build=${MF_BIN:-$MF_ROOT/build/bin}
    env -u MAKEFLAGS -u MAKELEVEL make -s -C "$MF_ROOT" B="${build%/bin}" PREFIX="$2" "${@:3}" "$1"
}

plain_only() {
    case ${MF_BIN:-} in */sanitized/*) skip "once is enough" ;; esac
}

@test "the list of programs here and on the pages is that of bin/" {
    assert_equal "$(printf '%s\n' "${PROGRAMS[@]}")" "$(cd "$MF_ROOT/bin" && printf '%s\n' mf-*.c | sed 's/\.c$//' | sort)"
    assert_equal "$(mf-cat --help=man | sed -n 's/^\.BR \([a-z\\-]*\) (1),*$/\1/p' | tr -d '\\' | sort)" \
        "$(printf '%s\n' "${PROGRAMS[@]}" | grep -v mf-cat)"
}

@test "every help page opens with its purpose and has usage, options, an example and the exit status" {
    [ "$(callables | wc -l)" -ge 25 ] # so that a list that was not found is no success
    while read -r call; do
        page=$(help_of $call)
        echo "$call"
        [[ $page == "$call - "* ]]
        [[ ${page/"[print]"/print} == *$'\n'"usage: $call"* ]]
        # columns fit a page
        ! grep -E '^.{121}' <<< "$page" || return 1
        [[ $page != *$'\ncommands:'* ]] || continue
        [[ $page == *$'\ncommon options:\n'* ]]
        [[ $page =~ $'\n'examples?:$'\n  ' ]]
        [[ $page == *$'\nexit status: 0'* ]]
    done < <(callables)
}

@test "manual pages have all sections and pass mandoc and man without a warning" {
    cp "$BATS_FILE_TMPDIR"/man/*.1 .
    run -0 mandoc -Tlint ./*.1
    assert_output ""
    for program in "${PROGRAMS[@]}"; do
        run -0 env LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -l -Tutf8 -Z "$program.1"
        refute_line --partial "warning"
    done
    for section in NAME SYNOPSIS DESCRIPTION '"COMMON OPTIONS"' '"EXIT STATUS"' EXAMPLES '"SEE ALSO"'; do
        assert_equal "$(grep -Lx "\.SH $section" ./*.1)" ""
    done
    # no line runs out of the page; whatis has something to say
    run grep -E '^.{81}' <(mandoc -Tascii ./*.1 | col -b)
    assert_failure 1
    assert_equal "$(lexgrog mf-eval.1 mf-cat.1 mf-eval-logits.1 | grep -c ': "mf-[a-z-]* - [a-z]')" 3
    # the same each time, with the version's date
    TZ=Pacific/Kiritimati mf-eval --help=man | cmp - mf-eval.1
    grep -q "^\.TH MF-EVAL 1 $(sed -n 's/^#define MF_DATE *"\([0-9-]*\)".*/\1/p' "$MF_ROOT/bin/cli/options.h") " mf-eval.1
}

# The long options that a program's or command's --help lists, one a line.
long_options() { # PROGRAM [COMMAND]
    help_of "$@" | sed '/^ *--version /q' | sed -nE 's/^ +(-., )?(--[a-z-]+).*/\2/p'
}

@test "a program's page has every option of every command" {
    while read -r call; do
        page=$(< "$BATS_FILE_TMPDIR/man/${call% *}.1")
        while read -r option; do
            [[ $page == *"\\fB${option//-/\\-}\\fR"* ]] || { echo "$call: no $option"; return 1; }
        done < <(long_options $call)
    done < <(callables)
}

@test "an unknown form of help and a full output are refused in one line" {
    run -64 --separate-stderr mf-cat --help=html
    assert_equal "$stderr" "mf-cat: option '--help' is one of man|bash, or alone, not 'html'"
    run -64 --separate-stderr mf-eval --help=html
    assert_equal "$stderr" "mf-eval: option '--help' is one of man|bash, or alone, not 'html'"
    run -64 --separate-stderr mf-cat --helper
    assert_equal "$stderr" "mf-cat: unknown option '--helper', did you mean '--help'?"
    run -64 --separate-stderr mf-eval routing --help=bash
    assert_equal "$stderr" "mf-eval routing: bash completes whole programs: mf-eval --help=bash"
    for form in man-command man-examples bash-command; do
        run -0 mf-cat --help=$form
        run -0 mf-eval routing --help=$form
    done
    for form in man bash; do
        for program in mf-cat mf-eval mf-config; do
            run -74 --separate-stderr bash -c "$program --help=$form > /dev/full"
            [ "${#stderr_lines[@]}" -eq 1 ]
            [[ $stderr == "$program"*": standard output: No space left on device" ]]
        done
    done
}

# What bash would offer for the last of the words, as it cuts them; one a line.
offers() { # PROGRAM WORD...
    local function=_${1##*/} COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    "${function//-/_}" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\n' "${COMPREPLY[@]}"
}

@test "bash completes commands, options, choices, files and keys" {
    for program in "${PROGRAMS[@]}"; do
        "$program" --help=bash > script
        bash -n script
        source ./script
        [[ $(complete -p "$program") == "complete -F _${program//-/_} $program" ]]
    done
    plain_only
    while read -r call; do
        long_options $call | sort > options
        [ -s options ] || continue # commands instead
        echo "$call"
        offers $call -- | grep -- '^--' | sort | diff options -
    done < <(callables)
    assert_equal "$(offers mf-eval '' | tr '\n' ' ')" "$(callables | sed -n 's/^mf-eval //p' | tr '\n' ' ')"
    assert_equal "$(offers mf-eval per)" perplexity
    assert_equal "$(offers mf-eval perplexity --stri)" --stride
    assert_equal "$(offers mf-eval --vers)" --version
    assert_equal "$(offers mf-docs --format '' | tr '\n' ' ')" "auto text jsonl wikitext "
    assert_equal "$(offers mf-docs --format = j)" jsonl
    touch 'a file' other
    mkdir 'a folder'
    assert_equal "$(offers mf-cat 'a fi')" 'a file'
    assert_equal "$(offers mf-cat -o oth)" other
    assert_equal "$(offers mf-partition -o a)" 'a folder'
    assert_equal "$(offers mf-docs --max-docs '')" ""
    assert_equal "$(offers mf-config stage train)" $'train-shared\ntrain-expert'
    assert_equal "$(offers mf-config memory '' | tr '\n' ' ')" "train-shared train-expert "
    # keys of the configuration, and the choices of one
    assert_equal "$(offers mf-eval routing --set model.top)" model.top_k=
    assert_equal "$(offers mf-eval routing --set '' | sed 's/=$//')" "$(mf-config keys | grep '^[a-z]')"
    assert_equal "$(offers mf-config --set = model.top)" model.top_k=
    assert_equal "$(offers mf-config get calibrate.nor)" calibrate.norms
    assert_equal "$(offers mf-assemble --set router.kind = p)" prefix
    assert_equal "$(offers mf-assemble --set router.kind = | tr '\n' ' ')" "hidden prefix "
    assert_equal "$(offers mf-assemble --set model.top_k = '')" ""
    assert_equal "$(offers mf-assemble --set 'x/e touch ran;/' = '')" "" # what was typed is no pattern
    [ ! -e ran ]
    assert_equal "$(offers mf-calibrate --set = calibrate.norms = f)" false
    # where words are not cut at '='
    local COMP_WORDBREAKS=' '
    assert_equal "$(offers mf-assemble --set=router.kind=p)" --set=router.kind=prefix
    assert_equal "$(offers mf-cat --output=oth)" --output=other
}

@test "in a real bash, tabs complete a program that was called by its path" {
    plain_only
    mf-assemble --help=bash > script
    cat > type.py <<'PY'
import fcntl, os, pty, select, struct, sys, termios, time
program, script = sys.argv[1:]
pid, fd = pty.fork()
if pid == 0:
    # wider than any path, or the shell breaks the line that is waited for
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 10000, 0, 0))
    os.environ.update(PS1="$ ", TERM="dumb")
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
out = b""
def read(until):
    global out
    end = time.monotonic() + 60
    while until not in out:
        if time.monotonic() > end:
            sys.exit("waited 60 s for %r in %r" % (until, out))
        if select.select([fd], [], [], 0.1)[0]:
            out += os.read(fd, 65536)
os.write(fd, b"source ./%s; echo rea'dy'\n" % script.encode())
read(b"ready\r\n$ ")  # with the prompt, tabs are bash's and no longer the terminal's
out = b""
os.write(fd, b"%s --set router.k\tpre\t--outp\t" % program.encode())
read(b"--output ")
sys.stdout.write(out.decode().replace("\x07", ""))
PY
    ln -s "$(dirname "$(command -v mf-assemble)")" bin # a path without blanks
    run -0 /usr/bin/python3 type.py bin/mf-assemble script
    assert_output --partial "mf-assemble --set router.kind=prefix --output "
}

@test "make install puts everything below PREFIX, and make uninstall removes it" {
    plain_only
    cp -a "$BATS_FILE_TMPDIR/usr" usr
    mf_make install /usr DESTDIR="$PWD/stage"
    diff <(cd usr && find . -type f ! -name libmf.pc | sort) <(cd stage/usr && find . -type f ! -name libmf.pc | sort)
    for program in "${PROGRAMS[@]}"; do
        usr/bin/$program --version
        usr/bin/$program --help=man | cmp - usr/share/man/man1/$program.1
        usr/bin/$program --help=bash | cmp - usr/share/bash-completion/completions/$program
    done
    man -M "$PWD/usr/share/man" mf-eval | grep -q 'measure models and generate text'
    grep -qx 'prefix=/usr' stage/usr/lib/pkgconfig/libmf.pc
    assert_equal "$(find usr -name '*internal*')" ""
    touch usr/bin/other usr/lib/other.a usr/include/other.h
    mf_make uninstall "$PWD/usr"
    mf_make uninstall /usr DESTDIR="$PWD/stage"
    assert_equal "$(find usr stage -type f | sort | tr '\n' ' ')" "usr/bin/other usr/include/other.h usr/lib/other.a "
    [ ! -e usr/include/mf ]
}

# A program outside the tree: encodes its argument and decodes it again.
outside() {
    cat <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __cplusplus
extern "C" {
#endif
#include "base/err.h"
#include "text/tokenizer.h"
#ifdef __cplusplus
}
#endif

static int fail(const char *program, const struct mf_err *err) {
    fprintf(stderr, "%s: %s\n", program, err->text);
    return err->status;
}

int main(int argc, char **argv) {
    struct mf_err err = {};
    struct mf_tokenizer *t = NULL;
    struct mf_encoder *e = NULL;
    struct mf_ids ids = {};
    struct mf_text text = {};
    if (argc != 3) return EX_USAGE;
    if (mf_tokenizer_load(&t, argv[1], &err) < 0) return fail(argv[0], &err);
    if (mf_encoder_new(&e, t, &err) < 0) return fail(argv[0], &err);
    if (mf_encode(e, argv[2], strlen(argv[2]), MF_SPECIAL_TEXT, &ids, &err) < 0) return fail(argv[0], &err);
    if (mf_decode(t, ids.ids, ids.count, &text, &err) < 0) return fail(argv[0], &err);
    for (size_t i = 0; i < ids.count; i++) printf("%s%u", i ? "," : "", (unsigned)ids.ids[i]);
    printf(" %.*s\n", (int)text.size, text.bytes);
    free(ids.ids);
    free(text.bytes);
    mf_encoder_free(e);
    mf_tokenizer_free(t);
    return 0;
}
C
}

@test "a program outside the tree finds libmf by pkg-config, in C and in C++" {
    plain_only
    export PKG_CONFIG_PATH=$BATS_FILE_TMPDIR/usr/lib/pkgconfig
    assert_equal "$(pkg-config --modversion libmf)" "$("$BATS_FILE_TMPDIR"/usr/bin/mf-cat --version | sed 's/.* //')"
    /usr/bin/python3 "$MF_ROOT/tests/words.py" words 20
    mf-docs --quiet words | mf-tokenize train --quiet --vocab-size 300 -o tokenizer.json
    text='text of words, ünd 3'
    expected=$(printf %s "$text" | mf-tokenize encode -t tokenizer.json --text | mf-cat |
        jq -r 'select(.tokens) | .tokens[1:-1] | join(",")')
    [ "$(tr -cd , <<< "$expected" | wc -c)" -gt 3 ]
    outside > outside.c
    cp outside.c outside.cc
    cc -o in_c outside.c $(pkg-config --cflags --libs libmf)
    c++ -o in_cc outside.cc $(pkg-config --cflags --libs libmf)
    for program in ./in_c ./in_cc; do
        run -0 $program tokenizer.json "$text"
        assert_output "$expected $text"
        run -66 --separate-stderr $program absent.json "$text"
        assert_equal "$stderr" "$program: absent.json: No such file or directory"
    done
}

@test "every installed header stands alone, in C11 and in C++" {
    plain_only
    export PKG_CONFIG_PATH=$BATS_FILE_TMPDIR/usr/lib/pkgconfig
    (cd "$BATS_FILE_TMPDIR/usr/include/mf" && printf '%s\n' */*.h) > headers
    [ "$(wc -l < headers)" -gt 50 ]
    flags=$(pkg-config --cflags libmf)
    # each alone in C; all together in C++
    while read -r header; do printf '#include "%s"\n' "$header" > "${header//\//_}.c"; done < headers
    cc -std=c11 -Wall -Wextra -Werror $flags -fsyntax-only ./*.c
    sed 's/.*/#include "&"/; 1s/^/extern "C" {\n/; $s/$/\n}/' headers > all.cc
    c++ -Wall -Wextra -Werror $flags -fsyntax-only all.cc
}
