/* Everything that upsets a shadow stack: longjmp, signals on both stacks, handlers that leave by siglongjmp, tail calls, fork. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static jmp_buf out;
static sigjmp_buf escape;
static int order(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
static int thrower(const void *a, const void *b) { (void)a; (void)b; longjmp(out, 1); }
static void handler(int number) { write(1, "handler\n", strlen("handler\n")); (void)number; }
static void escaper(int number) { (void)number; siglongjmp(escape, abs(-7)); }
__attribute__((noinline)) static size_t tail(const char *s) { return strlen(s); }
static int deep(int n) { return n ? deep(n - 1) + abs(n) : (int)labs(-1); }

int main(void)
{
    int numbers[] = {3, 1, 2};
    static char memory[16384];
    stack_t other = {.ss_sp = memory, .ss_size = sizeof memory};
    struct sigaction action = {.sa_handler = handler};

    qsort(numbers, 3, sizeof *numbers, order);
    if (!setjmp(out)) qsort(numbers, 3, sizeof *numbers, thrower);
    puts("after longjmp");
    sigaction(SIGUSR1, &action, 0);
    raise(SIGUSR1);
    sigaltstack(&other, 0);
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR1, &action, 0);
    raise(SIGUSR1);
    action.sa_handler = escaper;
    sigaction(SIGUSR2, &action, 0);
    if (!sigsetjmp(escape, 1)) raise(SIGUSR2);
    action.sa_flags = 0;
    sigaction(SIGSEGV, &action, 0);
    if (!sigsetjmp(escape, 1)) *(volatile int *)8 = 1;
    printf("%d %d\n", (int)tail("tail"), deep(4));
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        int status = atoi("7");
        puts("child");
        exit(status);
    }
    int status;
    waitpid(child, &status, 0);
    printf("%s %.2f %d\n", "parent", strtod("1.5", 0), WEXITSTATUS(status));
    return 0;
}
