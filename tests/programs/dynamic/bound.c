/* References of every kind: lazy and immediate calls, a pointer in data, a copied variable, an IFUNC, thread-local data, weak ones, dlsym. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int first(int), chosen(int), second(int);
int missing(void) __attribute__((weak));
extern int shared_value;
extern __thread int per_thread;
int (*pointer)(int) = second;

int main(int argc, char **argv)
{
    int sum = first(1) + first(2) + chosen(3) + pointer(4) + shared_value + per_thread;
    int (*found)(int) = (int (*)(int))dlsym(RTLD_DEFAULT, "second");
    void *plugin = dlopen(argv[1], RTLD_LAZY);
    int (*in_plugin)(int) = (int (*)(int))dlsym(plugin, "in_plugin");
    sum += found(5) + in_plugin(6) + (dlsym(RTLD_DEFAULT, "no_such") == NULL);
    if (missing) sum += missing();
    printf("%d\n", sum);
    return argc - 2;
}
