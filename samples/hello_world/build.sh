#!/bin/sh -e
# build.sh SYSROOT OUT SCHEME: the program links with libhello_s only, which needs libworld_s
cd "$(dirname "$0")"
for name in world hello main; do
	uselib cc --sysroot "$1" -c "$name.c" -o "$2/$name.o"
	uselib cc --sysroot "$1" "-DNAME=\"$name\"" -c start.c -o "$2/start_$name.o"
done
uselib mkshlib --name world --version 1.0.0 --text 0x61000000 -o "$2" "$2/world.o" "$2/start_world.o" "$1/lib/libc_s.a"
uselib mkshlib --name hello --version 1.0.0 --text 0x61400000 -o "$2" "$2/hello.o" "$2/start_hello.o" \
	"$2/lib/libworld_s.a" "$1/lib/libc_s.a"
uselib cc --sysroot "$1" --scheme "$3" "$2/main.o" "$2/start_main.o" -L "$2/lib" -lhello_s -o "$2/main"
