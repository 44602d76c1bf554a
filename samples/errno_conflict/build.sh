#!/bin/sh -e
# build.sh SYSROOT OUT SCHEME: linking main.c warns and names both definitions (kept in OUT/warning.txt)
cd "$(dirname "$0")"
uselib cc --sysroot "$1" --scheme "$3" main.c -o "$2/main" 2> "$2/warning.txt"
grep -q errno "$2/warning.txt"
uselib cc --sysroot "$1" --scheme "$3" fixed.c -o "$2/fixed"
