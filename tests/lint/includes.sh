#!/bin/bash
# Which folder may include which: bin may use bin/cli and lib, bin/cli may use lib, and in lib a folder may use those before
# it in the list below and itself, so that there are no circles. Prints each include that points back, and fails then.
set -euo pipefail
cd "$(dirname "$0")/../.."
order="base io text config nn model assemble export import train partition eval calibrate cli"
grep -oE '^#include "[a-z_]+/' lib/*/*.[ch] bin/cli/*.[ch] | awk -v order="$order" '
    BEGIN { n = split(order, folders); for (i = 1; i <= n; i++) rank[folders[i]] = i }
    {
        file = $1; sub(/:.*/, "", file)
        used = $0; sub(/.*"/, "", used); sub(/\/$/, "", used)
        split(file, path, "/")
        if (rank[used] && rank[used] <= rank[path[2]]) next
        print file ": must not include " used "/"
        bad = 1
    }
    END { exit bad }'
