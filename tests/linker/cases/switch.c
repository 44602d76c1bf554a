// Jump tables in read-only data, relative and absolute.
//#Variant: -O2
//#Variant: -O2 -fPIC
//#Variant: -O2 -fno-pic -ffunction-sections
#include "rt.h"
__attribute__((noinline)) static const char *name(int n) {
  switch (n) {
    case 0: return "zero\n"; case 1: return "one\n"; case 2: return "two\n"; case 3: return "three\n";
    case 4: return "four\n"; case 5: return "five\n"; case 6: return "six\n"; default: return "many\n";
  }
}
static void *const labels(int n) {
  static void *const table[] = {&&a, &&b};
  goto *table[n];
a: return (void *)1;
b: return (void *)42;
}
int test(void) {
  for (volatile int i = 0; i < 9; i++) say(name(i));
  return (long)labels(1);
}
