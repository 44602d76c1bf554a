"""A system call returns a number for all arguments: no Python exception leaves the dispatcher. It changes only what its row in the table
says.
"""

from __future__ import annotations

import io
import os
import random
import stat
from pathlib import Path

import pytest

from support.kernel import DATA, ROOM, Kernel, kernel
from uselib.emulator.kernel import table
from uselib.emulator.kernel.dispatch import BoundSyscall
from uselib.emulator.kernel.strace.effects import changes
from uselib.emulator.kernel.strace.strace import Strace
from uselib.emulator.process.interfaces import ContextReplaced, ProcessEnded
from uselib.linker.image import Machine

# Calls that end, copy, stop or signal the process, or wait as they should: see test_kernel_programs and the signal tests.
LEFT_OUT = set(
    """
exit exit_group fork vfork clone execve execveat wait4 waitpid waitid pause sigsuspend rt_sigsuspend
rt_sigtimedwait rt_sigtimedwait_time64 kill tkill tgkill rt_sigqueueinfo sigreturn rt_sigreturn poll ppoll
ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_wait epoll_pwait epoll_pwait2 futex futex_time64
rt_tgsigqueueinfo flock futex_waitv clone3
socket socketpair socketcall semop semtimedop semtimedop_time64 msgsnd msgrcv ipc
mq_open signalfd signalfd4 timerfd_create inotify_init inotify_init1 pidfd_send_signal
""".split()
)
# Calls whose handlers need a CPU, real signals, or a machine
NEED_MACHINE = {
    row.name
    for row in table.rows()
    if row.handler.__module__.rpartition(".")[2] in ("signals", "interval_timers", "processes")
}


VALUES = [
    *(*range(9), 100, 4096, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, -1, -2, -100, 1 << 31, 1 << 62, 0x10000, 1 << 40),
    *(DATA, DATA + 64, DATA + 128, DATA + ROOM - 4, DATA + ROOM, DATA - 4),  # addresses
    *(0x5401, 0x5413, 0o100, 0o200000, 0o10000000),  # requests and flags
]


def values(random_: random.Random, machine: Machine) -> int:
    return random_.choice(VALUES) & ((1 << 8 * machine.word) - 1)


def prepare(guest: Kernel, random_: random.Random, world: Path) -> None:
    """Some descriptors of each kind, and paths, small numbers and noise in memory."""
    guest.memory.data_limit = guest.memory.lock_limit = None  # of setrlimit
    guest.memory.map(DATA, ROOM, 3, placement="fixed")
    names = [
        b"file",
        b"",
        b".",
        b"..",
        b"/",
        b"dir",
        b"dir/x",
        b"/dev/null",
        b"/proc/self/fd/3",
        b"/proc/self/maps",
        b"link",
    ]
    names += [
        b"/proc/self/fd",
        b"/dev/fd/0/..",
        b"x" * 300,
        b"new%d" % random_.randrange(10),
        b"/nowhere/x",
        b"loop/y",
        b"\xff",
    ]
    for place in range(0, 192, 64):
        kind = random_.randrange(3)
        if kind == 0:
            data = random_.choice(names) + b"\0"
        elif kind == 1:
            data = b"".join(
                random_.choice([0, 1, 2, 4096, DATA, DATA + 64, 0xFFFFFFFF]).to_bytes(guest.machine.word, "little")
                for _ in range(8)
            )
        else:
            data = random_.randbytes(64)
        guest.memory.write(DATA + place, data[:64])
    for path, flags in (
        (b"file", 2),
        (b"dir", 0o200000),
        (b"/dev/urandom", 0),
        (b"/", 0),
        (b"file", 0o10000000),
        (b"/dev/null", 2),
    ):
        if len(guest.process.files.descriptors) < 12:
            guest.memory.write(DATA + 1024, path + b"\0")
            guest("openat", -100, DATA + 1024, flags, 0)
    if len(guest.process.files.descriptors) < 14:
        guest("pipe2", guest.buffer, 0o4000)
        guest("epoll_create1", 0)


def state(top: Path) -> list[tuple[str, int, int, int, int, int, int, int, bytes]]:
    """Names, kinds, owners, sizes, times and the first bytes of what is there."""
    found = []
    for path in sorted(top.rglob("*")):
        s, head = path.lstat(), b""
        if stat.S_ISREG(s.st_mode):
            with path.open("rb") as file:
                head = file.read(256)
        times = s.st_mtime_ns if not stat.S_ISDIR(s.st_mode) else 0  # a directory's changes with its entries
        size = s.st_size if not stat.S_ISDIR(s.st_mode) else 0
        found.append((str(path), s.st_mode, s.st_nlink, s.st_uid, s.st_gid, size, s.st_blocks, times, head))
    return found


# Calls that write where a block in memory says, or into the elements of an iovec
INDIRECT = {"readv", "preadv", "preadv2", "socketcall"}
INDIRECT_I386 = {"select"}


def may_write(call: BoundSyscall, arguments: list[int], address: int) -> bool:
    """The row has an argument that points there, or before it."""
    at = [value for kind, value in zip(call.row.arguments, arguments, strict=True) if kind.written]
    return any(start <= address < start + ROOM for start in at)


@pytest.mark.parametrize("machine", list(Machine), ids=lambda machine: machine.label)
@pytest.mark.parametrize("seed", range(3))
def test_any_arguments(machine: Machine, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random_ = random.Random(seed)
    (tmp_path / "file").write_bytes(b"contents")
    (tmp_path / "dir").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    secret = tmp_path.parent / f"{tmp_path.name}-outside"
    secret.write_bytes(b"untouched")
    calls = [row for row in table.for_machine(machine).values() if row.name not in LEFT_OUT | NEED_MACHINE]
    indirect = INDIRECT | (INDIRECT_I386 if machine is Machine.I386 else set())
    written: list[int] = []
    arrived = os.eventfd(1)  # a signal is always there, so that nothing waits for ever
    with kernel(machine, cwd=str(tmp_path), writable=[str(tmp_path)]) as guest:
        guest.signals.wakeup_fd = arrived
        write = guest.memory.write

        def noted_write(address: int, data: bytes) -> None:
            written.append(address)
            write(address, data)

        monkeypatch.setattr(guest.memory, "write", noted_write)
        before = state(tmp_path)
        if seed:  # --strace must make a line of anything, too
            guest.observe(Strace(guest.process, io.StringIO()))
        for turn in range(3000):
            if turn % 10 == 0:
                prepare(guest, random_, tmp_path)
                before = state(tmp_path)
            row = random_.choice(calls)
            arguments = [values(random_, machine) for _ in range(6)]
            call = BoundSyscall(row, machine)
            taken = call.arguments(arguments)
            effect = changes(row, taken)
            written.clear()
            try:
                result = guest(row.name, *arguments)
            except (ProcessEnded, ContextReplaced):
                continue
            except BaseException as failure:
                raise AssertionError(f"{row.name}{tuple(map(hex, arguments))}") from failure
            assert isinstance(result, int) and result >= -4095, (row.name, arguments, result)
            after = state(tmp_path)
            assert effect or before == after, (row.name, taken)
            before = after
            assert row.name in indirect or all(may_write(call, taken, address) for address in written), (
                row.name,
                taken,
            )
    os.close(arrived)
    assert secret.read_bytes() == b"untouched"


def test_every_call_has_one_row() -> None:
    for machine in Machine:
        seen: set[str] = set()
        for row in table.rows():
            if row.machine in (None, machine):
                assert row.name not in seen, row.name
                seen.add(row.name)


def test_rows_name_real_calls_and_take_at_most_six_words() -> None:
    names = {name for machine in Machine for name in table.numbers(machine)}
    for row in table.rows():
        assert row.name in names, row.name
        assert len(row.arguments) <= 6, row.name
