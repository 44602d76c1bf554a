// Equal strings and constants of all files are kept once; pointers into them, and behind them, stay right.
//#Variant: -O2
//#Variant: -O2 -fPIC
//#Variant: -O1 -g
//#Object: inputs/strings2.c
#include "rt.h"
const char *first(void), *tail(void);
double half(void);
const unsigned *wide(void);
int test(void) {
  const char *mine = "a string in two files";
  volatile double d = half();
  if (first() != mine) return 1;
  if (tail()[0] != 't' || tail()[1] != 'a') return 2;
  if (wide()[0] != 'W' || wide()[1] != 0) return 3;
  say(mine + 2);
  return d == 0.5 ? 42 : 4;
}
