// The same, out of reach of absolute and undefined symbols for 32-bit offsets.
//#Machines: x86_64
//#Object: inputs/exit_with.c
//#Object: inputs/absolute.S
//#NoGnu: 2.40 finds no way to do it
//#LinkArgs: -Ttext-segment=0x200000000
#include "got.S"
