/* REP MOVS and REP STOS of every size: overlapping, backwards, over page ends, into a page that faults, with counts of 0 and 1. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static sigjmp_buf back;
static unsigned char *room;
static void caught(int number) { siglongjmp(back, number); }

static unsigned digest(const unsigned char *p, long size)
{
    unsigned h = 1;
    for (long i = 0; i < size; i++) h = h * 31 + p[i];
    return h;
}

static void fresh(void)
{
    for (int i = 0; i < 5 * 4096; i++) room[i] = i * 7 + i / 256;
}

#define RUN(name, instruction, to, from, count) \
    { \
        fresh(); \
        unsigned char *d = room + (to), *s = room + (from); \
        unsigned long n = count; \
        long eax = 0x11223344; \
        if (!sigsetjmp(back, 1)) __asm__ volatile(instruction "; cld" : "+D"(d), "+S"(s), "+c"(n) : "a"(eax) : "memory", "cc"); \
        else { __asm__ volatile("cld"); printf("fault: "); } \
        printf(name " %d %d %lu: %ld %ld %lu %08x\n", to, from, (unsigned long)(count), (long)(d - room), (long)(s - room), n, digest(room, 5 * 4096)); \
    }
#define EACH(name, instruction, size) \
    RUN(name, instruction, 0, 8192, 0) RUN(name, instruction, 0, 8192, 1) RUN(name, instruction, 3, 8195, 2000 / size) \
    RUN(name, instruction, 4090, 100, 8000 / size) RUN(name, instruction, 100, 4093, 9000 / size) RUN(name, instruction, 101, 100, 5000 / size) \
    RUN(name, instruction, 108, 100, 5000 / size) RUN(name, instruction, 100, 108, 5000 / size) RUN(name, instruction, 100, 101, 9000 / size) \
    RUN(name, instruction, 4 * 4096, 5, 6000 / size) RUN(name, instruction, 5, 4 * 4096, 6000 / size) \
    RUN(name " back", "std; " instruction, 9000, 9500, 3000 / size) RUN(name " back", "std; " instruction, 9500, 9003, 3000 / size)

int main(void)
{
    room = mmap(0, 6 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(room + 5 * 4096, 4096);
    signal(SIGSEGV, caught);
    EACH("movsb", "rep movsb", 1) EACH("movsw", "rep movsw", 2) EACH("movsl", "rep movsl", 4)
    EACH("stosb", "rep stosb", 1) EACH("stosw", "rep stosw", 2) EACH("stosl", "rep stosl", 4)
#ifdef __x86_64__
    EACH("movsq", "rep movsq", 8) EACH("stosq", "rep stosq", 8)
#endif
    /* code that a string instruction overwrites is executed as it is then */
    unsigned char *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int round = 0; round < 4; round++) {
        unsigned char next[8] = {0xb8, round, 0, 0, 0, 0xc3}; /* mov eax, round; ret */
        void *d = code, *s = next;
        unsigned long n = 8;
        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
        printf("code %d\n", ((int (*)(void))code)());
    }
    return 0;
}
