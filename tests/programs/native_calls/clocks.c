/* The time as one reads it: the same in every run of the emulator. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifdef __i386__ /* musl calls the ones of 32 bits otherwise */
#define SYS_clock_gettime SYS_clock_gettime32
#define SYS_gettimeofday SYS_gettimeofday_time32
#endif

static void wide(void)
{
#ifdef SYS_clock_gettime64
	long long spec[2] = {0, 0};
	for (int clock = -1; clock < 14; clock++) {
		long done = syscall(SYS_clock_gettime64, clock, spec);
		printf("%d: %ld %lld.%09lld\n", clock, done, spec[0], spec[1]);
	}
#endif
}

int main(void)
{
	struct { long tv_sec, tv_nsec; } spec = {0, 0};
	struct { long tv_sec, tv_usec; } value = {0, 0};
	wide();
	static const int clocks[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 40, -1, -6};
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < (int)(sizeof clocks / sizeof *clocks); i++) {
			long done = syscall(SYS_clock_gettime, clocks[i], &spec);
			printf("%d: %ld %ld.%09ld\n", clocks[i], done, (long)spec.tv_sec, (long)spec.tv_nsec);
		}
		long done = syscall(SYS_gettimeofday, &value, 0);
		printf("%ld %ld.%06ld\n", done, (long)value.tv_sec, (long)value.tv_usec);
		printf("%ld %ld %ld\n", syscall(SYS_time, 0), syscall(SYS_time, &value), syscall(SYS_gettimeofday, 0, 0));
		printf("%ld %ld\n", syscall(SYS_clock_gettime, 1, (void *)8), syscall(SYS_gettimeofday, (void *)8, 0));
		printf("%d %d\n", getpid(), (int)syscall(SYS_gettid));
		usleep(1000);
	}
	return 0;
}
