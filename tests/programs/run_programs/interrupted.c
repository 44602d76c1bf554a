/* Signals that come in the middle of a computation leave its registers, flags and stack as they were. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int seen;

static void on_signal(int number, siginfo_t *info, void *context)
{
    char text[100];
    snprintf(text, sizeof text, "%d %f %s", seen++, seen * 1.5, "in the handler");
}

static long __attribute__((noinline)) depth(volatile long x) { return x ? 1 + depth(x - 1) : 0; }

static int compared(void)
{
    long result;
    __asm__ volatile(
        "mov $0x1111, %%eax; mov $0x2222, %%edx; mov $0x3333, %%ecx; mov $20000, %%esi\n"
        "1: cmp $0x1111, %%eax; jne 2f; cmp $0x2222, %%edx; jne 2f; cmp $0x3333, %%ecx; jne 2f; dec %%esi; jnz 1b; mov $1, %%eax; jmp 3f\n"
        "2: xor %%eax, %%eax\n"
        "3:" : "=a"(result) : : "ecx", "edx", "esi", "cc");
    return result & 1;
}

static int printed(int i)
{
    char text[100], *rest;
    snprintf(text, sizeof text, "%d %s %g", i, "hello", i * 1.25);
    return strtol(text, &rest, 10) == i && !strncmp(rest, " hello ", 7) && strtod(rest + 7, NULL) == i * 1.25;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    pid_t parent = getpid(), child = fork();
    if (!child) {
        for (int i = 0; i < 100; i++) {
            kill(parent, SIGUSR1);
            usleep(2000);
        }
        _exit(0);
    }
    int wrong = 0;
    while (waitpid(child, NULL, WNOHANG) == 0) {
        wrong += !compared();
        for (int i = 0; i < 100; i++) wrong += depth(40) != 40;
        for (int i = 0; i < 50; i++) wrong += !printed(i);
    }
    printf("wrong %d, signals %d\n", wrong, seen > 10);
    return 0;
}
