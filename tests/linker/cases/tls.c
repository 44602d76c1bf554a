// Thread-local storage: every access model in two files becomes local-exec.
//#Variant: -O1 -ftls-model=local-exec
//#Variant: -O1 -ftls-model=initial-exec
//#Variant: -O2 -fPIC -ftls-model=initial-exec
//#Variant: -O1 -fPIC -ftls-model=global-dynamic
//#Variant: -O1 -fPIC -ftls-model=global-dynamic -fno-plt
//#Variant: -O1 -fPIC -ftls-model=local-dynamic
//#Variant: -O1 -fPIC -ftls-model=local-dynamic -fno-plt
//#Variant: -O1 -fPIC -mtls-dialect=gnu2
//#Object: inputs/tls2.c
#define WANT_TLS
#include "rt.h"
extern __thread int there;
__thread int here = 30;
static __thread int local = 5, zero;
__thread char aligned[3] __attribute__((aligned(64))) = {1, 2, 3};
int get(void), local_sum(void);
__attribute__((noinline)) static int *address(void) { return &there; }
void *__tls_get_addr(void *p) { return p; }
#ifdef __i386__
__attribute__((regparm(1))) void *___tls_get_addr(void *p) { return p; }
#endif
int test(void) {
  if (here != 30 || local != 5 || zero != 0 || (unsigned long)aligned % 64 || aligned[2] != 3) return 1;
  if (address() != &there || there != 3) return 2;
  there = 4;
  zero = 1;
  return get() + local_sum() + zero + local == 4 + 30 + 2 + 1 + 5 ? 42 : 3;
}
