// A function chosen at start-up by its resolver: through IRELATIVE entries between __rela_iplt_start and _end.
//#Variant: -O1
//#Variant: -O1 -fPIC
#include "rt.h"
static int chosen(void) { return 41; }
static int (*resolve(void))(void) { return chosen; }
int function(void) __attribute__((ifunc("resolve")));
static int local(void) __attribute__((ifunc("resolve")));
int (*pointer)(void) = function;
#if defined __x86_64__
typedef struct { unsigned long offset, info, addend; } R;
extern R __rela_iplt_start[] __attribute__((weak)), __rela_iplt_end[] __attribute__((weak));
#define START __rela_iplt_start
#define END __rela_iplt_end
#define RESOLVER r->addend
#else
typedef struct { unsigned long offset, info; } R;
extern R __rel_iplt_start[] __attribute__((weak)), __rel_iplt_end[] __attribute__((weak));
#define START __rel_iplt_start
#define END __rel_iplt_end
#define RESOLVER *(unsigned long *)r->offset
#endif
int test(void) {
  int n = 0;
  for (R *r = START; r < END; r++, n++)
    *(unsigned long *)r->offset = (unsigned long)((int (*(*)(void))(void))RESOLVER)();
  return n >= 1 && function() == 41 && local() == 41 && pointer() == 41 && pointer == function ? 42 : 1;
}
