/* In musl's libc_s: tells musl that the program replaced malloc.
 *
 * musl's calloc does not clear memory that its own malloc got from the kernel, and its aligned_alloc refuses to work with a foreign
 * malloc; both ask __malloc_replaced, which otherwise only musl's dynamic linker sets. malloc's slot (linker/library/jump_table.py)
 * leads to its thunk (linker/library/interpose.py), which jumps through the pointer that start-up sets. */

typedef unsigned long word;
extern int __malloc_replaced __attribute__((visibility("hidden")));
extern int __aligned_alloc_replaced __attribute__((visibility("hidden")));
void *malloc(word);
void *aligned_alloc(word, word);

/* The final target of a call of the function, from the machine code of slot and thunk; 0 if these have another form. */
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

/* Addresses are given out in units of 4 MiB, so a target further from the slot than that is outside this library. */
static int replaced(word slot) {
    word to = destination(slot);
    return to && (to >> 22) != (slot >> 22);
}

__attribute__((constructor)) static void note_replacement(void) {
    __malloc_replaced = replaced((word)malloc);
    __aligned_alloc_replaced = replaced((word)aligned_alloc);
}
