/* Thread-local data of the program for its one thread: variant II of "ELF Handling For Thread-Local Storage". The
 * block ends at the thread pointer, which is aligned like it and points to itself. */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include "system.h"

enum { AT_PHDR = 3, AT_PHNUM = 5, PT_TLS = 7 };

struct program_header { /* Elf32_Phdr, Elf64_Phdr */
    unsigned type;
#ifdef __x86_64__
    unsigned flags;
    unsigned long offset, address, physical, file_size, memory_size, alignment;
#else
    unsigned long offset, address, physical, file_size, memory_size;
    unsigned flags;
    unsigned long alignment;
#endif
};

static long set_thread_pointer(void *pointer) {
#ifdef __x86_64__
    return CALL2(arch_prctl, 0x1002 /* ARCH_SET_FS */, pointer);
#else
    struct { unsigned entry; void *base; unsigned limit, flags; } area = { /* struct user_desc */
        -1U, pointer, 0xfffff, 0x51 /* 32 bits, limit in pages, useable */};
    long result = CALL1(set_thread_area, &area);
    if (result == 0) __asm__ volatile("mov %w0, %%gs" : : "r"(area.entry * 8 + 3));
    return result;
#endif
}

HIDDEN void __mini_set_up_tls(const unsigned long *auxiliary) {
    const struct program_header *headers = 0;
    unsigned long count = 0, alignment, size;
    char *block, *pointer;
    for (; auxiliary[0]; auxiliary += 2) {
        if (auxiliary[0] == AT_PHDR) headers = (const struct program_header *)auxiliary[1];
        if (auxiliary[0] == AT_PHNUM) count = auxiliary[1];
    }
    while (headers && count && headers->type != PT_TLS) headers++, count--;
    if (!headers || !count) return; /* the program has none */
    alignment = headers->alignment > sizeof(void *) ? headers->alignment : sizeof(void *);
    size = (headers->memory_size + alignment - 1) & -alignment;
    block = mmap(0, size + alignment + 64, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) __builtin_trap();
    pointer = (char *)(((uintptr_t)block + size + alignment - 1) & -alignment);
    memcpy(pointer - size, (const void *)headers->address, headers->file_size);
    *(void **)(void *)pointer = pointer;
    if (set_thread_pointer(pointer) < 0) __builtin_trap();
}
