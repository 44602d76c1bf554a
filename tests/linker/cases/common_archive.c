// A common takes an archive member with a global datum of its name, but none with a function, a weak datum or another common.
//#Variant: -O1 -fcommon
//#Archive: inputs/common_data.c inputs/common_function.c inputs/common_weak.c inputs/common_common.c
//#ExpectSym: by_datum .data
//#NoSym: function_taken
//#NoSym: weak_taken
//#NoSym: common_taken
#include "rt.h"
int by_datum, by_function, by_weak, by_common;
int test(void) { return by_datum + by_function + by_weak + by_common; }
