#!/bin/sh -e
# build.sh SYSROOT OUT SCHEME: two libraries, alike in every slot and address, different in what a point is
cd "$(dirname "$0")"
mkdir -p "$2/old" "$2/new"
uselib cc --sysroot "$1" -c point.c -o "$2/point1.o"
uselib mkshlib --name point --version 1.0.0 --text 0x61000000 -o "$2/old" "$2/point1.o"
uselib cc --sysroot "$1" --scheme "$3" main.c -L "$2/old/lib" -lpoint_s -o "$2/main"
uselib cc --sysroot "$1" -DSWAPPED -c point.c -o "$2/point2.o"
uselib mkshlib --name point --version 1.0.0 --text 0x61000000 -o "$2/new" "$2/point2.o"
