#!/bin/sh -e
# build.sh SYSROOT OUT SCHEME: the program is linked once, with 1.0.0; version 1.1.0 is made afterwards
cd "$(dirname "$0")"
mkdir -p "$2/old" "$2/new"
uselib cc --sysroot "$1" -fdata-sections -c greet1.c -o "$2/greet1.o"
uselib mkshlib -s greet1.spec -o "$2/old" "$2/greet1.o"
uselib cc --sysroot "$1" --scheme "$3" main.c -L "$2/old/lib" -lgreet_s -o "$2/main"
uselib cc --sysroot "$1" -fdata-sections -c greet2.c -o "$2/greet2.o"
uselib mkshlib -s greet2.spec --previous "$2/old/shlib/libgreet_s.1.0.0" -o "$2/new" "$2/greet2.o"
# as Linux did it: the name that programs recorded leads to the version that is installed
ln -sf libgreet_s.1.1.0 "$2/new/shlib/libgreet_s.1.0.0"
