"""From a system-call number and registers to a handler and a result."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

from uselib.emulator.kernel import table
from uselib.emulator.kernel.arguments import ArgumentKind, Width
from uselib.emulator.kernel.errors import GuestError, guest_errno
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.shared.process_rows import RUNNING, SLEEPING
from uselib.emulator.kernel.table import Handler, Syscall
from uselib.emulator.process.interfaces import ContextReplaced, ProgramReplaced
from uselib.linker.image import Machine
from uselib.linker.quick_typing import Protocol
from uselib.loader.memory.address_space import MemoryFault

Convert = Callable[[int], int]


def _signed(bits: int) -> Convert:
    """An unsigned register as a signed number of its lowest `bits` bits."""
    mask, sign = (1 << bits) - 1, 1 << (bits - 1)
    return lambda value: ((value & mask) ^ sign) - sign


# Width -> conversion of a register's unsigned value; a width without a row needs none.
CONVERSIONS: dict[Machine, dict[Width, Convert]] = {
    Machine.I386: {Width.INT: _signed(32), Width.LONG: _signed(32), Width.WIDE: _signed(64)},
    Machine.X86_64: {
        Width.INT: _signed(32),
        Width.UINT: lambda value: value & 0xFFFF_FFFF,
        Width.LONG: _signed(64),
        Width.WIDE: _signed(64),
    },
}


class Observer(Protocol):
    """Sees each call, for `--strace`."""

    def enter(self, row: Syscall, arguments: Sequence[int]) -> None: ...
    def leave(self, row: Syscall, arguments: Sequence[int], result: int | None) -> None:
        """`result` as the guest sees it (-errno for an error); None: the call did not return."""

    def unknown(self, name: str, raw: Sequence[int]) -> None: ...


def asleep(handler: Handler) -> Handler:
    """Makes the handler of a call that may wait: the guest's other processes see this one as sleeping meanwhile."""

    def sleeping(process: Process, *arguments: int) -> int:
        pids = process.pids
        if pids.alone:
            return handler(process, *arguments)
        pids.set_state(process.identity.pid, SLEEPING)
        try:
            return handler(process, *arguments)
        finally:
            pids.set_state(process.identity.pid, RUNNING)

    return sleeping


class BoundSyscall:
    """A row made ready for one machine: which registers make which arguments."""

    __slots__ = ("_conversions", "_count", "_wide", "handler", "row")

    def __init__(self, row: Syscall, machine: Machine) -> None:
        convert = CONVERSIONS[machine]
        self.row = row
        self.handler: Handler = asleep(row.handler) if row.name in table.MAY_WAIT else row.handler
        self._count = len(row.arguments)
        self._wide = machine is Machine.I386 and any(kind.width is Width.WIDE for kind in row.arguments)
        self._conversions: tuple[tuple[int, Convert], ...] = tuple(
            (index, convert[kind.width]) for index, kind in enumerate(row.arguments) if kind.width in convert
        )

    def arguments(self, raw: Sequence[int]) -> list[int]:
        """The handler's arguments from the six argument registers (unsigned words)."""
        values = join_pairs(self.row.arguments, raw) if self._wide else list(raw[: self._count])
        for index, conversion in self._conversions:
            values[index] = conversion(values[index])
        return values


def join_pairs(kinds: Sequence[ArgumentKind], raw: Sequence[int]) -> list[int]:
    """i386: a 64-bit argument takes two registers, the low half first."""
    registers = iter(raw)
    return [next(registers) | (next(registers) << 32 if kind.width is Width.WIDE else 0) for kind in kinds]


class Dispatcher:
    """Calls the handlers of one process."""

    def __init__(self, process: Process, observer: Observer | None = None) -> None:
        self.process = process
        self.observer = observer
        self._machine = process.machine
        self._rows = table.for_machine(process.machine)
        self._bindings: dict[int, BoundSyscall] = {}

    def call(self, number: int, raw: Sequence[int]) -> int:
        """Does a system call. `raw`: the six argument registers, unsigned words of the guest.

        Returns the result as a signed number, -4095..-1 being an error; the caller cuts it to a word. ProcessEnded
        and ContextReplaced pass through: then there is no result to store.
        """
        binding = self._bindings.get(number)
        if binding is None:
            row = self._rows.get(number)
            if row is None:
                return self._unknown(number, raw)
            binding = self._bindings[number] = BoundSyscall(row, self._machine)
        arguments = binding.arguments(raw)
        if self.observer is not None:
            return self._observed(self.observer, binding, arguments)
        try:
            return binding.handler(self.process, *arguments)
        except GuestError as failure:
            return -failure.errno
        except OSError as failure:
            return -guest_errno(failure)
        except MemoryFault:
            return -errno.EFAULT

    def _observed(self, observer: Observer, binding: BoundSyscall, arguments: list[int]) -> int:
        observer.enter(binding.row, arguments)
        try:
            result = binding.handler(self.process, *arguments)
        except GuestError as failure:
            result = -failure.errno
        except OSError as failure:
            result = -guest_errno(failure)
        except MemoryFault:
            result = -errno.EFAULT
        except (ContextReplaced, ProgramReplaced):
            observer.leave(binding.row, arguments, 0)
            raise
        except BaseException:
            observer.leave(binding.row, arguments, None)
            raise
        observer.leave(binding.row, arguments, result)
        return result

    def _unknown(self, number: int, raw: Sequence[int]) -> int:
        """ENOSYS; the user is told the name of the call, once, so that a program that fails for it can be explained."""
        name = table.names(self._machine).get(number)
        what = f"system call {name} ({number}) is not implemented" if name else f"there is no system call {number}"
        self.process.talk.once(f"{what} on {self._machine.label}: the program gets ENOSYS")
        if self.observer is not None:
            self.observer.unknown(name or f"syscall_{number:#x}", raw)
        return -errno.ENOSYS
