/* rtld-audit(7): names each binding. */
#define _GNU_SOURCE
#include <link.h>
#include <stdio.h>
#include <string.h>

unsigned int la_version(unsigned int version) { return version; }

unsigned int la_objopen(struct link_map *map, Lmid_t lmid, uintptr_t *cookie)
{
    (void)map, (void)lmid, (void)cookie;
    return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

#if __ELF_NATIVE_CLASS == 64
uintptr_t la_symbind64(Elf64_Sym *sym, unsigned int n, uintptr_t *from, uintptr_t *to, unsigned int *flags, const char *name)
#else
uintptr_t la_symbind32(Elf32_Sym *sym, unsigned int n, uintptr_t *from, uintptr_t *to, unsigned int *flags, const char *name)
#endif
{
    (void)n, (void)from, (void)to;
    if (!strcmp(name, "count") || !strcmp(name, "where"))
        fprintf(stderr, "audit: %s%s\n", name, *flags & LA_SYMB_DLSYM ? " by dlsym" : "");
    return sym->st_value;
}
