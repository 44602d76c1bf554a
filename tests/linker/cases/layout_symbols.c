// Symbols of the layout lie where they should: text before etext, data before edata, bss between __bss_start and end.
//#Variant: -O1
//#Variant: -O1 -fPIC
#include "rt.h"
extern char __executable_start[], __ehdr_start[], etext[], _etext[], __etext[], edata[], _edata[], __bss_start[], end[], _end[];
int data = 3;
int bss[1000];
int test(void) {
  char *code = (char *)test;
  if (__executable_start != __ehdr_start || __ehdr_start[1] != 'E') return 1;
  if (code < __executable_start || code >= etext || etext != _etext || etext != __etext) return 2;
  if ((char *)&data >= edata || (char *)&data < etext || edata != _edata) return 3;
  if ((char *)bss < __bss_start || (char *)(bss + 1000) > end || end != _end || __bss_start < edata) return 4;
  return 42;
}
