/* step is called from outside and from inside; twice jumps to it; callback calls what it is given. */
#ifdef PLUGIN
int abs(int);
int plugin_step(int n) { return abs(-n) + PLUGIN; }
#else
int total;
int step(int n) { return n + 1; }
int twice(int n) { return step(n) + step(n); }
int callback(int (*function)(int), int n) { return function(n) + 1; }
#endif
