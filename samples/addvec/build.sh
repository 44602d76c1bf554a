#!/bin/sh -e
# build.sh SYSROOT OUT SCHEME: the vector library at a fixed address, and a program that uses it
cd "$(dirname "$0")"
uselib cc --sysroot "$1" -c addvec.c -o "$2/addvec.o"
uselib cc --sysroot "$1" -c multvec.c -o "$2/multvec.o"
uselib mkshlib --name vector --version 1.0.0 --text 0x61000000 -o "$2" "$2/addvec.o" "$2/multvec.o"
uselib cc --sysroot "$1" --scheme "$3" main.c -L "$2/lib" -lvector_s -o "$2/main"
