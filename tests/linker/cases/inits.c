// .preinit_array, .init_array with priorities, .fini_array: the bounds, and the order that GNU ld gives.
//#Variant: -O1
//#Variant: -O1 -fPIC
#include "rt.h"
typedef void F(void);
extern F *__preinit_array_start[], *__preinit_array_end[], *__init_array_start[], *__init_array_end[];
extern F *__fini_array_start[], *__fini_array_end[];
static volatile char log[16];
static int used;
static void note(char c) { log[used++] = c; }
__attribute__((constructor)) static void plain(void) { note('c'); }
__attribute__((constructor(500))) static void later(void) { note('b'); }
__attribute__((constructor(101))) static void first(void) { note('a'); }
__attribute__((destructor)) static void last(void) { note('d'); }
static void pre(void) { note('p'); }
__attribute__((section(".preinit_array"), used)) static F *preinit = pre;
int test(void) {
  for (F **f = __preinit_array_start; f < __preinit_array_end; f++) (*f)();
  for (F **f = __init_array_start; f < __init_array_end; f++) (*f)();
  for (F **f = __fini_array_start; f < __fini_array_end; f++) (*f)();
  log[used++] = '\n';
  say((const char *)log);
  return log[0] == 'p' && log[1] == 'a' && log[2] == 'b' && log[3] == 'c' && log[4] == 'd' ? 42 : 1;
}
