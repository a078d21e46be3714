# The demonstration corpus: what the script makes, that it makes it again alike, and what it says when text is missing.
load ../helper

corpus() {
    "$MF_ROOT/pipelines/corpus.sh" "$@"
}

@test "corpus has five domains of many documents within the size asked for" {
    run --separate-stderr corpus out 60000
    [ "$status" -eq 0 ]
    [ "$stderr" = "" ]
    for domain in scripture kernel python perl dictionary; do
        [ "$(ls out/$domain | wc -l)" -ge 10 ]
        bytes=$(cat out/$domain/* | wc -c)
        [ "$bytes" -le 60000 ]
        [ "$bytes" -ge 50000 ]
        # no document is tiny, and none is most of its domain
        [ -z "$(find out/$domain -size -500c)" ]
        [ -z "$(find out/$domain -type f -size +8)" ]
        cat out/$domain/* | iconv -f utf-8 -t utf-8 > utf8
    done
    [ "$(ls -A out | wc -l)" -eq 5 ]
}

@test "corpus is the same bytes again, whatever the terminal and the locale" {
    corpus one 60000 scripture dictionary
    COLUMNS=30 LANG=C.UTF-8 corpus two 60000 scripture dictionary
    run diff -r one two
    [ "$status" -eq 0 ]
}

@test "corpus replaces its own domains and leaves a user's folder alone" {
    mkdir -p out/mine out/scripture
    echo mine > out/mine/a.txt
    echo stale > out/scripture/stale.txt
    corpus out 60000 scripture
    [ "$(cat out/mine/a.txt)" = mine ]
    [ ! -e out/scripture/stale.txt ]
    [ -e out/scripture ]
}

@test "corpus documents are spread over the whole package" {
    corpus out 200000 scripture dictionary
    # books of both testaments; pages of the first and the last tenth of the dictionary
    [ -n "$(find out/scripture -name 'genesis-*' -o -name 'exodus-*')" ]
    [ -n "$(find out/scripture -name 'matthew-*' -o -name 'romans-*' -o -name 'revelation-*')" ]
    [ -n "$(find out/dictionary -name 'page-00*' -o -name 'page-01*')" ]
    [ -n "$(find out/dictionary -name 'page-14*' -o -name 'page-15*')" ]
}

@test "corpus says what to do when a package's files were dropped at install" {
    mkdir -p root/etc/dpkg/dpkg.cfg.d
    echo 'path-exclude /usr/share/doc/*' > root/etc/dpkg/dpkg.cfg.d/docker
    # dpkg-query says that all is installed
    mkdir path
    printf '#!/bin/sh\nprintf installed\n' > path/dpkg-query
    chmod +x path/dpkg-query
    CORPUS_FETCH="" PATH=$PWD/path:$PATH CORPUS_ROOT=$PWD/root run --separate-stderr corpus out 60000 kernel python
    [ "$status" -eq 66 ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ "$stderr" == "corpus.sh: installed without their files: linux-doc-6.1 python3.11-doc; "* ]]
    [[ "$stderr" == *"path-exclude lines in $PWD/root/etc/dpkg/dpkg.cfg.d/docker"* ]]
    [[ "$stderr" == *"apt-get install -y --reinstall linux-doc-6.1 python3.11-doc" ]]
    [ ! -e out ]
}

@test "corpus names the packages that are not installed" {
    mkdir path
    printf '#!/bin/sh\nexit 1\n' > path/dpkg-query
    chmod +x path/dpkg-query
    CORPUS_FETCH="" PATH=$PWD/path:$PATH CORPUS_ROOT=$PWD/none run --separate-stderr corpus out 60000 perl dictionary
    [ "$status" -eq 66 ]
    [ "$stderr" = "corpus.sh: not installed: perl-doc dict-gcide; run 'make deps', or as root: apt-get install -y perl-doc dict-gcide" ]
}

@test "corpus refuses a bad size and an unknown domain" {
    run --separate-stderr corpus out none
    [ "$status" -eq 64 ]
    run --separate-stderr corpus out 60000 poetry
    [ "$status" -eq 64 ]
    [[ "$stderr" == *"unknown domain 'poetry'"* ]]
    run --separate-stderr corpus out 100 scripture
    [ "$status" -ne 0 ]
    [[ "$stderr" == *"no scripture document fits into 100 bytes"* ]]
    [ ! -e out/scripture ]
    [ -z "$(ls -A out)" ]
}
