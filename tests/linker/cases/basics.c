// Code, constants, data, bss; calls between files; function pointers in data.
//#Variant: -O0
//#Variant: -O2 -fPIC
//#Variant: -O1 -ffunction-sections -fdata-sections
//#Object: inputs/basics2.c
//#ExpectSym: counter .data
//#ExpectSym: zeroes .bss
//#ExpectSym: _end
#include "rt.h"
extern int counter, zeroes[100];
extern const int table[3];
extern int (*const operations[2])(int);
int add(int);
int test(void) {
  if (zeroes[99] != 0 || counter != 7 || table[2] != 30) return 1;
  counter += add(1);
  zeroes[5] = counter;
  return zeroes[5] + operations[1](operations[0](2)) == 15 + 10 && operations[0] == add ? 42 : 2;
}
