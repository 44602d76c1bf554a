"""`--strace`: against strace(1) on the same programs, and its parts by themselves."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import paths
from support.kernel import kernel
from support.paths import ROOT
from support.programs import musl_program
from support.tools import require
from uselib.emulator.kernel.signals.frames import SignalInfo
from uselib.emulator.kernel.strace.scalars import flag_names
from uselib.emulator.kernel.strace.strace import Strace
from uselib.emulator.kernel.strace.text import quoted
from uselib.emulator.kernel.strace.values import signal_set
from uselib.emulator.process.interfaces import ProcessEnded
from uselib.linker.image import Machine

PROGRAMS = paths.PROGRAMS / "strace_programs"


def comparable(text: str) -> list[str]:
    """Without what differs between any two runs: process numbers, addresses, the environment."""
    lines = []
    for line in text.splitlines():
        if line.startswith(("strace:", "[ Process PID", "set_thread_area(", "uselib:")):
            continue
        line = re.sub(r"0x[0-9a-f]{5,} /\* \d+ vars \*/", "ENV", line)
        line = re.sub(r"\b0x[0-9a-f]{6,}\b", "ADDRESS", line)
        line = re.sub(r"^(getpid\(\)|gettid\(\)|set_tid_address\(.*\)|getpgid\(0\))( *)= \d+", r"\1 = PID", line)
        line = re.sub(r"^(kill|tkill|tgkill)\(\d+", r"\1(PID", line)
        line = re.sub(r"\? ERESTART\w+ \(.*\)", "-1 EINTR (Interrupted system call)", line)
        line = re.sub(r"si_pid=\d+, si_uid=\d+", "SENDER", line)
        line = re.sub(r" +=", " =", line)
        lines.append(line)
    return lines


@pytest.mark.parametrize("name", sorted(path.stem for path in PROGRAMS.glob("*.c")))
def test_like_strace(name: str, arch: str, tmp_path: Path) -> None:
    require("strace")
    program = musl_program((PROGRAMS / f"{name}.c").read_text(), arch, tmp_path)
    (tmp_path / "native").mkdir()
    (tmp_path / "emulated").mkdir()
    native = subprocess.run(
        ["strace", str(program)], cwd=tmp_path / "native", stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if "PTRACE" in native.stderr or "ptrace" in native.stderr:
        pytest.skip("strace may not trace here")
    emulated = subprocess.run(
        [sys.executable, "-m", "uselib.cli", "run", "--writable", ".", "--strace", str(program)],
        cwd=tmp_path / "emulated",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert comparable(emulated.stderr) == comparable(native.stderr)


def test_two_runs_are_the_same(tmp_path: Path) -> None:
    """Byte for byte: process numbers, addresses and times included."""
    program = musl_program((PROGRAMS / "waits.c").read_text(), "x86_64", tmp_path)
    command = [sys.executable, "-m", "uselib.cli", "run", "--strace", str(program)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.run(command, cwd=tmp_path, capture_output=True, env=environment, stdin=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert runs[0].stderr == runs[1].stderr
    assert b"getpid" in runs[0].stderr or b"kill" in runs[0].stderr


LINES: list[tuple[str, tuple[int | bytes | str, ...], str]] = [
    ("openat", (-100, b"file", 0o2000000, 0), 'openat(AT_FDCWD, "file", O_RDONLY|O_CLOEXEC) = 0'),
    ("read", (0, "BUFFER", 10), 'read(0, "abc", 10)                      = 3'),
    ("read", (0, "BUFFER", 10), 'read(0, "", 10)                         = 0'),
    (
        "write",
        (0, b"x" * 40, 40),
        'write(0, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"..., 40) = -1 EBADF (Bad file descriptor)',
    ),
    (
        "openat",
        (-100, b"\xff\x01new", 0o101, 0o600),
        'openat(AT_FDCWD, "\\377\\1new", O_WRONLY|O_CREAT, 0600) = -1 EROFS (Read-only file system)',
    ),
    ("openat", (-100, 5, 0, 0), "openat(AT_FDCWD, 0x5, O_RDONLY)         = -1 EFAULT (Bad address)"),
    ("openat", (-100, b"sub", 0o200000, 0), 'openat(AT_FDCWD, "sub", O_RDONLY|O_DIRECTORY) = 1'),
    ("getdents64", (1, "BUFFER", 1000), "getdents64(1, BUFFER /* 2 entries */, 1000) = 48"),
    ("nanosleep", (0, 0), "nanosleep(NULL, NULL)                   = -1 EFAULT (Bad address)"),
    ("clock_gettime", (1, "BUFFER"), "clock_gettime(CLOCK_MONOTONIC, {tv_sec=0, tv_nsec=10000}) = 0"),
    ("clock_gettime", (99, "BUFFER"), "clock_gettime(99, BUFFER)             = -1 EINVAL (Invalid argument)"),
    ("prlimit64", (0, 7, 0, "BUFFER"), "prlimit64(0, RLIMIT_NOFILE, NULL, {rlim_cur=1024, rlim_max=4*1024}) = 0"),
    ("uname", ("BUFFER",), 'uname({sysname="Linux", nodename="uselib", ...}) = 0'),
    ("getcwd", ("BUFFER", 1), "getcwd(BUFFER, 1)                     = -1 ERANGE (Numerical result out of range)"),
    ("fcntl", (0, 1030, 10), "fcntl(0, F_DUPFD_CLOEXEC, 10)           = 10"),
    ("fcntl", (10, 1, 0), "fcntl(10, F_GETFD)                      = 0x1 (flags FD_CLOEXEC)"),
    ("pipe2", ("BUFFER", 0o2000000), "pipe2([2, 3], O_CLOEXEC)                = 0"),
    ("fchmod", (0, 0o644), "fchmod(0, 0644)                         = -1 EROFS (Read-only file system)"),
    (
        "statx",
        (-100, b"file", 0x100, 0x7FF, "BUFFER"),
        'statx(AT_FDCWD, "file", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, {stx_mask=STATX_BASIC_STATS, stx_attributes=0, '
        "stx_mode=S_IFREG|0644, stx_size=3, ...}) = 0",
    ),
    ("fstat", (0, "BUFFER"), "fstat(0, {st_mode=S_IFREG|0644, st_size=3, ...}) = 0"),
    ("epoll_create1", (0o2000000,), "epoll_create1(O_CLOEXEC)                = 4"),
    ("socket", (2, 0o2000001, 0), "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0) = 5"),
    ("getsockname", (5, "BUFFER", 8), "getsockname(5, BUFFER, 0x8)           = -1 EFAULT (Bad address)"),
    (
        "setsockopt",
        (5, 1, 20, 0, 0),
        "setsockopt(5, SOL_SOCKET, SO_RCVTIMEO_OLD, NULL, 0) = -1 EINVAL (Invalid argument)",
    ),
    ("shutdown", (5, 2), "shutdown(5, SHUT_RDWR)                  = -1 ENOTCONN (Transport endpoint is not connected)"),
    (
        "bind",
        (5, b"\2\0\0\x50\x7f\0\0\1" + bytes(8), 16),
        'bind(5, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EACCES (Permission denied)',
    ),
    ("setrlimit", (1, 0), "setrlimit(RLIMIT_FSIZE, NULL)           = -1 EFAULT (Bad address)"),
    ("open_by_handle_at", (1, 2), "open_by_handle_at(0x1, 0x2, 0, 0, 0, 0) = -1 ENOSYS (Function not implemented)"),
]


@pytest.mark.parametrize("machine", list(Machine), ids=lambda machine: machine.label)
def test_lines(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "file").chmod(0o644)
    (tmp_path / "sub").mkdir()
    with kernel(machine, cwd=str(tmp_path)) as guest:
        for name, arguments, expected in LINES:
            output = io.StringIO()
            guest.observe(Strace(guest.process, output))
            guest(name, *(guest.buffer if argument == "BUFFER" else argument for argument in arguments))
            assert output.getvalue() == expected.replace("BUFFER", hex(guest.buffer)) + "\n"


def test_the_64_bit_arguments_of_i386(tmp_path: Path) -> None:
    """They take two registers and are shown as one number."""
    output = io.StringIO()
    with kernel(Machine.I386, cwd=str(tmp_path)) as guest:
        guest.observe(Strace(guest.process, output))
        guest("pread64", 9, guest.buffer, 5, 1, 2)
        guest("ftruncate64", 9, 0xFFFFFFFF, 0xFFFFFFFF)
        guest("fadvise64_64", 9, 1, 0, 2, 0, 4)
        guest("_llseek", 9, 1, 2, guest.buffer, 0)
    address = hex(guest.buffer)
    assert [line.split("=")[0].rstrip() for line in output.getvalue().splitlines()] == [
        f"pread64(9, {address}, 5, 8589934593)",
        "ftruncate64(9, -1)",
        "fadvise64_64(9, 1, 2, POSIX_FADV_DONTNEED)",
        f"_llseek(9, 4294967298, {address}, SEEK_SET)",
    ]


def test_the_end(tmp_path: Path) -> None:
    output = io.StringIO()
    with kernel(Machine.X86_64, cwd=str(tmp_path)) as guest:
        strace = Strace(guest.process, output)
        strace.delivered(SignalInfo(11, 1, fault=True))
        strace.delivered(SignalInfo(14, 0x80))
        strace.delivered(SignalInfo(10, -6, pid=1000, uid=1000))
        strace.delivered(SignalInfo(17, 1, pid=1001, uid=1000, status=3))
        strace.ended(ProcessEnded(3))
        strace.ended(ProcessEnded(signal=11))
    assert output.getvalue().splitlines() == [
        "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL} ---",
        "--- SIGALRM {si_signo=SIGALRM, si_code=SI_KERNEL} ---",
        "--- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_TKILL, si_pid=1000, si_uid=1000} ---",
        "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=1001, si_uid=1000, si_status=3, si_utime=0, si_stime=0} ---",
        "+++ exited with 3 +++",
        "+++ killed by SIGSEGV +++",
    ]


def test_parts() -> None:
    assert quoted(b'a"\\\n\0001\xff') == '"a\\"\\\\\\n\\0001\\377"'
    assert flag_names("open", 0o2102) == "O_RDWR|O_CREAT|O_APPEND"
    assert flag_names("open", 0o4010000) == "O_RDONLY|O_SYNC"
    assert flag_names("prot", 0) == "PROT_NONE"
    assert flag_names("map", 0x22 | 1 << 28) == "MAP_PRIVATE|MAP_ANONYMOUS|0x10000000"
    assert signal_set(0) == "[]"
    assert signal_set(1 << 1 | 1 << 14) == "[INT TERM]"
    assert signal_set((1 << 64) - 1 - (1 << 8)) == "~[KILL]"


FORKS = r"""
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
    int status;
    if (!fork()) { close(77); _exit(4); }
    wait(&status);
    return 0;
}
"""


def test_children_are_marked(tmp_path: Path) -> None:
    program = musl_program(FORKS, "x86_64", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "uselib.cli", "run", "--strace", str(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    lines = done.stderr.splitlines()
    assert "[pid 1001] close(77)                               = -1 EBADF (Bad file descriptor)" in lines
    assert "[pid 1001] +++ exited with 4 +++" in lines
    assert "wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 4}], 0, NULL) = 1001" in lines
    assert lines[-1] == "+++ exited with 0 +++"
