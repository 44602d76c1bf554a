"""Processes: fork, exit (exec is in execve.py, wait in waits.py, what concerns a thread in threads.py).

A guest fork is a fork of the host process: memory, descriptors and the CPU's state are inherited by the host's own
copy-on-write. vfork is fork. Threads (clone with a shared address space) are refused.
Source: kernel/fork.c, kernel/exit.c of Linux.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.table import Effect, Syscall, Undo
from uselib.emulator.process.interfaces import ProcessEnded
from uselib.linker.image import Machine

if TYPE_CHECKING:
    from uselib.emulator.kernel.process import Process

CLONE_VM, CLONE_VFORK, CLONE_THREAD = 0x100, 0x4000, 0x10000
CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID, CLONE_SETTLS = 0x100000, 0x200000, 0x1000000, 0x80000


# -- exit -----------------------------------------------------------------------------------------------------------------


def sys_exit(process: Process, status: int) -> int:
    raise ProcessEnded(status & 0xFF)


# -- fork and clone -------------------------------------------------------------------------------------------------------


def sys_fork(process: Process) -> int:
    return _fork(process)


def sys_vfork(process: Process) -> int:
    return _fork(process, borrow=True)


def give_back(process: Process) -> None:
    """A vfork child has called execve or is about to end: its parent goes on."""
    if process.borrowed >= 0:
        os.close(process.borrowed)
        process.borrowed = -1


def _fork(process: Process, *, borrow: bool = False) -> int:
    """borrow: vfork's order of events, the parent waiting for the child's execve or end. Memory is not shared."""
    most = process.limits.processes
    if not process.pids.has_room(most):
        process.talk.once(f"it has {most} processes, as many as it may (--max-processes): fork gets EAGAIN")
        raise GuestError(errno.EAGAIN)
    child = process.pids.reserve()
    process.fork_events.before()
    sys.stdout.flush()
    sys.stderr.flush()
    process.clock.shared = True
    known, register = os.pipe2(os.O_CLOEXEC)  # the parent goes on once the child is in the table
    wait, done = os.pipe2(os.O_CLOEXEC) if borrow else (-1, -1)
    host = os.fork()
    if host:
        os.close(register)
        os.read(known, 1)
        os.close(known)
        if borrow:
            os.close(done)
            os.read(wait, 1)
            os.close(wait)
        return child
    who = process.identity
    process.pids.register(child, who.pid)
    os.close(known)
    os.close(register)
    give_back(process)  # our parent's, if that is a vfork child itself
    if borrow:
        os.close(wait)
        process.borrowed = done
    who.parent, who.pid = who.pid, child
    process.thread.tid = child
    process.random.reseed(child)
    process.forked = True
    process.signals.after_fork()
    process.fork_events.after()
    return 0


def sys_clone_64(process: Process, flags: int, stack: int, parent: int, child: int, tls: int) -> int:
    return _clone(process, flags, stack, parent, child, tls)


def sys_clone_32(process: Process, flags: int, stack: int, parent: int, tls: int, child: int) -> int:
    return _clone(process, flags, stack, parent, child, tls)


def _clone(process: Process, flags: int, stack: int, parent: int, child: int, tls: int) -> int:
    if flags & CLONE_THREAD or (flags & CLONE_VM and not flags & CLONE_VFORK):
        process.talk.once("the program wants to start a thread, which is not supported: it gets ENOSYS")
        raise GuestError(errno.ENOSYS)
    pid = _fork(process, borrow=bool(flags & CLONE_VFORK))
    if pid:
        if flags & CLONE_PARENT_SETTID:
            process.memory.write(parent, pid.to_bytes(4, "little"))
        return pid
    if flags & CLONE_CHILD_SETTID:
        process.memory.write(child, process.identity.pid.to_bytes(4, "little"))
    if flags & CLONE_SETTLS and process.machine is Machine.X86_64:
        process.cpu.set_fs_base(tls)
    if stack:
        registers = process.cpu.general()
        registers[7] = stack
        process.cpu.set_general(registers)
    return 0


_CLONE_FLAGS = a.flags("clone", a.Width.WORD)

PROCESSES = (
    Syscall("exit", sys_exit, (a.INT,), undo=Undo.MEMORY),
    Syscall("exit_group", sys_exit, (a.INT,), undo=Undo.MEMORY),
    Syscall("fork", sys_fork, effect=Effect.PROCESSES, undo=Undo.NEVER),
    Syscall("vfork", sys_vfork, effect=Effect.PROCESSES, undo=Undo.NEVER),
    Syscall(
        "clone",
        sys_clone_64,
        (_CLONE_FLAGS, a.PTR, a.PTR_OUT, a.PTR_OUT, a.PTR),
        Machine.X86_64,
        effect=Effect.PROCESSES,
        undo=Undo.NEVER,
    ),
    Syscall(
        "clone",
        sys_clone_32,
        (_CLONE_FLAGS, a.PTR, a.PTR_OUT, a.PTR, a.PTR_OUT),
        Machine.I386,
        effect=Effect.PROCESSES,
        undo=Undo.NEVER,
    ),
)
