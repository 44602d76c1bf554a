/* Calls of a shared object in every way there is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int step(int), twice(int), callback(int (*)(int), int);
extern int total;

int main(int argc, char **argv)
{
    int (*volatile pointer)(int) = step;
    int (*found)(int) = (int (*)(int))dlsym(RTLD_DEFAULT, "step");
    char text[20];
    strcpy(text, "abc"); /* an IFUNC of glibc */
    total = step(1);
    total += pointer(2) + found(3) + twice(4);
    for (int i = 0; i < 3; i++) total += step(i);
    total += callback(step, 5) + callback(abs, -6);
    for (int i = 1; i < argc; i++) {
        void *plugin = dlopen(argv[i], RTLD_LAZY);
        int (*in_plugin)(int) = (int (*)(int))dlsym(plugin, "plugin_step");
        total += in_plugin(7);
        dlclose(plugin);
    }
    printf("%d %d\n", total, (int)strlen(text));
    return 0;
}
