/* A shared object with all that one may export: functions, data, thread-local data, a function resolved at start-up. */
#include <stdio.h>

__thread int tls_a = 7;
static __thread int tls_b = 8;
extern __thread int tls_main;
int data = 42;
static int private_data[4] = {1, 2, 3, 4};
int *pointer = private_data;
const char *const names[] = {"x", "y"};

int from_main(int);

int tls_get(void) { return tls_a * 100 + tls_b * 10 + tls_main; }
int call_main(int x) { return from_main(x) + data + pointer[2]; }
int *address_of_data(void) { return &data; }
void *address_of_function(void) { return (void *)call_main; }
const char *name(int n) { return names[n]; }

static int one_more(int x) { return x + 1; }
static int (*choose(void))(int) { return one_more; }
int chosen(int) __attribute__((ifunc("choose")));
int use_chosen(int x) { return chosen(x); }

__attribute__((constructor)) static void begin(void) { puts("constructor"); }
__attribute__((destructor)) static void end(void) { puts("destructor"); }
