#!/bin/sh -e
# build.sh SYSROOT OUT SCHEME: the program is linked with 1.0.0; version 1.1.0 lacks a function that it calls
cd "$(dirname "$0")"
mkdir -p "$2/old" "$2/new"
uselib cc --sysroot "$1" -fdata-sections -c db1.c -o "$2/db1.o"
uselib mkshlib -s db1.spec -o "$2/old" "$2/db1.o"
uselib cc --sysroot "$1" --scheme "$3" main.c -L "$2/old/lib" -ldb_s -o "$2/main"
uselib cc --sysroot "$1" -fdata-sections -c db2.c -o "$2/db2.o"
uselib mkshlib -s db2.spec --previous "$2/old/lib/libdb_s.a" -o "$2/new" "$2/db2.o"
ln -sf libdb_s.1.1.0 "$2/new/shlib/libdb_s.1.0.0"
