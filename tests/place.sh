#!/bin/bash
# Runs a command in a copy of this checkout at an odd place: place.sh [COMMAND [ARGUMENT]...], `make check` by default.
#
# The copy's path is long and has blanks, and so has TMPDIR, which is elsewhere; files are made with umask 077, HOME does
# not exist, standard input is closed. The locale is ODD_LANG=C, or one that is made for it, such as tr_TR.UTF-8. Where
# this is root, the user is another, without rights. Packages that are missing are installed before, which that user cannot.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- make check
lang=${ODD_LANG:-C}
base=$(mktemp -d "${TMPDIR:-/tmp}/an odd place.XXXXXX")
trap 'rm -rf "$base"' EXIT
checkout="$base/a checkout at a path that is longer than usual and has blanks/modular forge"
own=$base/locales

as_user() { # COMMAND...
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid nobody --regid nogroup --clear-groups -- "$@"
    else
        "$@"
    fi
}

# The files as they are here, known to git or not yet; what was built stays behind.
chmod 711 "$base"
mkdir -p "$checkout" "$base/temporary" "$own"
[ "$(id -u)" -ne 0 ] || chown -R nobody:nogroup "$base"
git ls-files -z --cached --others --exclude-standard | while IFS= read -rd '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
done | tar -c --no-recursion --null -T - | (umask 077 && as_user tar -x --no-same-permissions -C "$checkout")
if [ "$lang" != C ] && [ "$lang" != C.UTF-8 ]; then
    localedef -i "${lang%%.*}" -f "${lang#*.}" "$own/$lang"
    chmod -R a+rX "$own"
fi
echo 'leak:__argz_add_sep' > "$own/leaks" # of the C library's own, by LOCPATH
chmod a+r "$own/leaks"

echo "in $checkout, as $(as_user id -un), LANG=$lang: $*"
cd "$checkout"
umask 077
as_user env -u LC_ALL HOME="$base/no such home" TMPDIR="$base/temporary" LANG="$lang" LOCPATH="$own" \
    LSAN_OPTIONS="print_suppressions=0:suppressions='$own/leaks'" "$@" <&-
