#!/bin/sh -e
# run.sh OUT RUNNER...: RUNNER is empty natively, or `uselib run ...`
out=$1; shift
"$@" "$out/main" table
"$@" "$out/main-interp" interpreter
