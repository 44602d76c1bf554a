// __start_X and __stop_X of a section that is there and empty are equal, and weak ones are no null pointers.
//#Object: inputs/start_stop_empty2.c
#include "rt.h"
extern const char __start_empty[], __stop_empty[];
extern const char __start_other[] __attribute__((weak)), __stop_other[] __attribute__((weak));
extern const char __start_absent[] __attribute__((weak)), __stop_absent[] __attribute__((weak));
int test(void) {
  if (__start_empty != __stop_empty || __start_other != __stop_other || !__start_other) return 1;
  return __start_absent || __stop_absent ? 2 : 42;
}
