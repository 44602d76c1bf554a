// Weak and undefined is 0; a strong definition replaces a weak one, wherever it stands.
//#Variant: -O1
//#Variant: -O1 -fPIC
//#Object: inputs/weak2.c
#include "rt.h"
extern int nowhere(void) __attribute__((weak));
extern int missing __attribute__((weak));
__attribute__((weak)) int replaced(void) { return 1; }
__attribute__((weak)) int kept(void) { return 20; }
int test(void) {
  int *volatile p = &missing;
  if (nowhere || p) return 1;
  return replaced() + kept() == 42 ? 42 : 2;
}
