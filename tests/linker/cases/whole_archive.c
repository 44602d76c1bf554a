// --whole-archive takes all members.
//#Variant: -O1
//#ArchiveArgs: --whole-archive
//#Archive: inputs/archive_a.c inputs/archive_b.c inputs/archive_c.c
//#ExpectSym: never_taken
#include "rt.h"
int test(void) { return 42; }
