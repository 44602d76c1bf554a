#!/bin/sh -e
# build.sh SYSROOT OUT SCHEME: nothing special on the command line; libc_s was made with --interposable malloc,free,...
cd "$(dirname "$0")"
uselib cc --sysroot "$1" --scheme "$3" -fno-builtin main.c -o "$2/main"
