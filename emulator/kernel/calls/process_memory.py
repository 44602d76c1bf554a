"""process_vm_readv and process_vm_writev, on the memory of the caller only. For other processes they fail (EPERM).

Source: mm/process_vm_access.c of Linux.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

from uselib.emulator.kernel.arguments import LONG, PID, SIZE, vector
from uselib.emulator.kernel.calls.files import vectors
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall, Undo
from uselib.loader.memory.address_space import PAGE, MemoryFault

Parts = list[tuple[int, int]]


def _pieces(sources: Parts, targets: Parts) -> Iterator[tuple[int, int, int]]:
    """(source, target, size) of the copies: each lies within one element and one page on both sides."""
    other = iter(targets)
    target = left = 0
    for source, size in sources:
        while size:
            while not left:
                try:
                    target, left = next(other)
                except StopIteration:
                    return
            step = min(size, left, PAGE - source % PAGE, PAGE - target % PAGE)
            yield source, target, step
            source, size, target, left = source + step, size - step, target + step, left - step


def _transfer(
    process: Process, pid: int, here: tuple[int, int], there: tuple[int, int], flags: int, write: bool
) -> int:
    if flags:
        raise GuestError(errno.EINVAL)
    local = vectors(process, *here)
    if not sum(size for _, size in local):
        return 0
    remote = vectors(process, *there)
    if not sum(size for _, size in remote):
        return 0
    if pid != process.identity.pid:
        raise GuestError(errno.EPERM if pid in process.pids.all() else errno.ESRCH)
    done = 0
    for source, target, size in _pieces(local, remote) if write else _pieces(remote, local):
        try:
            process.memory.write(target, process.memory.read(source, size))
        except MemoryFault:
            if done:
                break
            raise
        done += size
    return done


def sys_process_vm_readv(
    process: Process, pid: int, local: int, local_count: int, remote: int, remote_count: int, flags: int
) -> int:
    return _transfer(process, pid, (local, local_count), (remote, remote_count), flags, write=False)


def sys_process_vm_writev(
    process: Process, pid: int, local: int, local_count: int, remote: int, remote_count: int, flags: int
) -> int:
    return _transfer(process, pid, (local, local_count), (remote, remote_count), flags, write=True)


ROWS = (
    Syscall(
        "process_vm_readv",
        sys_process_vm_readv,
        (PID, vector(2, output=True), LONG, vector(4), LONG, SIZE),
        undo=Undo.MEMORY,
    ),
    Syscall(
        "process_vm_writev", sys_process_vm_writev, (PID, vector(2), LONG, vector(4), LONG, SIZE), undo=Undo.MEMORY
    ),
)
