/* Code that is read as data before it is executed, on a page of its own: the instructions in it are what they are. */
#include <stdio.h>

__attribute__((aligned(4096), noinline, section(".text.own"))) long double remainder_of(long double a, long double b)
{
    unsigned short status;
    do {
        __asm__("fprem; fnstsw %%ax" : "+t"(a), "=a"(status) : "u"(b) : "cc");
    } while (status & 0x400);
    return a;
}

int main(void)
{
    unsigned sum = 0;
    for (int i = 0; i < 32; i++) sum += ((const volatile unsigned char *)remainder_of)[i];
    printf("%d %.18Lg %.18Lg\n", sum > 0, remainder_of(1e30L, 3.7L), remainder_of(0x1p60L + 1, 7));
    return 0;
}
