#ifdef PLUGIN
int first(int);
int in_plugin(int n) { return first(n) + 100; }
#else
int shared_value = 40;
__thread int per_thread = 7;
int first(int n) { return n + 1; }
int second(int n) { return n + 2; }
#ifdef NO_IFUNC
int chosen(int n) { return n * 2; }
#else
static int twice(int n) { return n * 2; }
static int (*resolve(void))(int) { return twice; }
int chosen(int n) __attribute__((ifunc("resolve")));
#endif
#endif
