// A second strong definition names both files.
//#Object: inputs/duplicate2.c
//#ExpectError: duplicate2.*\.o: twice: defined twice; first in .*duplicate.*\.o
#include "rt.h"
int twice = 1;
int test(void) { return 42; }
