/* The CPU is stopped from outside, at any block: another process sends signals while this one calls a function ARGV[1] times. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void handler(int number) { (void)number; }
static int (*volatile called)(int) = abs;

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 0, sum = 0;
    pid_t parent = getpid(), child;

    signal(SIGUSR1, handler);
    if (!(child = fork())) {
        for (int i = 0; i < 1500; i++) {
            usleep(100);
            kill(parent, SIGUSR1);
        }
        _exit(0);
    }
    for (int i = 0; i < count; i++) sum += called(-1);
    while (waitpid(child, 0, 0) < 0) {}
    return sum != count;
}
