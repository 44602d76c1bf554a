// Two threads that are inside a call of qsort at the same time; one of them maps a library and calls a function of it.
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_barrier_t both;

static int compare(const void *a, const void *b)
{
    pthread_barrier_wait(&both);
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort(const char *first, const char *second)
{
    const char *words[] = {first, second};
    qsort(words, 2, sizeof words[0], compare);
}

static void *worker(void *path)
{
    void *plugin = dlopen(path, RTLD_LAZY);
    if (!plugin) {
        puts(dlerror());
        exit(1);
    }
    int (*step)(int) = (int (*)(int))dlsym(plugin, "plugin_step");
    sort("pear", "apple");
    return (void *)(long)step(-41);
}

int main(int argc, char **argv)
{
    pthread_t other;
    void *result;
    pthread_barrier_init(&both, NULL, 2);
    pthread_create(&other, NULL, worker, argv[argc - 1]);
    sort("two", "one");
    pthread_join(other, &result);
    printf("%ld\n", (long)result);
    return 0;
}
