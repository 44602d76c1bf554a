/* malloc: free lists of size classes, cut from regions of 256 KiB.
 *
 * Every block has a header of 16 bytes with its class; payloads are aligned to 16 (max_align_t). Classes grow by a
 * quarter (16, 32, 48, 64, 80, 96, 112, 128, 160, ...), so at most a fifth of a block is lost. Blocks above LARGE are
 * mappings of their own. One thread. */
#include "system.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HEADER = 16, REGION = 1 << 18, LARGE = 1 << 16, CLASSES = 48 };

struct block { /* before the payload */
    size_t size;  /* of the payload that fits */
    size_t index; /* of its class; CLASSES if it is a mapping of its own */
} __attribute__((aligned(16)));
struct free_block {
    struct block header;
    struct free_block *next;
};

static struct free_block *bins[CLASSES];
static char *region, *region_end;

/* Smallest class that holds n > 0 bytes: four classes for each power of two from 64 up, below that every 16 bytes. */
static unsigned class_of(size_t n, size_t *size) {
    unsigned shift;
    size_t units = (n + 15) / 16;
    if (units <= 4) {
        *size = units * 16;
        return (unsigned)units - 1;
    }
    shift = (unsigned)(8 * sizeof(long) - 1 - (unsigned)__builtin_clzl((unsigned long)units - 1)) - 2; /* units-1 in 4..7 << shift */
    units = ((units - 1) >> shift) + 1;
    *size = (units << shift) * 16;
    return 4 * (shift + 1) + (unsigned)units - 5;
}

static void *map(size_t size) {
    void *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? 0 : p;
}

void *malloc(size_t n) {
    struct free_block *b;
    size_t size;
    unsigned index;
    if (n > PTRDIFF_MAX - 8192) {
        errno = ENOMEM;
        return 0;
    }
    if (n > LARGE) {
        size = (n + HEADER + 4095) & ~(size_t)4095;
        if (!(b = map(size))) return 0;
        b->header.size = size - HEADER;
        b->header.index = CLASSES;
        return (char *)b + HEADER;
    }
    index = class_of(n ? n : 1, &size);
    if ((b = bins[index])) {
        bins[index] = b->next;
        return (char *)b + HEADER;
    }
    if ((size_t)(region_end - region) < size + HEADER) {
        char *more = map(REGION);
        if (!more) return 0;
        if (more != region_end) region = more; /* the rest of the old region is lost, unless they touch */
        region_end = more + REGION;
    }
    b = (struct free_block *)region;
    region += size + HEADER;
    b->header.size = size;
    b->header.index = index;
    return (char *)b + HEADER;
}

void free(void *p) {
    struct free_block *b;
    if (!p) return;
    b = (struct free_block *)((char *)p - HEADER);
    if (b->header.index > CLASSES) abort(); /* not a block of this allocator, or overwritten */
    if (b->header.index == CLASSES) {
        int saved = errno;
        munmap(b, b->header.size + HEADER);
        errno = saved;
        return;
    }
    b->next = bins[b->header.index];
    bins[b->header.index] = b;
}

void *calloc(size_t count, size_t size) {
    size_t n;
    void *p;
    if (__builtin_mul_overflow(count, size, &n)) {
        errno = ENOMEM;
        return 0;
    }
    p = malloc(n);
    return p ? memset(p, 0, n) : 0;
}

void *realloc(void *p, size_t n) {
    const struct block *b;
    void *q;
    if (!p) return malloc(n);
    b = (const struct block *)((char *)p - HEADER);
    if (n <= b->size && n > b->size / 2) return p;
    if (!(q = malloc(n))) return 0;
    memcpy(q, p, n < b->size ? n : b->size);
    free(p);
    return q;
}
