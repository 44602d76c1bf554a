/* In musl's libc_s: tells musl that the program replaced malloc.
 *
 * musl's calloc skips clearing what its own malloc got fresh from the kernel, and its aligned_alloc refuses to work
 * beside a foreign malloc; both ask __malloc_replaced, which otherwise only musl's dynamic linker sets. malloc's slot
 * (linker/library/jump_table.py) leads to its thunk (linker/library/interpose.py), which jumps through the pointer that start-up sets. */

typedef unsigned long word;
extern int __malloc_replaced __attribute__((visibility("hidden")));
extern int __aligned_alloc_replaced __attribute__((visibility("hidden")));
void *malloc(word);
void *aligned_alloc(word, word);

/* Where a call of the function ends up, from the machine code of slot and thunk; 0 if they are not what they should be. */
static word destination(word slot) {
    const unsigned char *p = (const unsigned char *)slot;
    word at;
    if (p[0] != 0xe9) return 0; /* jmp rel32 */
    p += 5 + *(const int *)(p + 1);
    if (p[0] != 0xff || p[1] != 0x25) return 0; /* jmp *[pointer] */
#ifdef __x86_64__
    at = (word)(p + 6) + (word)(long)*(const int *)(p + 2);
#else
    at = *(const word *)(p + 2);
#endif
    return *(const word *)at;
}

/* Addresses are given out in units of 4 MiB, so what is further from the slot than that is not this library's. */
static int replaced(word slot) {
    word to = destination(slot);
    return to && (to >> 22) != (slot >> 22);
}

__attribute__((constructor)) static void note_replacement(void) {
    __malloc_replaced = replaced((word)malloc);
    __aligned_alloc_replaced = replaced((word)aligned_alloc);
}
