#!/bin/bash
# Makes the demonstration corpus from text that Debian packages ship: one folder per domain, one document per file.
#
#   pipelines/corpus.sh OUTDIR BYTES_PER_DOMAIN [DOMAIN...]
#
# Domains and their documents:
#   scripture   bible-kjv        the chapters of the King James Bible
#   kernel      linux-doc-6.1    the sources of the kernel's documentation, without its translations
#   python      python3.11-doc   the sources of Python's documentation
#   perl        perl-doc         Perl's own manual, as pod
#   dictionary  dict-gcide       pages of about 2 KB of whole articles of the Collaborative Dictionary of English
# A long file is cut at its headings. Which documents are taken follows from the hash of their names, so they are
# spread over the whole package, and the same packages give the same bytes. A folder in OUTDIR that is not one of
# these domains is left alone. The table on standard output says what was made.
#
# CORPUS_ROOT is put before the path of every file of a package (default none). With CORPUS_FETCH=DIR the text of a package
# whose files are not there is fetched into DIR/PACKAGE, without installing it or what it depends on; nobody has to be root.
set -euo pipefail
export LC_ALL=C
unset COLUMNS # the width of the scripture's lines must not follow the terminal

here=$(cd "$(dirname "$0")" && pwd)
root=${CORPUS_ROOT:-}
fetched=${CORPUS_FETCH:-}
all="scripture kernel python perl dictionary"

fail() {
    printf 'corpus.sh: %s\n' "$2" >&2
    exit "$1"
}

package() {
    case $1 in
    scripture) echo bible-kjv ;;
    kernel) echo linux-doc-6.1 ;;
    python) echo python3.11-doc ;;
    perl) echo perl-doc ;;
    dictionary) echo dict-gcide ;;
    *) return 1 ;;
    esac
}

# The file or folder a domain is read from, below a root.
place() { # ROOT DOMAIN
    local path
    case $2 in
    scripture) set -- "$1"/usr/bin/bible ;;
    kernel) set -- "$1"/usr/share/doc/linux-doc-6.1/html/_sources/admin-guide ;;
    python) set -- "$1"/usr/share/doc/python3.11/html/_sources/library ;;
    perl) set -- "$1"/usr/share/perl/5.*.*/pod/perlfunc.pod ;;
    dictionary) set -- "$1"/usr/share/dictd/gcide.dict.dz ;;
    esac
    for path; do
        [ ! -e "$path" ] || echo "$path"
    done | tail -n 1
}

# The same for a package that is installed or was fetched; empty when it is not there.
source_of() { # DOMAIN
    local path
    path=$(place "$root" "$1")
    if [ -z "$path" ] && [ -n "$fetched" ]; then path=$(place "$fetched/$(package "$1")" "$1"); fi
    echo "$path"
}

# Perl's own modules have some of its manual: they are there, since this needs perl.
add_modules() { # FOLDER of perl-doc
    local folder
    folder=/usr/share/perl/$(basename "$1"/usr/share/perl/5.*.*)
    [ ! -d "$folder" ] || (cd / && find ".$folder" -name '*.pod' -print0 | tar -c --null -T -) | tar -x --skip-old-files -C "$1"
}

# Takes the text out of a domain's package; a package that has programs to run, not text alone, has to be installed.
fetch() { # DOMAIN
    local name files into
    name=$(package "$1")
    case $1 in
    kernel | python) files='./usr/share/doc/*/_sources/*' ;;
    perl) files='./usr/share/perl/*' ;;
    dictionary) files='./usr/share/dictd/*' ;;
    *) return 1 ;;
    esac
    mkdir -p "$fetched" && into=$(mktemp -d "$fetched/.$name.XXXXXX") || return 1
    echo "corpus.sh: fetching the text of $name" >&2
    if (cd "$into" && apt-get -o APT::Sandbox::User=root download -qq "$name" && dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards "$files" && rm ./*.deb) >&2 &&
        { [ "$1" != perl ] || add_modules "$into"; } && mv -T "$into" "$fetched/$name"; then
        return
    fi
    rm -rf "$into"
    [ -d "$fetched/$name" ] # by another that fetched it meanwhile
}

# The folder whose files are the documents' names.
base_of() {
    case $1 in
    */pod/perlfunc.pod) echo "${1%/pod/*}" ;;
    *) echo "${1%/*}" ;;
    esac
}

[ $# -ge 2 ] || fail 64 "usage: pipelines/corpus.sh OUTDIR BYTES_PER_DOMAIN [DOMAIN...]"
out=$1
bytes=$2
shift 2
[[ $bytes =~ ^[1-9][0-9]{0,11}$ ]] || fail 64 "BYTES_PER_DOMAIN must be a positive number, not '$bytes'"
[ $# -gt 0 ] || eval "set -- $all"

# Everything is looked for first, so that one message names all that is missing.
absent='' stripped=''
for domain; do
    name=$(package "$domain") || fail 64 "unknown domain '$domain' (one of: $all)"
    if [ -z "$(source_of "$domain")" ] && { [ -z "$fetched" ] || ! fetch "$domain"; }; then
        if dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -q '^installed'; then
            stripped+=" $name"
        else
            absent+=" $name"
        fi
    fi
done
[ -z "$absent" ] || fail 66 "not installed:$absent; run 'make deps', or as root: apt-get install -y$absent"
if [ -n "$stripped" ]; then
    where=$(grep -ls '^path-exclude' "$root"/etc/dpkg/dpkg.cfg.d/* "$root"/etc/dpkg/dpkg.cfg | paste -sd' ' || true)
    fail 66 "installed without their files:$stripped; this system drops documentation at install: remove the\
 path-exclude lines in ${where:-/etc/dpkg/dpkg.cfg.d}, then as root: apt-get install -y --reinstall$stripped"
fi

mkdir -p "$out" || fail 73 "cannot make $out"
work=$(mktemp -d "$out/.corpus.XXXXXX") || fail 73 "cannot write into $out"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

printf '# %s bytes per domain\n' "$bytes"
for domain; do
    path=$(source_of "$domain")
    mkdir "$work/$domain"
    case $domain in
    scripture) "$path" 'Gen1:1-Rev22:21' ;;
    dictionary) gzip -dc < "$path" ;;
    *) (cd "$(base_of "$path")" && find -L . -type f \( -name '*.rst.txt*' -o -name '*.pod' \) -not -path './translations/*') ;;
    esac | perl "$here/corpus.pl" "$domain" "$bytes" "$work/$domain" "$(base_of "$path")"
    rm -rf "$work/old"
    [ ! -e "$out/$domain" ] || mv "$out/$domain" "$work/old"
    mv "$work/$domain" "$out/$domain"
done
