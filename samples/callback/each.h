typedef int visit(int value, void *context);
int each(const int *values, int count, visit *f, void *context);
int twice(int value, void *context);
visit *get_twice(void);
int is_twice(visit *f);
