#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

extern __thread int counter;
extern int shared_value;
int count(void), chosen(void);
const char *where(void);

static int name(struct dl_phdr_info *info, size_t size, void *data)
{
    const char *slash = strrchr(info->dlpi_name, '/');
    (void)size;
    if (info->dlpi_addr && info->dlpi_addr == getauxval(AT_SYSINFO_EHDR)) /* the kernel's own, if it has one */
        return 0;
    printf("object %d %s\n", (*(int *)data)++, slash ? slash + 1 : info->dlpi_name);
    return 0;
}

int main(int argc, char **argv)
{
    int number = 0;
    Dl_info found;
    int first = count();
    printf("%s %d %d %d %d\n", where(), first, counter, shared_value, chosen());
    void *plugin = dlopen(argv[1], RTLD_LAZY | RTLD_LOCAL);
    if (!plugin) {
        printf("no plugin: %s\n", dlerror());
        return 1;
    }
    const char *(*there)(void) = (const char *(*)(void))dlsym(plugin, "where");
    int (*counts)(void) = (int (*)(void))dlsym(plugin, "count");
    first = counts();
    printf("%s %d %d\n", there(), first, counts());
    printf("%d\n", dladdr((void *)counts, &found) && !strcmp(found.dli_sname, "count") && strstr(found.dli_fname, "plugin") != 0);
    printf("%d\n", dlsym(plugin, "nosuch") == 0 && dlerror() != 0);
    printf("%d\n", dlopen("/nosuch.so", RTLD_NOW) == 0);
#ifdef __GLIBC__
    void *other = dlmopen(LM_ID_NEWLM, argv[1], RTLD_NOW);
    if (other) {
        int (*another)(void) = (int (*)(void))dlsym(other, "count");
        printf("another namespace: %d\n", another());
        dlclose(other);
    }
#endif
    dl_iterate_phdr(name, &number);
    printf("closed %d\n", dlclose(plugin));
    return argc;
}
