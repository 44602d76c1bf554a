"""Programs that do little but system calls, and threads that take turns, against qemu-user and the host's kernel."""

from __future__ import annotations

from pathlib import Path

from benchmarks.emulation import ARCHES, milliseconds
from benchmarks.measure import USELIB, interleaved, sysroot, tool, uselib, workspace

SOURCE = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long rounds, count;
static int there[2], back[2];
static char message[16] = "0123456789abcde";

static void send(const int *to) { if (write(to[1], message, 16) != 16) exit(1); }
static void receive(const int *from) { if (read(from[0], message, 16) != 16) exit(1); }

static void *lock(void *unused)
{
    for (long i = 0; i < rounds; i++) pthread_mutex_lock(&mutex), count++, pthread_mutex_unlock(&mutex);
    return 0;
}

static void *lock_and_yield(void *unused)
{
    for (long i = 0; i < rounds; i++) pthread_mutex_lock(&mutex), count++, sched_yield(), pthread_mutex_unlock(&mutex);
    return 0;
}

static void *yield(void *unused)
{
    for (long i = 0; i < rounds; i++) sched_yield();
    return 0;
}

static void threads(void *(*work)(void *), int number)
{
    pthread_t all[8];
    for (int i = 0; i < number; i++) pthread_create(all + i, 0, work, 0);
    for (int i = 0; i < number; i++) pthread_join(all[i], 0);
}

int main(int argc, char **argv)
{
    const char *what = argv[1];
    struct timespec now;
    rounds = atol(argv[2]);
    pipe(there), pipe(back);
    if (!strcmp(what, "one")) {
        for (long i = 0; i < rounds; i++) send(there), receive(there);
    } else if (!strcmp(what, "two")) {
        if (!fork()) {
            for (long i = 0; i < rounds; i++) receive(there), send(back);
            _exit(0);
        }
        for (long i = 0; i < rounds; i++) send(there), receive(back);
        wait(0);
    } else if (!strcmp(what, "clock")) {
        for (long i = 0; i < rounds; i++) clock_gettime(CLOCK_MONOTONIC, &now);
    } else if (!strcmp(what, "parent")) {
        for (long i = 0; i < rounds; i++) getppid();
    } else if (!strcmp(what, "lock")) {
        threads(lock, 8);
    } else if (!strcmp(what, "contend")) {
        threads(lock_and_yield, 8);
    } else if (!strcmp(what, "yield")) {
        threads(yield, 2);
    }
    printf("%ld\n", count);
    return 0;
}
"""
ROWS = (
    ("ping-pong of 16 bytes over a pipe in one process, 200,000 rounds", "one", 200_000),
    ("between two processes, 50,000 rounds", "two", 50_000),
    ("clock_gettime, 300,000 calls", "clock", 300_000),
    ("getppid, which Python answers, 100,000 calls", "parent", 100_000),
    ("8 threads lock a mutex 20,000 times", "lock", 20_000),
    ("8 threads lock a mutex 5,000 times and yield with it", "contend", 5_000),
    ("2 threads yield 100,000 times", "yield", 100_000),
)


def run() -> None:
    with workspace() as name:
        for arch in ARCHES:
            print(f"\n### System calls and turns, {arch}, CPU ms\n")
            print("| what | uselib run | qemu-user | native | ours / qemu |\n|---|---:|---:|---:|---:|")
            _rows(Path(name), arch)


def _rows(directory: Path, arch: str) -> None:
    root = sysroot(directory, arch, "musl")
    program = directory / f"calls-{arch}"
    program.with_suffix(".c").write_text(SOURCE)
    uselib("cc", "--sysroot", root, "--scheme", "static", "-O2", "-w", program.with_suffix(".c"), "-o", program)
    qemu = tool(f"qemu-{arch}")
    for label, what, rounds in ROWS:
        command: list[str | Path] = [program, what, str(rounds)]
        commands: list[list[str | Path] | None] = [
            [*USELIB, "run", *command],
            [qemu, *command] if qemu else None,
            [*command],
        ]
        rows = interleaved(("uselib run", "qemu-user", "native"), commands, 3)
        ours, peer = rows[0].cpu, rows[1].cpu
        cells = [*(milliseconds(row) for row in rows), f"{ours / peer:.2f}" if ours and peer else "-"]
        print(f"| {label} | {' | '.join(cells)} |", flush=True)
