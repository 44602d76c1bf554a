// All undefined symbols at once, grouped, with up to three places each.
//#ExpectError: : undefined symbol: nothing
//#ExpectError: >>> referenced by .*undefined.*\.o:\(\.text\+0x[0-9a-f]+\) in function test
//#ExpectError: and 1 more
//#ExpectError: : undefined symbol: nobody
#include "rt.h"
int nothing(void), nobody(void), test(void) __attribute__((noinline));
int test(void) { return nothing() + nothing() + nothing() + nothing() + nobody(); }
