#!/bin/sh -e
# make.sh [OUT]: builds the library's versions and the programs, which are linked with 1.0.0, the version that was released
cd "$(dirname "$0")"
out=${1:-build}
mkdir -p "$out"
[ -d "$out/sysroot" ] || uselib sysroot "$out/sysroot" --arch x86_64 --libc mini
for version in 1.0.0 1.1.0 draft; do
	uselib cc --sysroot "$out/sysroot" -g -I include -c "src/$version/tally.c" -o "$out/tally-$version.o"
	uselib mkshlib -s "src/$version/tally.spec" -o "$out/$version" "$out/tally-$version.o"
done
for program in report currency; do
	uselib cc --sysroot "$out/sysroot" -g -I include "app/$program.c" -L "$out/1.0.0/lib" -ltally_s -o "$out/$program"
done
