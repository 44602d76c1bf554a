#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
const char *name(void);
int value(void);
extern int only;
#ifdef OLD
int old_value(void);
__asm__(".symver old_value,value@ONE");
#endif
#ifdef OWN
const char *name(void) { return "own"; }
#endif
int main(void) {
    printf("%s %d %d\n", name(), value(), only);
#ifdef OLD
    printf("%d\n", old_value());
#endif
    for (const char *const *v = (const char *const[]){"ONE", "TWO", "TWO_POINT_ONE", "THREE", "FOUR", 0}; *v; v++) {
        int (*found)(void) = (int (*)(void))dlvsym(RTLD_DEFAULT, "value", *v);
        printf("%s %d\n", *v, found ? found() : -1);
    }
    return 0;
}
