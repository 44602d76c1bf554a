"""Descriptors, reading and writing, and the limits on them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kernel import DATA, ROOM, Kernel, kernel
from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel import limits
from uselib.emulator.kernel.calls.files import MEMORY_FILE_SIZE, MEMORY_FILES
from uselib.linker.image import Machine

AT = C.AT_FDCWD
CREATE = C.O_CREAT | C.O_RDWR


@pytest.fixture
def guest(machine: Machine, tmp_path: Path) -> Iterator[Kernel]:
    with kernel(machine, cwd=str(tmp_path), writable=[str(tmp_path)]) as made:
        yield made


def test_large_reads_and_writes(guest: Kernel, tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    guest.memory.map(0x1000000, 4 << 20, 3, placement="fixed")
    guest.memory.write(0x1000000, data)
    fd = guest.open(b"big", CREATE)
    assert guest.result("write", fd, 0x1000000, len(data)) == len(data)
    assert (tmp_path / "big").read_bytes() == data
    guest.memory.write(0x1000000, bytes(len(data)))
    assert guest.result("lseek", fd, 0, 0) == 0
    assert guest.result("read", fd, 0x1000000, 4 << 20) == len(data)
    assert guest.memory.read(0x1000000, len(data)) == data


def test_a_buffer_that_ends_before_the_file(guest: Kernel, tmp_path: Path) -> None:
    """Only the used part of a buffer must be mapped."""
    (tmp_path / "small").write_bytes(b"0123456789")
    fd = guest.open(b"small")
    assert guest.result("read", fd, DATA + ROOM - 100, 1 << 20) == 10
    assert guest.result("pread64", fd, DATA + ROOM - 5, 10, 0) == "EFAULT"
    assert guest.result("lseek", fd, 0, 0) == 0
    assert guest.result("read", fd, DATA + ROOM - 5, 10) == "EFAULT"
    assert guest.result("lseek", fd, 0, 1) == 0


def test_a_writev_of_pieces_is_one_write(guest: Kernel) -> None:
    """As a reader of the pipe sees it."""
    assert guest.result("pipe2", guest.buffer, C.O_NONBLOCK) == 0
    read, write = struct.unpack("<ii", guest.bytes(8))
    word = "<4I" if guest.machine is Machine.I386 else "<4Q"
    guest.memory.write(DATA, b"hello world")
    guest.memory.write(DATA + 64, struct.pack(word, DATA, 6, DATA + 6, 5))
    assert guest.result("writev", write, DATA + 64, 2) == 11
    assert guest.read(read) == b"hello world"


def test_the_number_of_descriptors_is_limited(guest: Kernel) -> None:
    guest.process.files.limit = 5
    opened = [guest.open(b"/dev/null") for _ in range(7)]
    assert opened == [0, 1, 2, 3, 4, "EMFILE", "EMFILE"]
    for name, arguments in (("dup", (0,)), ("pipe2", (guest.buffer, 0)), ("epoll_create1", (0,)), ("eventfd2", (0, 0))):
        assert guest.result(name, *arguments) == "EMFILE", name
    assert guest.result("dup2", 0, 5) == "EBADF"
    guest("close", 1)
    assert guest.result("socketpair", 1, 1, 0, guest.buffer) == "EMFILE"
    assert guest.open(b"/dev/null") == 1


def test_failed_opens_leak_no_host_descriptors(guest: Kernel, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dir").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    guest.process.files.limit = 3
    for _ in range(50):
        for path in (b"file", b"dir", b"none", b"/dev/null", b"/proc/self/maps", b"dir/../file", b"file/x"):
            guest.open(path, 0)
            guest.open(path, C.O_PATH)
        for name in ("stat", "access", "chdir", "truncate", "mkdir", "unlink", "readlink"):
            guest.result(name, b"dir/none", guest.buffer, 100)
        guest("pipe2", guest.buffer, 0)
        guest("memfd_create", b"x", 0)
        guest("epoll_create1", 0)
        for fd in range(3):
            guest("close", fd)
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_file_size_limit(guest: Kernel, tmp_path: Path) -> None:
    guest.process.limits.values[limits.FSIZE] = (100, 100)
    fd = guest.open(b"file", CREATE)
    assert guest.result("write", fd, b"x" * 90, 90) == 90
    assert guest.result("write", fd, b"x" * 90, 90) == 10
    assert guest.result("write", fd, b"x", 1) == "EFBIG"
    assert guest.result("pwrite64", fd, b"x", 1, 200, 0) == "EFBIG"
    assert guest.result("ftruncate", fd, 101) == "EFBIG"
    assert guest.result("ftruncate", fd, 100) == 0
    assert guest.signals.sent == [25] * 3
    assert (tmp_path / "file").stat().st_size == 100


def test_files_in_memory_are_bounded(guest: Kernel) -> None:
    """They would be a way to fill the host's memory."""
    fds = [guest.result("memfd_create", b"x", 0) for _ in range(MEMORY_FILES + 1)]
    assert fds[-1] == "ENFILE"
    assert guest.result("ftruncate", fds[0], MEMORY_FILE_SIZE) == 0
    assert guest.result("ftruncate", fds[0], MEMORY_FILE_SIZE + 1) == "EFBIG"
    assert guest.result("lseek", fds[0], MEMORY_FILE_SIZE - 1, 0) == MEMORY_FILE_SIZE - 1
    assert guest.result("write", fds[0], b"ab", 2) == 1
    assert guest.result("write", fds[0], b"ab", 2) == "EFBIG"
    assert guest.result("pwrite64", fds[1], b"ab", 2, MEMORY_FILE_SIZE, 0) == "EFBIG"
    assert not guest.signals.sent  # SIGXFSZ belongs to RLIMIT_FSIZE


def test_close_on_exec(guest: Kernel) -> None:
    kept = guest.open(b"/dev/null")
    closed = guest.open(b"/dev/null", C.O_CLOEXEC)
    copy = guest.result("dup", closed)
    guest.process.files.close_on_exec()
    assert sorted(guest.process.files.descriptors) == [kept, copy]


def test_a_broken_pipe_sends_sigpipe(guest: Kernel) -> None:
    assert guest.result("pipe2", guest.buffer, 0) == 0
    read, write = struct.unpack("<ii", guest.bytes(8))
    guest("close", read)
    assert guest.result("write", write, b"x", 1) == "EPIPE"
    assert guest.signals.sent == [13]


def test_an_arriving_signal_ends_waiting(guest: Kernel) -> None:
    """The wakeup descriptor of the signal code is watched together with the file."""
    assert guest.result("pipe2", guest.buffer, 0) == 0
    read, write = struct.unpack("<ii", guest.bytes(8))
    arrived = os.eventfd(1)
    try:
        guest.signals.wakeup_fd = arrived
        assert guest.result("read", read, guest.buffer, 1) == "EINTR"
        total = 0
        while (count := guest.result("write", write, DATA, 65536)) != "EINTR":
            assert isinstance(count, int)
            total += count
        assert total == 65536
        assert len(guest.read(read, 65536)) == 65536
        guest.memory.write(DATA, struct.pack("<ihh", read, 1, 0))
        assert guest.result("poll", DATA, 1, -1) == "EINTR"
        assert guest.result("poll", DATA, 1, 0) == 0
    finally:
        guest.signals.wakeup_fd = -1
        os.close(arrived)


def test_time_is_deterministic(tmp_path: Path) -> None:
    def story() -> list[object]:
        with kernel(Machine.X86_64, cwd=str(tmp_path)) as guest:
            told: list[object] = []
            for name, arguments in (
                ("clock_gettime", (0, guest.buffer)),
                ("nanosleep", (DATA, 0)),
                ("clock_gettime", (1, guest.buffer)),
                ("getrandom", (guest.buffer, 16, 0)),
                ("times", (guest.buffer,)),
                ("time", (0,)),
                ("gettimeofday", (guest.buffer, 0)),
                ("sysinfo", (guest.buffer,)),
                ("getpid", ()),
            ):
                guest.memory.write(DATA, struct.pack("<qq", 3600, 5))
                told += [guest.result(name, *arguments), guest.bytes(16)]
            return told

    assert story() == story()


def test_sleeping_takes_no_time_but_moves_the_clock(guest: Kernel) -> None:
    word = "<ii" if guest.machine is Machine.I386 else "<qq"
    guest("clock_gettime", 1, guest.buffer)
    before = struct.unpack(word, guest.bytes(struct.calcsize(word)))
    guest.memory.write(DATA, struct.pack(word, 100000, 0))
    assert guest.result("nanosleep", DATA, 0) == 0
    guest("clock_gettime", 1, guest.buffer)
    after = struct.unpack(word, guest.bytes(struct.calcsize(word)))
    assert 100000 <= after[0] - before[0] <= 100001


def test_a_timer_ends_a_sleep(guest: Kernel) -> None:
    word = "<ii" if guest.machine is Machine.I386 else "<qq"
    guest.process.clock.alarm_at = guest.process.clock.now + 2 * 10**9
    guest.memory.write(DATA, struct.pack(word, 5, 0))
    assert guest.result("nanosleep", DATA, guest.buffer) == "EINTR"
    assert struct.unpack(word, guest.bytes(struct.calcsize(word))) == (3, 0)


def test_directory_entries_are_sorted_and_can_be_read_in_parts(guest: Kernel, tmp_path: Path) -> None:
    names = sorted(f"name{number * 7919 % 1000:03}".encode() for number in range(100))
    for name in reversed(names):
        (tmp_path / os.fsdecode(name)).touch()
    assert guest.entries(b".") == [b".", b"..", *names]
    fd = guest.open(b".", C.O_DIRECTORY)
    assert guest.result("getdents64", fd, guest.buffer, 10) == "EINVAL"
    total = 0
    while size := guest("getdents64", fd, guest.buffer, 64):
        assert 0 < size <= 64
        total += size
    assert guest.result("lseek", fd, 0, 0) == 0
    assert guest.result("getdents64", fd, guest.buffer, 100000) == total
    assert guest.result("getdents", fd, guest.buffer, 100) == 0
    assert guest.result("lseek", fd, 0, 0) == 0
    assert guest.result("getdents", fd, guest.buffer, 100000) > 100


def test_proc_self(guest: Kernel, tmp_path: Path) -> None:
    guest.process.identity.executable = "/bin/prog"
    guest.process.identity.command_line = (b"prog", b"arg")
    fd = guest.open(b"/dev/null")
    assert guest.result("readlink", b"/proc/self/exe", guest.buffer, 100) == 9
    assert guest.bytes(9) == b"/bin/prog"
    assert guest.contents(b"/proc/self/cmdline") == b"prog\0arg\0"
    maps = guest.contents(b"/proc/self/maps")
    assert isinstance(maps, bytes) and maps.startswith(b"00100000-00300000 rw-p 00000000 00:00 0")
    assert guest.entries(b"/proc/self/fd") == [b".", b"..", b"0", b"1"]
    assert guest.result("readlink", b"/proc/self/fd/%d" % fd, guest.buffer, 100) == 9
    assert guest.bytes(9) == b"/dev/null"
    assert guest.result("readlink", b"/proc/self/cwd", guest.buffer, 4096) == len(os.fsencode(tmp_path))


def test_status_is_that_of_an_ordinary_user(guest: Kernel, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert guest.result("statx", AT, b"file", 0, 0x7FF, guest.buffer) == 0
    status = guest.process.structs["statx"].decode(guest.bytes(256))
    assert (status["uid"], status["gid"], status["size"]) == (1000, 1000, 5)
    assert status["ino"] == (tmp_path / "file").stat().st_ino
    assert guest.result("chown", b"file", 0, 0) == "EPERM"
    assert guest.result("setuid", 0) == "EPERM"
    assert guest.result("chown", b"file", 1000, 1000) == 0


def test_unknown_calls_are_named_once(guest: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    assert guest.result("open_by_handle_at", 0) == guest.result("open_by_handle_at", 0) == "ENOSYS"
    assert guest.dispatcher.call(9999, (0,) * 6) == -38
    said = capsys.readouterr().err.splitlines()
    number = guest.numbers["open_by_handle_at"]
    label = guest.machine.label
    assert said == [
        f"uselib: system call open_by_handle_at ({number}) is not implemented on {label}: the program gets ENOSYS",
        f"uselib: there is no system call 9999 on {label}: the program gets ENOSYS",
    ]


def test_locks_exclude_each_other_and_signals_end_the_wait(guest: Kernel, tmp_path: Path) -> None:
    first, second = guest.open(b"lock", CREATE), guest.open(b"lock", CREATE)
    assert guest.result("flock", first, 2) == 0
    assert guest.result("flock", second, 2 | 4) == "EAGAIN"
    arrived = os.eventfd(1)
    try:
        guest.signals.wakeup_fd = arrived
        assert guest.result("flock", second, 2) == "EINTR"
        assert guest.result("flock", first, 8) == 0
        assert guest.result("flock", second, 2) == 0
    finally:
        guest.signals.wakeup_fd = -1
        os.close(arrived)
    assert guest.result("flock", second, 0) == "EINVAL"
