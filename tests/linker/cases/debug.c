// Debug information is relocated: the line table's addresses are the code's (compared with GNU ld by the driver).
//#Variant: -O1 -g
//#Variant: -O1 -g -gz=zlib
//#Variant: -O1 -g -gdwarf-4 -fdebug-types-section -ffunction-sections
//#Object: inputs/basics2.c
//#CheckLines
#include "rt.h"
extern int counter;
int test(void) { return counter == 7 ? 42 : 1; }
