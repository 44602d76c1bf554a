#!/bin/sh -e
# build.sh SYSROOT OUT: OUT/shlib is the system's /shlib, OUT/shlib.map its /etc/shlib.map
cd "$(dirname "$0")"
mkdir -p "$2/shlib"
cp "$1"/shlib/libc_s.* "$2/shlib"
uselib cc --sysroot "$1" -c area.c -o "$2/area.o"
uselib mkshlib -q --name area --version 1.0.0 --text 0x61000000 -o "$2" "$2/area.o" "$1/lib/libc_s.a"
uselib shlicc --print-map "$2/shlib" >"$2/shlib.map"
export SHLIB_MAP="$2/shlib.map"
uselib shlicc --sysroot "$1" main.c -L "$2/lib" -larea -o "$2/main"
uselib shlicc --sysroot "$1" --interp main.c -L "$2/lib" -larea -o "$2/main-interp"
