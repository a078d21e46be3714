# What the programs tell of themselves (help, manual pages, completion), and what make install puts where.
load ../helper

PROGRAMS=(mf-assemble mf-calibrate mf-cat mf-config mf-docs mf-eval mf-export mf-import mf-partition mf-time mf-tokenize mf-train-expert mf-train-shared)

# Once for all tests, since programs take a while to start: every program and every command of those that have some, one
# a line in `all`; their help pages in help/, and a tree that make install filled in usr/.
setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    mkdir help
    local program command
    for program in "${PROGRAMS[@]}"; do
        add_call "$program"
        while read -r command; do
            add_call "$program" "$command"
        done < <(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' "help/$program")
    done
    case ${MF_BIN:-} in */sanitized/*) return ;; esac
    mf_make install "$PWD/usr"
}

add_call() { # PROGRAM [COMMAND]
    echo "$*" >> all
    "$@" --help > "help/$*"
}

callables() {
    cat "$BATS_FILE_TMPDIR/all"
}

help_of() { # PROGRAM [COMMAND]
    cat "$BATS_FILE_TMPDIR/help/$*"
}

# Links the installed manual pages to here.
link_pages() {
    ln -s "$BATS_FILE_TMPDIR"/usr/share/man/man1/*.1 .
}

# Installs the programs under test below PREFIX=$1; further arguments go to make.
mf_make() { # TARGET PREFIX [VARIABLE=VALUE]...
    local build=${MF_BIN:-$MF_ROOT/build/bin}
    env -u MAKEFLAGS -u MAKELEVEL make -s -C "$MF_ROOT" B="${build%/bin}" PREFIX="$2" "${@:3}" "$1"
}

plain_only() {
    case ${MF_BIN:-} in */sanitized/*) skip "once is enough" ;; esac
}

@test "the list of programs here and for completion is that of bin/" {
    assert_equal "$(printf '%s\n' "${PROGRAMS[@]}")" "$(cd "$MF_ROOT/bin" && printf '%s\n' mf-*.c | sed 's/\.c$//' | sort)"
    load_completion
    assert_equal "$(complete -p | grep mf- | sort)" "$(printf 'complete -F _modularforge %s\n' "${PROGRAMS[@]}")"
}

@test "every help page opens with its purpose and has usage, options, the exit status and an example" {
    [ "$(callables | wc -l)" -ge 25 ] # so that a list that was not found is no success
    while read -r call; do
        page=$(help_of $call)
        echo "$call"
        [[ $page == "$call - "* ]]
        [[ ${page/"[print]"/print} == *$'\n'"Usage: $call"* ]]
        [[ $page == *$'\nCommon options:\n'* ]]
        # columns fit a page
        ! grep -E '^.{121}' <<< "$page" || return 1
        [[ $page != *$'\nCommands:'* ]] || continue
        [[ $page == *$'\nExit status:\n  0'*$'\nExamples:\n  '* ]]
    done < <(callables)
}

@test "manual pages have all sections and pass mandoc and man without a warning" {
    plain_only
    link_pages
    run -0 mandoc -Tlint ./*.1
    assert_output ""
    for page in *.1; do
        run -0 --separate-stderr env LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -l -Tutf8 -Z "$page"
        assert_equal "$stderr" "" # where it warns
    done
    for section in NAME SYNOPSIS DESCRIPTION '"COMMON OPTIONS"' '"SEE ALSO"'; do
        assert_equal "$(grep -Lx "\.SH $section" ./*.1)" ""
    done
    # a program with commands has these on its commands' pages
    for section in '"EXIT STATUS"' EXAMPLES; do
        assert_equal "$(grep -Lx "\.SH $section" ./*.1)" "$(grep -l '^\.SS "Commands:"' ./*.1)"
    done
    # all are said to belong together
    assert_equal "$(sed -n 's/^\.BR \([a-z\-]*\) (1),*$/\1/p' mf-eval-page.1 | tr -d '\\')" "$(printf '%s\n' "${PROGRAMS[@]}")"
    assert_equal "$(grep -c '^\.BR mf.-config.-[a-z]* (1),$' mf-config.1)" 8
    # no line runs out of the page; whatis has something to say; examples can be copied
    run grep -E '^.{81}' <(mandoc -Tascii ./*.1 | col -b)
    assert_failure 1
    assert_equal "$(lexgrog ./*.1 | grep -c ': "mf-[a-z-]* - [a-z]')" "$(callables | wc -l)"
    sed -n '/^.SH EXAMPLES/,/^.SH "SEE/p' ./*.1 | grep -v '^[.]' > examples
    [ "$(wc -l < examples)" -gt 30 ]
    run grep "^-\|[^\\]-\|['\`~^]" examples
    assert_failure 1
    # the same each time, with the version's date
    mkdir again
    TZ=Pacific/Kiritimati "$MF_ROOT/pipelines/manual.sh" "$(command -v mf-tokenize)" "$BATS_TEST_TMPDIR/again"
    for page in again/*; do cmp "$page" "${page#*/}"; done
    grep -q "^\.TH MF-TOKENIZE 1 $(sed -n 's/^#define MF_DATE *"\([0-9-]*\)".*/\1/p' "$MF_ROOT/bin/cli/options.h") " mf-tokenize.1
}

# The long options that a program's or command's --help lists, one a line.
long_options() { # PROGRAM [COMMAND]
    help_of "$@" | sed '/^ *--version /q' | sed -nE 's/^ +(-., )?(--[a-z-]+).*/\2/p'
}

@test "each program and command has a page with every option" {
    plain_only
    link_pages
    while read -r call; do
        page=$(< "${call// /-}.1")
        while read -r option; do
            [[ $page == *"\\fB${option//-/\\-}\\fR"* ]] || { echo "$call: no $option"; return 1; }
        done < <(long_options $call)
    done < <(callables)
}

@test "an unknown form of help and a full output are refused in one line" {
    run -64 --separate-stderr mf-cat --help=html
    assert_equal "$stderr" "mf-cat: option '--help' takes no value"
    run -64 --separate-stderr mf-cat --helper
    assert_equal "$stderr" "mf-cat: unknown option '--helper', did you mean '--help'?"
    run -64 --separate-stderr mf-tokenize --help=html
    assert_equal "$stderr" "mf-tokenize: unknown command '--help=html'; there is train, encode, decode"
    for program in mf-cat mf-eval mf-config; do
        run -74 --separate-stderr bash -c "$program --help > /dev/full"
        [ "${#stderr_lines[@]}" -eq 1 ]
        [[ $stderr == "$program: standard output: No space left on device" ]]
    done
}

load_completion() {
    # some of its commands fail, and it may
    source /usr/share/bash-completion/bash_completion || true
    source "$MF_ROOT/bin/cli/mf.bash"
}

# What bash would offer for the last of the words, as it cuts them at blanks and '='; one a line.
offers() { # PROGRAM WORD...
    local COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$* " COMPREPLY=()
    COMP_LINE=${COMP_LINE// = /=}
    [[ ${*: -1} == '=' ]] || COMP_LINE=${COMP_LINE% }
    local COMP_POINT=${#COMP_LINE}
    _modularforge "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\n' "${COMPREPLY[@]}"
}

@test "bash completes commands, options, choices, files and keys" {
    plain_only
    load_completion
    while read -r call; do
        long_options $call | sort > options
        [ -s options ]
        echo "$call"
        offers $call -- | grep -- '^--' | sort | diff options -
    done < <(callables)
    assert_equal "$(offers mf-eval '' | tr '\n' ' ')" "$(callables | sed -n 's/^mf-eval //p' | tr '\n' ' ')"
    assert_equal "$(offers mf-eval per)" perplexity
    assert_equal "$(offers mf-eval perplexity --stri)" --stride
    assert_equal "$(offers mf-eval --vers)" --version
    assert_equal "$(offers mf-docs --format '' | tr '\n' ' ')" "auto text jsonl wikitext "
    assert_equal "$(offers mf-docs --format = j)" jsonl
    touch other
    mkdir 'a folder'
    assert_equal "$(offers mf-cat oth)" other
    assert_equal "$(offers mf-cat -o oth)" other
    assert_equal "$(offers mf-partition -o a)" 'a folder'
    assert_equal "$(offers mf-docs --max-docs '')" ""
    assert_equal "$(offers mf-docs --quiet = '')" ""
    assert_equal "$(offers mf-config stage train)" $'train-shared\ntrain-expert'
    assert_equal "$(offers mf-config memory '' | tr '\n' ' ')" "train-shared train-expert "
    assert_equal "$(offers mf-config keys '')" ""
    assert_equal "$(offers mf-config slices a)" 'a folder'
    # keys of the configuration, and the choices of one
    assert_equal "$(offers mf-eval routing --set model.top)" model.top_k=
    assert_equal "$(offers mf-eval routing --set '' | sed 's/=$//')" "$(mf-config keys | grep '^[a-z]')"
    assert_equal "$(offers mf-config --set = model.top)" model.top_k=
    assert_equal "$(offers mf-config get calibrate.nor)" calibrate.norms
    assert_equal "$(offers mf-assemble --set router.kind = p)" prefix
    assert_equal "$(offers mf-assemble --set router.kind = | tr '\n' ' ')" "hidden prefix "
    assert_equal "$(offers mf-assemble --set model.top_k = '')" ""
    assert_equal "$(offers mf-assemble --set 'x/e touch ran;/' = '')" "" # what was typed is no pattern
    assert_equal "$(offers 'mf-assemble$(touch ran)' --set router.k)" "" # and is not run
    [ ! -e ran ]
    assert_equal "$(offers mf-calibrate --set = calibrate.norms = f)" false
    # where words are not cut at '='
    local COMP_WORDBREAKS=' '
    assert_equal "$(offers mf-assemble --set=router.kind=p)" --set=router.kind=prefix
    assert_equal "$(offers mf-cat --output=oth)" --output=other
}

@test "in a real bash, tabs complete a program that was called by its path" {
    plain_only
    cat > type.py <<'PY'
import fcntl, os, pty, select, struct, sys, termios, time
program, installed = sys.argv[1:]
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
os.write(fd, b"source %s/bash_completion; source '%s'; echo rea'dy'\n" % (b"/usr/share/bash-completion", installed.encode()))
read(b"ready\r\n$ ")  # with the prompt, tabs are bash's and no longer the terminal's
out = b""
os.write(fd, b"%s --set router.k\tpre\ta\\ fi\t--outp\t" % program.encode())
read(b"--output ")
sys.stdout.write(out.decode().replace("\x07", ""))
PY
    ln -s "$(dirname "$(command -v mf-assemble)")" 'my bin'
    touch 'a file'
    run -0 /usr/bin/python3 type.py 'my\ bin/mf-assemble' "$BATS_FILE_TMPDIR/usr/share/bash-completion/completions/mf-assemble"
    assert_output --partial "mf-assemble --set router.kind=prefix a\\ file --output "
}

@test "make install puts everything below PREFIX, and make uninstall removes it" {
    plain_only
    cp -a "$BATS_FILE_TMPDIR/usr" usr
    mf_make install /usr DESTDIR="$PWD/stage"
    diff <(cd usr && find . -type f ! -name libmf.pc | sort) <(cd stage/usr && find . -type f ! -name libmf.pc | sort)
    for program in "${PROGRAMS[@]}"; do
        usr/bin/$program --version
        cmp "$MF_ROOT/bin/cli/mf.bash" usr/share/bash-completion/completions/$program
    done
    assert_equal "$(ls usr/share/man/man1)" "$(callables | sed 's/ /-/; s/$/.1/' | LC_ALL=C sort)"
    man -M "$PWD/usr/share/man" mf-eval perplexity | grep -q 'how well a model predicts documents'
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
    # pkg-config quotes blanks in its prefix
    eval "cc -o in_c outside.c $(pkg-config --cflags --libs libmf)"
    eval "c++ -o in_cc outside.cc $(pkg-config --cflags --libs libmf)"
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
    eval "cc -std=c11 -Wall -Wextra -Werror $flags -fsyntax-only ./*.c"
    sed 's/.*/#include "&"/; 1s/^/extern "C" {\n/; $s/$/\n}/' headers > all.cc
    eval "c++ -Wall -Wextra -Werror $flags -fsyntax-only all.cc"
}
