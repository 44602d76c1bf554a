/* The three calls of the vsyscall page, then one address of it that is none. */
#include <stdio.h>
#include <sys/time.h>

int main(void)
{
    struct timeval old = {0, 0}, now;
    long (*gettimeofday_)(struct timeval *, void *) = (void *)0xffffffffff600000;
    long (*time_)(long *) = (void *)0xffffffffff600400;
    long (*getcpu_)(unsigned *, unsigned *, void *) = (void *)0xffffffffff600800;
    void (*bad)(void) = (void *)0xffffffffff600c00;
    long stored = 0, result = gettimeofday_(&old, 0), seconds = time_(&stored);
    unsigned cpu = 99, node = 99;
    long third = getcpu_(&cpu, &node, 0);
    gettimeofday(&now, 0);
    printf("%ld %d %d %d %ld %d %u\n", result, now.tv_sec - old.tv_sec < 2, seconds == stored, now.tv_sec - seconds < 2, third, cpu != 99, node);
    fflush(stdout);
    bad();
    return 0;
}
