#!/bin/sh -e
# run.sh OUT RUNNER...
out=$1; shift
"$@" "$out/main"
"$@" "$out/fixed"
