#!/bin/sh -e
# build.sh SYSROOT OUT SCHEME
cd "$(dirname "$0")"
uselib cc --sysroot "$1" -c each.c -o "$2/each.o"
uselib mkshlib --name each --version 1.0.0 --text 0x61000000 -o "$2" "$2/each.o"
uselib cc --sysroot "$1" --scheme "$3" main.c -L "$2/lib" -leach_s -o "$2/main"
