/* RELEASE 1 has one version of two functions and of a variable; 2 and 3 add versions, and keep the old ones. */
#include <string.h>
const char *first_name(void) { return "first"; }
int state_1 = 1, only = 9;
#if RELEASE == 1
const char *name(void) { return first_name(); }
int value(void) { return state_1; }
#else
const char *second_name(void) { return "second"; }
int value_1(void) { return state_1; }
int value_2(void) { return 2; }
int value_3(void) { return 3; }
__asm__(".symver first_name,name@ONE\n.symver second_name,name@@TWO");
__asm__(".symver value_1,value@ONE\n.symver value_2,value@TWO");
#if RELEASE == 2
__asm__(".symver value_3,value@@@TWO_POINT_ONE");
#else
int value_4(void) { return 4; }
__asm__(".symver value_3,value@TWO_POINT_ONE\n.symver value_4,value@@THREE");
int extra(void) { return value_4() + 40; }
#endif
#endif
