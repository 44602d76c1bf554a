// __start_X and __stop_X bound the sections called X of all files; references keep them under --gc-sections.
//#Variant: -O1 -ffunction-sections -fdata-sections
//#LinkArgs: --gc-sections
//#Object: inputs/start_stop2.c
//#NoSym: unused_function
//#NoSym: unused_data
//#ExpectSym: retained
#include "rt.h"
extern const int __start_numbers[], __stop_numbers[];
__attribute__((section("numbers"), used)) static const int a = 20;
void unused_function(void) {}
int unused_data[10] = {1};
__attribute__((used, retain)) int retained = 3;
extern const int __start_nothing[] __attribute__((weak));
int test(void) {
  int sum = 0;
  for (const int *p = __start_numbers; p < __stop_numbers; p++) sum += *p;
  return __start_nothing ? 1 : sum;
}
