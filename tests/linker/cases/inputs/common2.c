char shared[100] __attribute__((aligned(32)));
int defined = 38;
int last(void) { return (unsigned long)shared % 32 ? -1 : shared[3] + shared[99]; }
