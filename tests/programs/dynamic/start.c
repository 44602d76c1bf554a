/* What the kernel tells a program of itself: bases, the auxiliary vector, names. Prints the same natively (without randomisation
   of addresses) and emulated. */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

extern char _start[];
static int zeroes[5000];

int main(int argc, char **argv)
{
    const ElfW(Phdr) *header = (const void *)getauxval(AT_PHDR);
    unsigned long count = getauxval(AT_PHNUM), bias = 0, relro = 0, interpreter = 0;
    char path[4096] = "", *text = malloc(100000);
    int n;
    for (unsigned long i = 0; i < count; i++) {
        if (header[i].p_type == PT_PHDR)
            bias = (unsigned long)header - header[i].p_vaddr;
        relro |= header[i].p_type == PT_GNU_RELRO;
        interpreter |= header[i].p_type == PT_INTERP;
    }
    printf("entry %d, headers of %lu bytes, relro %lu\n", getauxval(AT_ENTRY) == (unsigned long)_start, getauxval(AT_PHENT), relro);
    if (interpreter) /* without one the place is mmap's */
        printf("at %#lx\n", bias);
    else
        printf("high %d\n", bias == 0 || bias > 0x70000000);
    printf("interpreter %d\n", getauxval(AT_BASE) != 0);
    printf("executed as %s, of %s, page %lu, secure %lu, tick %lu\n", (char *)getauxval(AT_EXECFN), (char *)getauxval(AT_PLATFORM),
           getauxval(AT_PAGESZ), getauxval(AT_SECURE), getauxval(AT_CLKTCK));
    printf("random %d, vdso %d\n", getauxval(AT_RANDOM) != 0, 0);
    n = (int)readlink("/proc/self/exe", path, sizeof path - 1);
    printf("%d %s\n", n, path);
    memset(text, 'x', 100000);
    zeroes[4999] += zeroes[argc];
    printf("%s %d %d\n", argv[0], argc, zeroes[4999] + (text[99999] != 'x'));
    free(text);
    return 3;
}
