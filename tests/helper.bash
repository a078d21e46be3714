# Common to all end-to-end tests: the programs just built come first on PATH, and each test works in its own folder.
load /usr/lib/bats/bats-support/load
load /usr/lib/bats/bats-assert/load
bats_require_minimum_version 1.5.0

MF_ROOT=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
export MF_ROOT
export PATH="${MF_BIN:-$MF_ROOT/build/bin}:$PATH"

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
}
