"""A kernel without a CPU, for the tests of system calls."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from uselib.emulator.kernel import table
from uselib.emulator.kernel.clock import Clock
from uselib.emulator.kernel.dispatch import Dispatcher, Observer
from uselib.emulator.kernel.errors import errno_name
from uselib.emulator.kernel.identity import ProcessIdentity
from uselib.emulator.kernel.process import LoadedProgram, Process
from uselib.emulator.kernel.signals.timers import ProcessTimers
from uselib.emulator.kernel.structs import structs_of
from uselib.emulator.kernel.threads.thread import Thread
from uselib.emulator.kernel.vfs.descriptors import FileTable
from uselib.emulator.kernel.vfs.filesystem import FileSystem
from uselib.emulator.kernel.vfs.namespace import Namespace
from uselib.emulator.kernel.vfs.opening import ProcessView
from uselib.emulator.process.no_program import NoRegisters
from uselib.linker.image import Machine
from uselib.loader.memory.address_space import AddressSpace

DATA = 0x100000  # where the tests' arguments are
ROOM = 0x200000


class NoTimers(ProcessTimers):
    """They are armed, and never expire."""

    def __init__(self) -> None:
        super().__init__(Clock(), lambda: None, lambda: None)

    def check(self) -> None:
        pass


class NoSignals:
    """Signals of a process that never gets one from outside."""

    wakeup_fd = -1

    def __init__(self, thread: Thread) -> None:
        self.thread = thread
        self.sent: list[int] = []
        self.pending: Any = []
        self.actions: dict[int, Any] = {}
        self.on_post: list[Any] = []
        self.clock: Clock | None = None
        self.timers = NoTimers()

    def deliverable(self) -> bool:
        """Something to read at `wakeup_fd` stands for a signal, too, and so does an alarm."""
        if self.clock is not None and self.clock.alarm_at is not None and self.clock.now >= self.clock.alarm_at:
            return True
        return bool(self.pending) or (self.wakeup_fd >= 0 and bool(select.select([self.wakeup_fd], [], [], 0)[0]))

    def drain(self) -> None:
        pass

    def is_ignored(self, signal: int) -> bool:
        return False

    def handler(self, signal: int) -> int:
        return 0

    def send(self, signal: int) -> None:
        self.sent.append(signal)

    def set_blocked(self, mask: int) -> None:
        self.thread.blocked = mask


class Kernel:
    """One process; `kernel("openat", -100, b"file", 0, 0)` is a system call.

    Bytes among the arguments are put into guest memory and replaced by their address (bytes get a NUL at the end).
    """

    def __init__(self, machine: Machine, **grants: Any) -> None:
        self.machine = machine
        namespace = Namespace.build(**grants)
        self.memory = AddressSpace(machine.word * 8)
        cwd = b"/" if grants.get("root") else os.fsencode(grants["cwd"])
        identity = ProcessIdentity()
        thread = Thread(identity.pid)
        self.signals = NoSignals(thread)
        self.process = Process(
            LoadedProgram(machine, structs_of(machine), self.memory, NoRegisters(8 * machine.word)),
            FileTable(),
            FileSystem(namespace, cwd),
            identity,
            thread,
            self.signals,  # type: ignore[arg-type]
        )
        namespace.attach(ProcessView(self.process))
        self.signals.clock = self.process.clock
        self.dispatcher = Dispatcher(self.process)
        self.numbers = table.numbers(machine)
        self.memory.map(DATA, ROOM, 3, placement="fixed")
        self.buffer = DATA + ROOM // 2

    def observe(self, observer: Observer) -> None:
        self.dispatcher.observer = observer

    def __call__(self, name: str, *arguments: int | bytes) -> int:
        mask = (1 << 8 * self.machine.word) - 1
        raw = []
        free = DATA
        for argument in arguments:
            if isinstance(argument, bytes):
                self.memory.write(free, argument + b"\0")
                raw.append(free)
                free += (len(argument) + 16) & ~15
            else:
                raw.append(argument & mask)
        raw += [0] * (6 - len(raw))
        return self.dispatcher.call(self.numbers[name], tuple(raw))

    def result(self, name: str, *arguments: int | bytes) -> int | str:
        """The result, or the name of the error."""
        value = self(name, *arguments)
        return errno_name(-value) if -4096 < value < 0 else value

    def open(self, path: bytes, flags: int = 0, mode: int = 0o644) -> int | str:
        return self.result("openat", -100, path, flags, mode)

    def read(self, fd: int, count: int = 4096) -> bytes:
        size = self("read", fd, self.buffer, count)
        assert size >= 0, errno_name(-size)
        return self.memory.read(self.buffer, size)

    def contents(self, path: bytes) -> bytes | str:
        """The contents of a file, or the name of the error that opening it gives."""
        fd = self.open(path)
        if isinstance(fd, str):
            return fd
        try:
            return self.read(fd)
        finally:
            self("close", fd)

    def bytes(self, size: int, offset: int = 0) -> bytes:
        return self.memory.read(self.buffer + offset, size)

    def entries(self, path: bytes) -> list[bytes]:
        """Names in a directory, through getdents64."""
        fd = self.open(path, 0o200000)
        assert isinstance(fd, int), fd
        names = []
        while (size := self("getdents64", fd, self.buffer, 4096)) > 0:
            data, position = self.bytes(size), 0
            while position < size:
                length = int.from_bytes(data[position + 16 : position + 18], "little")
                names.append(data[position + 19 : position + length].split(b"\0")[0])
                position += length
        assert size == 0, errno_name(-size)
        self("close", fd)
        return names

    def close(self) -> None:
        self.process.files.close_all()
        self.memory.release()


@contextmanager
def kernel(machine: Machine, **grants: Any) -> Iterator[Kernel]:
    made = Kernel(machine, **grants)
    mask = os.umask(0o22)
    try:
        yield made
    finally:
        os.umask(mask)  # the guest's is the host process's
        made.close()
