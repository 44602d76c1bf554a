// Commons of one name are one variable, as large and as aligned as the largest; a definition wins.
//#Variant: -O1 -fcommon
//#Object: inputs/common2.c
//#ExpectSym: shared .bss
//#ExpectSym: defined .data
#include "rt.h"
char shared[10];
int defined;
int test(void) {
  extern int last(void);
  shared[3] = 4;
  return last() == 4 && defined == 38 ? 42 : 1;
}
