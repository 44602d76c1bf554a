"""The table of system calls: one row says everything that is known of a call.

Dispatch, `--strace`, the restart after a signal, `uselib abi run` (what a call changes) and `uselib abi probe` (how
it is undone) read the rows; no other place says anything of a call. Numbers come from the `system_calls` package
(generated from the kernel's own tables), so a row is written once for both machines; a row for one machine only,
where the same name means different arguments, names the machine.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module

from uselib.emulator.kernel.arguments import ArgumentKind
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
    """What it takes to undo a call, for somebody who tries a function again and again from the same state."""

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


# module under uselib.emulator.kernel.calls -> the tuples of rows in it
FAMILIES: tuple[tuple[str, str], ...] = (
    ("files", "FILES"),
    ("openat2", "OPENAT2"),
    ("advice", "ADVICE"),
    ("fcntl", "CONTROL"),
    ("ioctl", "IOCTL"),
    ("directories", "DIRECTORIES"),
    ("status", "STATUS"),
    ("attributes", "ATTRIBUTES"),
    ("xattrs", "XATTRS"),
    ("pipes", "PIPES"),
    ("splices", "SPLICES"),
    ("watches", "WATCHES"),
    ("pidfds", "PIDFDS"),
    ("sockets", "SOCKETS"),
    ("messages", "MESSAGES"),
    ("ipc", "IPC"),
    ("posix_queues", "POSIX_QUEUES"),
    ("poll", "POLL"),
    ("epoll", "EPOLL"),
    ("signal_files", "SIGNAL_FILES"),
    ("time", "TIME"),
    ("system", "SYSTEM"),
    ("credentials", "CREDENTIALS"),
    ("scheduling", "SCHEDULING"),
    ("prctl", "PRCTL"),
    ("limits", "LIMITS"),
    ("memory", "MEMORY"),
    ("process_memory", "PROCESS_MEMORY"),
    ("signals", "SIGNALS"),
    ("interval_timers", "INTERVAL_TIMERS"),
    ("timers", "TIMERS"),
    ("processes", "PROCESSES"),
    ("execve", "EXECVE"),
    ("waits", "WAITS"),
    ("process_groups", "PROCESS_GROUPS"),
    ("clone", "CLONE"),
    ("threads", "THREADS"),
    ("tls", "TLS"),
    ("futexes", "FUTEXES"),
    ("uselib", "LIBRARY"),
    ("linux_1_0", "OLD"),
    ("privileged", "PRIVILEGED"),
)


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
    from system_calls import syscalls

    current: dict[str, int] = syscalls().load_arch_table(machine.label)
    return REMOVED[machine] | current


@lru_cache
def names(machine: Machine) -> dict[int, str]:
    """number -> name, also of calls that have no row."""
    return {number: name for name, number in numbers(machine).items()}


def name_of(number: int, machine: Machine) -> str:
    """`openat`; `syscall_0x3e7` for a number that no call has."""
    return names(machine).get(number, f"syscall_{number:#x}")


def rows() -> tuple[Syscall, ...]:
    """Every row of every family."""
    found: list[Syscall] = []
    for module, variable in FAMILIES:
        found += getattr(import_module(f"{__package__}.calls.{module}"), variable)
    return tuple(found)


@lru_cache
def for_machine(machine: Machine) -> dict[int, Syscall]:
    """number -> row. A number without a row is a call we do not implement, or none at all (see `names`)."""
    known = numbers(machine)
    table: dict[int, Syscall] = {}
    for row in rows():
        if row.name not in known or row.machine not in (None, machine):
            continue
        number = known[row.name]
        if number not in table or row.machine is not None:
            table[number] = row
    return table
