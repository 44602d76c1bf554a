"""clone and clone3: threads, and processes as fork makes them.

CLONE_THREAD makes a thread, with the same memory, files and signal handlers, as POSIX threads need it. Without it a clone is a fork, with
CLONE_VFORK a vfork. CLONE_VM alone, memory shared between processes, is refused. Source: copy_process and sys_clone3 in kernel/fork.c,
include/uapi/linux/sched.h, clone(2).
"""

from __future__ import annotations

import errno
import struct
from contextlib import suppress

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel.calls.processes import fork
from uselib.emulator.kernel.calls.tls import put_descriptor
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.limits import INFINITY, NPROC
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.signals.numbers import COUNT, SS_DISABLE
from uselib.emulator.kernel.table import Effect, Syscall, Undo
from uselib.emulator.kernel.threads.thread import Thread
from uselib.emulator.machine.registers import INDEX
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import dataclass
from uselib.loader.memory.address_space import PAGE, MemoryFault

CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_PIDFD = 0x100, 0x200, 0x400, 0x800, 0x1000
CLONE_VFORK, CLONE_PARENT, CLONE_THREAD = 0x4000, 0x8000, 0x10000
CLONE_NEWNS, CLONE_SETTLS, CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID, CLONE_DETACHED = (
    1 << n for n in (17, 19, 20, 21, 22)
)
CLONE_CHILD_SETTID = 0x100_0000
CLONE_NEWUSER, CLONE_NEWPID = 0x1000_0000, 0x2000_0000
CLONE_CLEAR_SIGHAND, CLONE_INTO_CGROUP, CLONE_NEWTIME = 1 << 32, 1 << 33, 1 << 7
_NAMESPACES = 0x7E02_0000  # CLONE_NEW*
_SIGNAL = 0xFF  # CSIGNAL, in the flags of clone
_KNOWN = 0x3_FFFF_FFFF
_MOST_THREADS = 4096  # threads of one process at a time
_VERSION_0, _VERSION_2 = 64, 88  # bytes of struct clone_args


@dataclass(frozen=True)
class CloneArguments:
    """The arguments of both calls. stack: where the child's stack begins; 0: as the caller's."""

    flags: int
    stack: int = 0
    parent_tid: int = 0
    child_tid: int = 0
    tls: int = 0


def sys_clone_64(process: Process, flags: int, stack: int, parent: int, child: int, tls: int) -> int:
    return _legacy(process, CloneArguments(flags & 0xFFFF_FFFF, stack, parent, child, tls))


def sys_clone_32(process: Process, flags: int, stack: int, parent: int, tls: int, child: int) -> int:
    return _legacy(process, CloneArguments(flags, stack, parent, child, tls))


def _legacy(process: Process, how: CloneArguments) -> int:
    flags = how.flags & ~_SIGNAL
    if flags & CLONE_PIDFD and (flags & (CLONE_PARENT_SETTID | CLONE_DETACHED | CLONE_THREAD)):
        raise GuestError(errno.EINVAL)
    return _clone(process, CloneArguments(flags, how.stack, how.parent_tid, how.child_tid, how.tls))


def sys_clone3(process: Process, address: int, size: int) -> int:
    if size > PAGE:
        raise GuestError(errno.E2BIG)
    if size < _VERSION_0:
        raise GuestError(errno.EINVAL)
    data = process.memory.read(address, size)
    if any(data[_VERSION_2:]):
        raise GuestError(errno.E2BIG)
    fields = struct.unpack("<11Q", data[:_VERSION_2].ljust(_VERSION_2, b"\0"))
    flags, _pidfd, child, parent, signal, stack, stack_size, tls, set_tid, set_tid_size, _cgroup = fields
    if flags & ~_KNOWN or flags & (CLONE_DETACHED | _SIGNAL & ~CLONE_NEWTIME) or signal > COUNT:
        raise GuestError(errno.EINVAL)
    if bool(stack) != bool(stack_size) or bool(set_tid) != bool(set_tid_size) or set_tid_size > 32:
        raise GuestError(errno.EINVAL)
    if flags & (CLONE_THREAD | CLONE_PARENT) and signal:
        raise GuestError(errno.EINVAL)
    if flags & CLONE_SIGHAND and flags & CLONE_CLEAR_SIGHAND:
        raise GuestError(errno.EINVAL)
    if flags & CLONE_THREAD and flags & CLONE_PIDFD:
        raise GuestError(errno.EINVAL)
    if set_tid or flags & CLONE_INTO_CGROUP:
        raise GuestError(errno.EPERM)
    return _clone(process, CloneArguments(flags, stack + stack_size, parent, child, tls))


def _clone(process: Process, how: CloneArguments) -> int:
    flags = how.flags
    if flags & CLONE_FS and flags & (CLONE_NEWNS | CLONE_NEWUSER):
        raise GuestError(errno.EINVAL)
    if (flags & CLONE_THREAD and not flags & CLONE_SIGHAND) or (flags & CLONE_SIGHAND and not flags & CLONE_VM):
        raise GuestError(errno.EINVAL)
    if flags & CLONE_THREAD and flags & (CLONE_NEWUSER | CLONE_NEWPID):
        raise GuestError(errno.EINVAL)
    if flags & _NAMESPACES:
        raise GuestError(errno.EPERM)
    if flags & CLONE_THREAD:
        return _start_thread(process, how)
    return _fork(process, how)


def _fork(process: Process, how: CloneArguments) -> int:
    pid = fork(process, borrow=bool(how.flags & CLONE_VFORK), share=bool(how.flags & CLONE_VM))
    if pid:
        if how.flags & CLONE_PARENT_SETTID:
            with suppress(MemoryFault):
                process.memory.write(how.parent_tid, pid.to_bytes(4, "little"))
        return pid
    _set_up(process, process.thread, how)
    if how.flags & CLONE_CHILD_SETTID:
        with suppress(MemoryFault):
            process.memory.write(how.child_tid, process.thread.tid.to_bytes(4, "little"))
    return 0


def _set_up(process: Process, thread: Thread, how: CloneArguments) -> None:
    """Sets the state of the child that differs from its parent's, with its registers on the CPU. Raises GuestError, MemoryFault."""
    if how.flags & CLONE_SETTLS:
        if process.machine is Machine.X86_64:
            process.cpu.set_fs_base(how.tls)
        else:
            put_descriptor(process, thread, how.tls, choose=False)
    if how.flags & CLONE_CHILD_CLEARTID:
        thread.clear_tid = how.child_tid
    registers = process.cpu.general()
    index = INDEX[process.cpu.bits]
    if process.machine is Machine.X86_64:
        registers[index["rcx"]], registers[index["r11"]] = registers[-2], registers[-1]
    registers[0] = 0
    if how.stack:
        registers[7] = how.stack & process.structs.word_mask
    process.cpu.set_general(registers)


def _number(process: Process) -> int:
    """The number of a new thread. Raises OSError(EAGAIN) when all numbers of the run are in use."""
    threads = process.threads
    try:
        return process.pids.reserve()
    except OSError:
        if not threads.free_numbers:
            raise
        return threads.free_numbers.pop(0)


def _start_thread(process: Process, how: CloneArguments) -> int:
    from uselib.emulator.kernel.threads.scheduler import run_threads

    caller = process.thread
    if how.flags & CLONE_SETTLS and process.machine is Machine.X86_64 and how.tls >= process.memory.layout.top:
        raise GuestError(errno.EPERM)
    scheduler = run_threads(process)
    limit = process.limits.values[NPROC][0]
    if len(process.threads.all) >= (_MOST_THREADS if limit == INFINITY else min(limit, _MOST_THREADS)):
        raise GuestError(errno.EAGAIN)
    thread = Thread(_number(process), caller.blocked, tls=dict(caller.tls), name=caller.name or process.identity.name)
    thread.alternate = (0, SS_DISABLE, 0)
    scheduler.add(thread)
    try:
        with scheduler.registers_of(thread):
            _set_up(process, thread, how)
    except (GuestError, MemoryFault):
        scheduler.forget(thread)
        raise
    for flag, address in ((CLONE_PARENT_SETTID, how.parent_tid), (CLONE_CHILD_SETTID, how.child_tid)):
        if how.flags & flag:
            with suppress(MemoryFault):
                process.memory.write(address, thread.tid.to_bytes(4, "little"))
    return thread.tid


_CLONE_FLAGS = a.flags("clone", a.Width.WORD)

ROWS = (
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
    Syscall("clone3", sys_clone3, (a.PTR, a.SIZE), effect=Effect.PROCESSES, undo=Undo.NEVER),
)
