"""The same through `uselib run`: a hostile program, on both machines, with the command line's own grants."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

from support.paths import ROOT
from support.programs import musl_program

SOURCE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char buf[4096];
static void result(const char *what, long value) { printf("%s: %s\n", what, value < 0 ? strerror(errno) : "done"); }
static void look(const char *path)
{
    int fd = open(path, O_RDONLY);
    int n = fd < 0 ? -1 : read(fd, buf, sizeof buf);
    printf("read %s: %s%s\n", path, n < 0 ? strerror(errno) : "done ", n > 0 && strstr(buf, "SECRET") ? "SECRET" : "");
    if (fd >= 0) close(fd);
}

int main(int argc, char **argv)
{
    const char *secret = argv[1], *host = argv[2];
    char path[4096];
    setvbuf(stdout, 0, _IONBF, 0);
    look(secret);
    snprintf(path, sizeof path, "/proc/self/root%s", secret); look(path);
    snprintf(path, sizeof path, "/proc/%s/root%s", host, secret); look(path);
    look("../outside/secret"); look("link"); look("/etc/shadow"); look("/proc/self/mem"); look("/proc/self/environ");
    result("symlink", symlink(secret, "out/link")); look("out/link");
    result("symlink up", symlink("../../outside", "out/up")); look("out/up/secret");
    result("hard link", link(secret, "out/hard"));
    result("hard link of input", link("input", "out/hard")); 
    result("write input", open("input", O_WRONLY)); result("truncate input", truncate("input", 0)); result("chmod", chmod("input", 0777));
    result("create here", open("new", O_CREAT | O_WRONLY, 0644)); result("create outside", open("../outside/new", O_CREAT | O_WRONLY, 0644));
    result("create in /tmp", open("/tmp/uselib-hostile", O_CREAT | O_WRONLY, 0644));
    result("create through link", open("out/up/new", O_CREAT | O_WRONLY, 0644));
    result("rename out", rename("out/link", "../outside/link")); result("rename in", rename("input", "out/input"));
    int fd = open("input", O_RDONLY);
    result("shared writable mapping", mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    void *map = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
    result("mapping made writable", mprotect(map, 4096, PROT_READ | PROT_WRITE));
    char *private_ = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0); private_[0] = 'X';
    result("fchmod", fchmod(fd, 0777)); snprintf(path, sizeof path, "/proc/self/fd/%d", fd); result("reopen", open(path, O_RDWR));
    struct sockaddr_un un = {AF_UNIX, "host.sock"}; result("host's socket", connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&un, sizeof un));
    result("netlink socket", socket(AF_NETLINK, SOCK_RAW, 0)); result("raw socket", socket(AF_INET, SOCK_RAW, 1));
    result("ptrace", ptrace(PTRACE_TRACEME, 0, 0, 0)); result("chroot", chroot("/"));
    result("mount", syscall(SYS_mount, "x", "/", "tmpfs", 0, 0));
    result("kill 1", kill(1, 0)); snprintf(path, sizeof path, "%s", host);
    int pid = 0; sscanf(host, "%d", &pid); result("kill host", kill(pid, 0));
    result("mknod", mknod("out/null", S_IFCHR | 0666, 0x103)); result("setuid", setuid(0));
    result("exec", execl("/bin/sh", "sh", "-c", "echo SECRET", (char *)0));
    int up = open("..", O_PATH | O_DIRECTORY); result("open up", up); result("fchdir", fchdir(up)); look("outside/secret"); look("home/input");
    if (!fork()) { look("outside/secret"); fflush(stdout); _exit(0); }
    wait(0);
    return 0;
}
"""

EXPECTED = """\
read SECRETPATH: No such file or directory
read /proc/self/rootSECRETPATH: No such file or directory
read /proc/PID/rootSECRETPATH: No such file or directory
read ../outside/secret: No such file or directory
read link: No such file or directory
read /etc/shadow: No such file or directory
read /proc/self/mem: I/O error
read /proc/self/environ: done 
symlink: done
read out/link: No such file or directory
symlink up: done
read out/up/secret: No such file or directory
hard link: No such file or directory
hard link of input: Cross-device link
write input: Read-only file system
truncate input: Read-only file system
chmod: Read-only file system
create here: Read-only file system
create outside: Read-only file system
create in /tmp: Read-only file system
create through link: No such file or directory
rename out: Read-only file system
rename in: Read-only file system
shared writable mapping: Permission denied
mapping made writable: Permission denied
fchmod: Read-only file system
reopen: Permission denied
host's socket: Connection refused
netlink socket: Address family not supported by protocol
raw socket: Operation not permitted
ptrace: Operation not permitted
chroot: Operation not permitted
mount: Operation not permitted
kill 1: Operation not permitted
kill host: No such process
mknod: Operation not permitted
setuid: Operation not permitted
exec: No such file or directory
open up: done
fchdir: done
read outside/secret: No such file or directory
read home/input: done\x20
read outside/secret: No such file or directory
"""


def test_a_hostile_program(arch: str, tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    (home / "out").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("SECRET")
    (home / "input").write_bytes(b"input")
    (home / "link").symlink_to(outside / "secret")
    (tmp_path / "bin").mkdir()
    program = musl_program(SOURCE, arch, tmp_path / "bin")
    words = ["run", "--writable", "out", str(program), str(outside / "secret"), str(os.getpid())]
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(home):
        listener.bind("host.sock")
        listener.listen()
        done = subprocess.run(
            [sys.executable, "-m", "uselib.cli", *words],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            env=os.environ | {"PYTHONPATH": str(ROOT), "USELIB_TEST": "SECRET"},
        )
    expected = EXPECTED.replace("SECRETPATH", str(outside / "secret")).replace("PID", str(os.getpid()))
    assert done.stdout.splitlines() == expected.splitlines(), done.stderr
    assert "SECRET" not in done.stdout.replace("SECRETPATH", "")
    assert done.returncode == 0
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    assert sorted(path.name for path in home.iterdir()) == ["host.sock", "input", "link", "out"]
    assert (home / "input").read_bytes() == b"input"
    assert sorted(path.name for path in (home / "out").iterdir()) == ["link", "up"]
    assert not Path("/tmp/uselib-hostile").exists()


IPC = r"""
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
int main(void)
{
    int make = IPC_CREAT | 0600, create = O_CREAT | O_RDWR;
    printf("%d %d %d\n", shmget(0x5553, 4096, make) >= 0, semget(0x5553, 1, make) >= 0, msgget(0x5553, make) >= 0);
    printf("%d %d\n", shm_open("/uselib-left", create, 0600) >= 0, mq_open("/uselib-left", create, 0600, 0) >= 0);
    return 0;
}
"""


def test_ipc_objects_are_the_runs_own(arch: str, tmp_path: Path) -> None:
    """Objects that a program leaves behind end with its run, and the host never has them."""
    program = musl_program(IPC, arch, tmp_path)
    tables = [Path(f"/proc/sysvipc/{kind}") for kind in ("shm", "sem", "msg")]
    before = [table.read_text().count(str(0x5553)) for table in tables]
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "uselib.cli", "run", str(program)],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert done.stdout == "1 1 1\n1 1\n", done.stderr
    assert [table.read_text().count(str(0x5553)) for table in tables] == before
    assert not Path("/dev/shm/uselib-left").exists()
