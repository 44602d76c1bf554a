// An archive's members are taken only for undefined symbols; a later archive may need an earlier one in a group.
//#Variant: -O1
//#Archive: inputs/archive_a.c inputs/archive_b.c inputs/archive_c.c
//#NoSym: never_taken
//#ExpectSym: taken_for_taken
#include "rt.h"
int taken(void);
int test(void) { return taken(); }
