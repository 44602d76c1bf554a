#!/bin/sh -e
# run.sh OUT RUNNER...: the same program on the old and on the new library, which ends it with status 127
out=$1; shift
LD_LIBRARY_PATH="$out/old/shlib" "$@" "$out/main"
{ LD_LIBRARY_PATH="$out/new/shlib" "$@" "$out/main" 2>&1 || echo "status $?"; } | sed 's/from 0x.*/from .../'
