"""The table of system calls: one row has all facts about a call.

Dispatch, `--strace`, the restart after a signal, `uselib abi run` (what a call changes) and `uselib abi probe` (how
it is undone) read the rows; no other module has facts about a call. Numbers come from the `system_calls` package
(generated from the kernel's own tables), so a row is written once for both machines; a row for one machine only,
where the same name means different arguments, names the machine.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec

from uselib.emulator.kernel.arguments import ArgumentKind
from uselib.emulator.kernel.families import FAMILIES
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import dataclass

Handler = Callable[..., int]


class Effect(enum.Enum):
    """What a call changes that others can see. A call that fails changes nothing; it is shown as an attempt."""

    NONE = "nothing: it reads, or changes only the process's memory and descriptors"
    FILES = "a file: its contents, its name or its attributes"
    OPENED = "a file, if its open flags create or truncate it or open it for writing"
    OUTPUT = "what is behind the descriptor of kind TARGET: as many bytes as the result says are written there"
    PROCESSES = "another process, or this one's program, current directory or file mode mask"


class Undo(enum.Enum):
    """What it takes to undo a call, for `abi probe`, which calls a function many times from the same state."""

    MEMORY = "memory, registers, clock and random bytes as they were before"
    FRESH = "a process that is started afresh"
    NEVER = "it cannot be tried: it leaves this process, or waits for something outside"


@dataclass(frozen=True)
class Syscall:
    """One system call.

    handler: `def sys_x(process: Process, ...) -> int`; arguments converted as their kinds say. Returns the result
    (0 or more); raises GuestError, OSError or MemoryFault, which become -errno, or ProcessEnded or ContextReplaced.
    machine: None, or the only machine that this row is for (a row for the machine goes before one for both).
    Which arguments it reads and writes: ArgumentKind.written. restarts: after a handler with SA_RESTART the call goes on
    (signal(7)); without a handler every call does.
    """

    name: str
    handler: Handler
    arguments: tuple[ArgumentKind, ...] = ()
    machine: Machine | None = None
    effect: Effect = Effect.NONE
    undo: Undo = Undo.FRESH
    restarts: bool = True


# Calls in which a process may wait: while it is in one of them, it sleeps (the S of proc(5)) for those who look.
MAY_WAIT = frozenset(
    """
    accept accept4 clock_nanosleep clock_nanosleep_time64 connect epoll_pwait epoll_pwait2 epoll_wait fcntl fcntl64 flock futex futex_time64
    futex_waitv ipc mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 msgrcv msgsnd nanosleep open openat pause poll
    ppoll ppoll_time64 pselect6 pselect6_time64 read readv recvfrom recvmmsg recvmsg rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
    select _newselect semop semtimedop semtimedop_time64 sendmsg sendto sigsuspend socketcall splice wait4 waitid waitpid write writev
    """.split()
)


# Calls that the newest kernels have taken out of their tables, and with them the package, with the numbers they keep
# (arch/x86/entry/syscalls/syscall_{32,64}.tbl up to Linux 6.15).
REMOVED: dict[Machine, dict[str, int]] = {Machine.I386: {"uselib": 86}, Machine.X86_64: {"uselib": 134}}


def numbers(machine: Machine) -> dict[str, int]:
    """Every system call of Linux on the machine: name -> number."""
    return REMOVED[machine] | _package_table(machine.label)


def _package_table(architecture: str) -> dict[str, int]:
    """The package's table of one architecture, from its module alone: the package loads `typing` and names of all architectures, 4 ms of
    each run."""
    package = find_spec("system_calls")
    folders = (package and package.submodule_search_locations) or ()
    spec = PathFinder.find_spec(architecture, [f"{folder}/tables" for folder in folders])
    if spec is None or spec.loader is None:  # a release with other folders, or none
        from system_calls import syscalls

        asked: dict[str, int] = syscalls().load_arch_table(architecture)
        return asked
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, int] = getattr(module, f"syscalls_{architecture}")
    return found


@lru_cache
def names(machine: Machine) -> dict[int, str]:
    """number -> name, also of calls that have no row."""
    return {number: name for name, number in numbers(machine).items()}


def name_of(number: int, machine: Machine) -> str:
    """`openat`; `syscall_0x3e7` for a number that no call has."""
    return names(machine).get(number, f"syscall_{number:#x}")


@lru_cache
def _family(module: str) -> tuple[Syscall, ...]:
    """The rows of a family, which is imported."""
    found: tuple[Syscall, ...] = import_module(f"{__package__}.calls.{module}").ROWS
    return found


@lru_cache
def _families() -> dict[str, str]:
    """name of a call -> its family."""
    return {name: module for module, words in FAMILIES.items() for name in words.split()}


def rows() -> tuple[Syscall, ...]:
    """Every row of every family. Imports them all."""
    return tuple(row for module in FAMILIES for row in _family(module))


class CallTable(Mapping[int, Syscall]):
    """number -> row, on one machine. A family is imported when a row of it is asked for: programs use few of them.

    A number without a row is a call that we do not implement, or none at all (see `names`).
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._names = {number: name for number, name in names(machine).items() if name in _families()}
        self._rows: dict[int, Syscall | None] = {}  # those that were asked for; None: it is for the other machine

    def _row(self, number: int) -> Syscall | None:
        if number not in self._rows:
            name = self._names.get(number)
            mine = {row.machine: row for row in _family(_families()[name]) if row.name == name} if name else {}
            self._rows[number] = mine.get(self._machine) or mine.get(None)
        return self._rows[number]

    def __getitem__(self, number: int) -> Syscall:
        row = self._row(number)
        if row is None:
            raise KeyError(number)
        return row

    def __iter__(self) -> Iterator[int]:
        return (number for number in self._names if self._row(number) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@lru_cache
def for_machine(machine: Machine) -> CallTable:
    """number -> row."""
    return CallTable(machine)
