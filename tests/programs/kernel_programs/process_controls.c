/* execveat, rseq, prctl's controls that change something, RLIMIT_CPU and RLIMIT_NPROC, what /proc says of them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHOW(call) do { errno = 0; long result = (call); printf("%s: %ld %d\n", #call, result, result < 0 ? errno : 0); } while (0)

static char self[4096];
static char *const environment[] = {"A=b", NULL};

static long execveat_(int at, const char *path, char *const *arguments, int flags)
{
    return syscall(SYS_execveat, at, path, arguments, environment, flags);
}

static void run(const char *name, int at, const char *path, int flags)
{
    char *arguments[] = {"program", "shows", (char *)name, NULL};
    int status;
    fflush(stdout);
    if (!fork()) {
        execveat_(at, path, arguments, flags);
        printf("%s: errno %d\n", name, errno);
        fflush(stdout);
        _exit(1);
    }
    wait(&status);
    printf("%s: %x\n", name, status);
}

static void executes(void)
{
    int file = open(self, O_RDONLY | O_CLOEXEC), path = open(self, O_PATH), directory = open(".", O_RDONLY | O_DIRECTORY);
    symlink(self, "link");
    int script = open("script", O_CREAT | O_RDWR, 0755);
    write(script, "#!/bin/sh\n", 10);
    close(script);
    script = open("script", O_RDONLY | O_CLOEXEC);
    close(open("plain", O_CREAT | O_RDWR, 0644));
    int memory = memfd_create("program", 0), from = open(self, O_RDONLY);
    char buffer[4096];
    for (ssize_t n; (n = read(from, buffer, sizeof buffer)) > 0;) write(memory, buffer, n);
    run("descriptor", file, "", AT_EMPTY_PATH);
    run("only a path", path, "", AT_EMPTY_PATH);
    run("in memory", memory, "", AT_EMPTY_PATH);
    run("in a directory", directory, "link", 0);
    run("absolute", -1, self, 0);
    run("here", AT_FDCWD, "link", 0);
    run("a link", directory, "link", AT_SYMLINK_NOFOLLOW);
    run("no flag", file, "", 0);
    run("a directory", directory, "", AT_EMPTY_PATH);
    run("no file", directory, "nothing", 0);
    run("not executable", directory, "plain", 0);
    run("unknown flag", directory, "link", 0x8000);
    run("no descriptor", 99, "link", 0);
    run("script that is closed", script, "", AT_EMPTY_PATH);
}

static struct { uint32_t start, cpu; uint64_t sequence; uint32_t flags; char more[12]; } area __attribute__((aligned(32)));

static void sequences(void)
{
    SHOW(syscall(SYS_rseq, &area, 16, 0, 0x53053053));
    SHOW(syscall(SYS_rseq, (char *)&area + 4, 32, 0, 0x53053053));
    SHOW(syscall(SYS_rseq, 8192, 32, 0, 0x53053053));
    SHOW(syscall(SYS_rseq, &area, 32, 2, 0x53053053));
    SHOW(syscall(SYS_rseq, &area, 32, 1, 0x53053053));
    area.cpu = area.start = 77;
    SHOW(syscall(SYS_rseq, &area, 32, 0, 0x53053053));
    printf("a processor: %d\n", area.cpu < 77 && area.start == area.cpu);
    SHOW(syscall(SYS_rseq, &area, 32, 0, 0x53053053));
    SHOW(syscall(SYS_rseq, &area, 32, 0, 0x53053054));
    SHOW(syscall(SYS_rseq, &area, 32, 1, 0x53053054));
    SHOW(syscall(SYS_rseq, &area, 32, 1, 0x53053053));
    printf("none: %d %x\n", area.start, area.cpu);
}

static void on_segv(int number)
{
    write(1, "no time stamps\n", 15);
    _exit(9);
}

static void time_stamps(void)
{
    int state, status;
    SHOW(prctl(PR_SET_TSC, 3));
    prctl(PR_GET_TSC, &state);
    printf("time stamps %d\n", state);
    fflush(stdout);
    if (!fork()) {
        signal(SIGSEGV, on_segv);
        prctl(PR_SET_TSC, PR_TSC_SIGSEGV);
        prctl(PR_GET_TSC, &state);
        printf("time stamps %d\n", state);
        fflush(stdout);
        __asm__ volatile("rdtsc" : : : "eax", "edx");
        _exit(0);
    }
    wait(&status);
    printf("ended %x\n", status);
    __asm__ volatile("rdtsc" : : : "eax", "edx");
}

static void slack(void)
{
    int status;
    SHOW(prctl(PR_GET_TIMERSLACK));
    prctl(PR_SET_TIMERSLACK, 70000);
    fflush(stdout);
    if (!fork()) {
        SHOW(prctl(PR_GET_TIMERSLACK));
        prctl(PR_SET_TIMERSLACK, 1);
        prctl(PR_SET_TIMERSLACK, 0);
        SHOW(prctl(PR_GET_TIMERSLACK));
        fflush(stdout);
        _exit(0);
    }
    wait(&status);
    prctl(PR_SET_TIMERSLACK, 0);
    SHOW(prctl(PR_GET_TIMERSLACK));
}

static void orphans(void)
{
    int state = 5, status, told[2], hold[2];
    pid_t self = getpid(), orphan;
    pipe(told), pipe(hold);
    SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1));
    prctl(PR_GET_CHILD_SUBREAPER, &state);
    printf("looks after orphans: %d\n", state);
    fflush(stdout);
    pid_t middle = fork();
    if (!middle) {
        if (!(orphan = fork())) {
            char byte;
            orphan = getpid();
            write(told[1], &orphan, sizeof orphan);
            read(hold[0], &byte, 1);
            prctl(PR_GET_CHILD_SUBREAPER, &state);
            printf("parent of the orphan: %d, looks: %d\n", getppid() == self, state);
            fflush(stdout);
            _exit(7);
        }
        read(told[0], &orphan, sizeof orphan);
        write(told[1], &orphan, sizeof orphan);
        _exit(1);
    }
    printf("middle: %d\n", waitpid(middle, &status, 0) == middle);
    read(told[0], &orphan, sizeof orphan);
    fflush(stdout);
    write(hold[1], "x", 1);
    printf("orphan: %d", waitpid(orphan, &status, 0) == orphan);
    printf(" %x\n", status);
    SHOW(waitpid(orphan, &status, 0));
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static volatile int expired;
static void on_limit(int number) { expired++; }

static void processor_time(void)
{
    struct rlimit limit;
    int status;
    fflush(stdout);
    if (!fork()) {
        signal(SIGXCPU, on_limit);
        struct rlimit small = {1, 2};
        setrlimit(RLIMIT_CPU, &small);
        while (!expired) continue;
        printf("soft limit\n");
        fflush(stdout);
        while (1) continue;
    }
    wait(&status);
    printf("hard limit: signal %d\n", WTERMSIG(status));
    getrlimit(RLIMIT_CPU, &limit);
    printf("parent: %d\n", limit.rlim_cur == RLIM_INFINITY);
}

static long field(const char *name)
{
    char line[200];
    long value = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name))) value = atol(line + strlen(name) + 1);
    fclose(file);
    return value;
}

static void locked(void)
{
    char *pages = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("locked %ld", field("VmLck:"));
    mlock(pages, 4 * 4096);
    printf(" %ld", field("VmLck:"));
    munlock(pages, 4096);
    printf(" %ld", field("VmLck:"));
    munmap(pages, 16 * 4096);
    printf(" %ld kB\n", field("VmLck:"));
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "shows")) {
        printf("%s runs, %s\n", argv[2], getenv("A"));
        return 4;
    }
    setvbuf(stderr, NULL, _IONBF, 0);
    readlink("/proc/self/exe", self, sizeof self - 1);
    executes();
    sequences();
    time_stamps();
    slack();
    orphans();
    processor_time();
    locked();
    return 0;
}
