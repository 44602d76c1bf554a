// All undefined symbols at once, grouped, with up to three places each.
//#ExpectError: : nothing: undefined symbol
//#ExpectError: >>> referenced by .*undefined.*\.o:\(\.text\+0x[0-9a-f]+\) in function test
//#ExpectError: and 1 more
//#ExpectError: : nobody: undefined symbol
#include "rt.h"
int nothing(void), nobody(void), test(void) __attribute__((noinline));
int test(void) { return nothing() + nothing() + nothing() + nothing() + nobody(); }
