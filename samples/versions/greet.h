const char *greeting(void);
int add(int a, int b);
extern int calls;
