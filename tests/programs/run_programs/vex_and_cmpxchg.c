/* CMPXCHG of 32 bits and the upper halves of 64-bit registers; VEX-encoded integer instructions; selectors; what an undefined opcode does. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>

static sigjmp_buf back;
static void caught(int number) { siglongjmp(back, number); }

int main(void)
{
    signal(SIGILL, caught);
#ifdef __x86_64__
    unsigned long a = 0x1122334455667788, b = 0xaabbccdd12345678, c = 0x9999999988888888, memory = 0x5555555512345678;
    __asm__("cmpxchgl %k2, %k1" : "+a"(a), "+r"(b) : "r"(c) : "cc");
    printf("fails: %lx %lx\n", a, b);
    a = 0x1122334412345678, b = 0xaabbccdd12345678;
    __asm__("cmpxchgl %k2, %k1" : "+a"(a), "+r"(b) : "r"(c) : "cc");
    printf("succeeds: %lx %lx\n", a, b);
    a = 0x1122334455667788;
    __asm__("lock cmpxchgl %k2, %1" : "+a"(a), "+m"(memory) : "r"(c) : "cc");
    printf("memory, fails: %lx %lx\n", a, memory);
    a = 0x1122334412345678;
    __asm__("lock cmpxchgl %k2, %1" : "+a"(a), "+m"(memory) : "r"(c) : "cc");
    printf("memory, succeeds: %lx %lx\n", a, memory);
    unsigned long r8 = 0x123456789, r9 = 0xf0f;
    __asm__("cmpxchgq %2, %1" : "+a"(a), "+r"(r8) : "r"(r9) : "cc");
    printf("64 bits: %lx %lx\n", a, r8);
#endif
    unsigned x = 0x12345678, y = 0x00ff00ff, r;
    if (!sigsetjmp(back, 1)) {
        __asm__("andn %1, %2, %0" : "=r"(r) : "r"(x), "r"(y) : "cc");
        printf("andn %x\n", r);
        __asm__("pdep %1, %2, %0" : "=r"(r) : "r"(y), "r"(x));
        printf("pdep %x\n", r);
        __asm__("rorx $5, %1, %0" : "=r"(r) : "r"(x));
        printf("rorx %x\n", r);
    } else {
        puts("no BMI here");
    }
    for (int i = 0; i < 3; i++) {
        if (sigsetjmp(back, 1)) {
            puts("undefined opcode");
            continue;
        }
        if (i == 0) __asm__ volatile("ud2");
        if (i == 1) __asm__ volatile(".byte 0x0f, 0xff, 0xc0"); /* ud0 */
        if (i == 2) __asm__ volatile(".byte 0x0f, 0xb9, 0xc0"); /* ud1 */
        puts("executed");
    }
    return 0;
}
