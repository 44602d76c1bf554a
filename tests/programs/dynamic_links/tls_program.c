/* Uses tls_library.c: linked with it (LINKED), or loaded at run time. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static int (*sum)(void), (*aligned)(void);
static void (*add)(int);
static int *(*address)(int);
#ifdef LINKED
int tls_sum(void), tls_aligned(void);
void tls_add(int);
int *tls_address(int);
extern __thread int tls_shared;
extern __thread long long tls_protected;
#endif
static __thread int own = 5;

static void *thread(void *data) {
    add(*(int *)data);
    own += *(int *)data;
#ifdef LINKED
    tls_shared += 1000;
    printf("%d %d\n", address(0) == &tls_shared, (int)tls_protected);
#endif
    printf("%d %d %d\n", sum(), own, aligned());
    return address(1) == address(0) ? data : NULL;
}
int main(int count, char **arguments) {
#ifdef LINKED
    sum = tls_sum, aligned = tls_aligned, add = tls_add, address = tls_address;
#else
    void *handle = dlopen(arguments[1], RTLD_NOW);
    if (!handle) return puts(dlerror()), 1;
    *(void **)&sum = dlsym(handle, "tls_sum");
    *(void **)&aligned = dlsym(handle, "tls_aligned");
    *(void **)&add = dlsym(handle, "tls_add");
    *(void **)&address = dlsym(handle, "tls_address");
    printf("%d\n", dlsym(handle, "tls_protected") == (void *)address(2));
#endif
    printf("%d %d %d\n", sum(), own, aligned());
    for (int n = 1; n < 4; n++) {
        pthread_t id;
        pthread_create(&id, NULL, thread, &n);
        pthread_join(id, NULL);
    }
    printf("%d %d\n", sum(), own);
    return 0;
}
