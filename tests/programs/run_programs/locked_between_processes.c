/* Two processes change the same memory by locked instructions: no change is lost. */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 50000 };

typedef struct {
    uint32_t added, counted, flipped, tokens, compared, started;
    uint16_t small;
    uint8_t least;
    uint64_t wide;
    uint32_t lock, guarded, negated;
    uint8_t line[64] __attribute__((aligned(64)));
} Shared;

static void change(Shared *s, unsigned number)
{
    uint32_t token = 0;
    __atomic_fetch_add(&s->started, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&s->started, __ATOMIC_SEQ_CST) < 2) continue;
    for (int i = 0; i < ROUNDS; i++) {
        __asm__ volatile("lock addl $3, %0" : "+m"(s->added));
        __asm__ volatile("lock incl %0" : "+m"(s->counted));
        __asm__ volatile("lock xorl %1, %0" : "+m"(s->flipped) : "r"(1u << (number * 16 + i % 16)));
        __asm__ volatile("lock incw %0" : "+m"(s->small));
        __asm__ volatile("lock subb $1, %0" : "+m"(s->least));
        __asm__ volatile("lock addl $1, %0" : "+m"(*(uint32_t *)(s->line + 30))); /* not aligned, but in one cache line */
        __asm__ volatile("lock negl %0" : "+m"(s->negated));
        uint32_t one = 1;
        __asm__ volatile("xchgl %0, %1" : "+r"(one), "+m"(s->lock)); /* a lock that is taken if it is free */
        if (!one) {
            s->guarded++;
            token++;
            __asm__ volatile("" : : : "memory");
            __atomic_store_n(&s->lock, 0, __ATOMIC_RELEASE);
        }
        uint32_t seen = s->compared;
        while (!__atomic_compare_exchange_n(&s->compared, &seen, seen + 7, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) continue;
        uint64_t wide = s->wide; /* cmpxchg8b on i386 */
        while (!__atomic_compare_exchange_n(&s->wide, &wide, wide + 0x100000001, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) continue;
    }
    __atomic_fetch_add(&s->tokens, token, __ATOMIC_SEQ_CST);
}

#ifdef __x86_64__
static void of_16_bytes(uint64_t *pair)
{
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t low = pair[0], high = pair[1];
        unsigned char done;
        do {
            __asm__ volatile("lock cmpxchg16b %1; setz %0" : "=q"(done), "+m"(*(uint64_t(*)[2])pair), "+a"(low), "+d"(high) : "b"(low + 1), "c"(high - 1) : "cc");
        } while (!done);
    }
}
#endif

int main(void)
{
    Shared *s = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    s->negated = 5;
    int child = fork();
    change(s, !child);
#ifdef __x86_64__
    of_16_bytes((uint64_t *)(s + 1));
#endif
    if (!child) _exit(0);
    wait(0);
    printf("%u %u %x %u %u %u %llx %u\n", s->added, s->counted, s->flipped, s->small, s->least, s->compared, (unsigned long long)s->wide, s->negated);
    printf("not aligned %u, guarded by a lock %s\n", *(uint32_t *)(s->line + 30), s->guarded == s->tokens ? "all" : "not all");
#ifdef __x86_64__
    printf("16 bytes %d %d\n", (int)((uint64_t *)(s + 1))[0], (int)((uint64_t *)(s + 1))[1]);
#endif
    uint32_t *both = (uint32_t *)((char *)s + 4094); /* on two pages */
    *both = 0x7FFFFFFE;
    __asm__ volatile("lock addl $0x01010102, %0" : "+m"(*both));
    printf("two pages %x\n", *both);
    return 0;
}
