"""fork and exit (exec is in execve.py, wait in waits.py, calls about threads in threads.py).

A guest fork is a fork of the host process: memory, descriptors and the CPU's state are inherited by the host's own
copy-on-write. A child of vfork has the parent's memory lent to it (loader/memory/lending.py). clone is in clone.py.
Source: kernel/fork.c, kernel/exit.c of Linux.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel import table
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.limits import CPU, INFINITY, NPROC
from uselib.emulator.kernel.proc.facts import publish
from uselib.emulator.kernel.table import Effect, Syscall, Undo
from uselib.emulator.kernel.threads import robust
from uselib.emulator.kernel.threads.wait import ThreadEnded, Wait
from uselib.emulator.process.host_signals import VALID, held_back
from uselib.emulator.process.interfaces import ProcessEnded
from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.emulator.kernel.process import Process


_CAP_SYS_RESOURCE = 24
# All but faults of the emulator's own instructions
_HELD_BACK = VALID - {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


# -- exit -----------------------------------------------------------------------------------------------------------------


def sys_exit(process: Process, status: int) -> int:
    """Ends the calling thread. The last thread's exit ends the process with its status (synchronize_group_exit)."""
    threads, thread = process.threads, process.thread
    if threads.many and threads.scheduler is not None:
        robust.thread_ends(process, thread)
        threads.scheduler.remove(thread)
        raise ThreadEnded
    raise ProcessEnded(status & 0xFF)


def sys_exit_group(process: Process, status: int) -> int:
    raise ProcessEnded(status & 0xFF)


# -- fork -----------------------------------------------------------------------------------------------------------------


def sys_fork(process: Process) -> int:
    return fork(process)


def sys_vfork(process: Process) -> int:
    return fork(process, borrow=True, share=True)


def give_back(process: Process) -> None:
    """A vfork child has called execve or is about to end, so its parent goes on."""
    if process.borrowed >= 0:
        os.close(process.borrowed)
        process.borrowed = -1


def _is_closed(fd: int) -> bool:
    """Whether the other end of a pipe has been closed."""
    poller = select.poll()  # select(2) takes no descriptors from 1024 on
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(0))


def _children_share(process: Process) -> bool:
    """Whether a child still has this process's memory (CLONE_VM). If none does, the memory is private again. Raises OSError (ENOMEM)."""
    for fd in list(process.borrowers):
        if _is_closed(fd):
            os.close(fd)
            process.borrowers.remove(fd)
    if process.memory.lends and not process.borrowers and process.borrowed < 0:
        process.memory.take_back()
    return process.memory.lends


def fork(process: Process, *, borrow: bool = False, share: bool = False) -> int:
    """borrow: as in vfork, the parent waits for the child's execve or end. share: parent and child have the same memory (CLONE_VM)."""
    most, first = process.limits.processes, process.pids.alone
    own = process.limits.values[NPROC][0]
    if own != INFINITY and not process.identity.can(_CAP_SYS_RESOURCE) and not process.pids.has_room(own):
        raise GuestError(errno.EAGAIN)
    if not process.pids.has_room(most):
        process.talk.once(f"it has {most} processes, as many as it may (--max-processes): fork gets EAGAIN")
        raise GuestError(errno.EAGAIN)
    if first:  # make what all processes of the guest share
        table.rows()  # imported once here, not by each child
        process.terminals.reserve()
        process.fs.rights.owners.share()
        from uselib.emulator.kernel.shared.requests import Requests

        process.shared.part(Requests)
        publish(process)
    _children_share(process)
    child = process.pids.reserve()
    process.shared.open()
    for action in process.shared.before_fork.values():
        action()
    process.fork_events.before()
    sys.stdout.flush()
    sys.stderr.flush()
    process.clock.shared = True
    known, register = os.pipe2(os.O_CLOEXEC)  # the parent goes on once the child is in the table
    wait, done = os.pipe2(os.O_CLOEXEC) if borrow or share else (-1, -1)
    if share:
        process.memory.lend()
    # No handler runs in the child before fork_events.after has renewed the emulator's locks: a thread of the parent may hold one.
    with held_back(_HELD_BACK):
        if not os.fork():
            os.close(known)
            if done >= 0:
                os.close(wait)
            _begin_child(process, child, register, done, share)
            return 0
    os.close(register)
    os.read(known, 1)
    os.close(known)
    if done >= 0:
        os.close(done)
        process.borrowers.append(wait)
        if borrow:
            _wait_for_end(process, wait)
            _children_share(process)
    return child


def _begin_child(process: Process, child: int, register: int, done: int, share: bool) -> None:
    """In the host process of guest process `child`. register: the descriptor that is closed once the table has it. done: the one that a child
    with the parent's memory closes at its end or execve, also if the parent waits only; -1: it is no such child. share: see fork.
    """
    who = process.identity
    process.pids.register(child, who.pid)
    give_back(process)  # the parent's descriptor, if the parent is a vfork child itself
    for fd in process.borrowers:
        os.close(fd)
    process.borrowers = []
    if process.memory.lends and not share:  # the parent waits until all of it is copied
        process.memory.take_back()
    if done >= 0:
        process.borrowed = done
    who.parent, who.pid, who.started = who.pid, child, process.clock.now
    process.thread.tid = child
    process.thread.clear_tid = process.thread.robust = 0
    process.threads.futexes.clear()
    if process.threads.scheduler is not None:
        process.threads.scheduler.after_fork()
    process.threads.all = {child: process.thread}
    process.random.reseed(child)
    process.settings.after_fork()
    process.forked = True
    process.memory.after_fork()
    process.signals.after_fork()
    if process.limits.values[CPU][0] != INFINITY:
        from uselib.emulator.kernel.calls.limits import arm_cpu_limit

        arm_cpu_limit(process)
    publish(process)
    os.close(register)
    for action in process.shared.in_child.values():
        action()
    process.fork_events.after()


def _wait_for_end(process: Process, fd: int) -> None:
    """Waits until the other end of a pipe has been closed. No signal ends the wait (vfork); other threads run."""
    scheduler = process.threads.scheduler
    if process.threads.many and scheduler is not None:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        scheduler.wait(Wait(lambda: poller.poll(0) or None, [(fd, select.POLLIN)], interruptible=False))
    else:
        os.read(fd, 1)


ROWS = (
    Syscall("exit", sys_exit, (a.INT,), undo=Undo.MEMORY),
    Syscall("exit_group", sys_exit_group, (a.INT,), undo=Undo.MEMORY),
    Syscall("fork", sys_fork, effect=Effect.PROCESSES, undo=Undo.NEVER),
    Syscall("vfork", sys_vfork, effect=Effect.PROCESSES, undo=Undo.NEVER),
)
