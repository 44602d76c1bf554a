// --wrap and --defsym.
//#Variant: -O1
//#LinkArgs: --wrap=wrapped --defsym=alias=answer --defsym=number=0x1234 --defsym=behind=table+4
//#Object: inputs/wrap2.c
#include "rt.h"
int wrapped(void), __real_wrapped(void), alias(void);
extern char number[];
extern int behind;
int __wrap_wrapped(void) { return __real_wrapped() + 1; }
int test(void) { return (long)number == 0x1234 && behind == 9 && alias() == 5 ? wrapped() : 1; }
