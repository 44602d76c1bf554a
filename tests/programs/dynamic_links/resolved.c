/* Functions that are chosen at start-up (IFUNC): exported, hidden, protected, an alias; called, and by address in data. */
typedef int function(int);
static int twice(int x) { return 2 * x; }
static int thrice(int x) { return 3 * x; }
static function *choose_twice(void) { return twice; }
static function *choose_thrice(void) { return thrice; }
int exported(int) __attribute__((ifunc("choose_twice")));
__attribute__((visibility("protected"))) int guarded(int) __attribute__((ifunc("choose_thrice")));
__attribute__((visibility("hidden"))) int inner(int) __attribute__((ifunc("choose_thrice")));
static int local(int) __attribute__((ifunc("choose_twice")));
function *const table[] = {exported, inner, local};
function *pointer = exported;
static function *volatile inner_address = inner, *volatile local_address = local; /* by way of data: GNU ld refuses their addresses in i386 code */
int in_library(int x) { return exported(x) + 100 * inner(x) + 10000 * local_address(x) + 1000000 * guarded(x); }
function *address_in_library(int which) { return which ? which > 1 ? local_address : inner_address : exported; }
