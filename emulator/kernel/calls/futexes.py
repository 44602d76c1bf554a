"""futex and futex_waitv: the arguments of their operations. The operations are in threads/futex.py and threads/pi.py.

Source: kernel/futex/syscalls.c of Linux 6.1, futex(2).
"""

from __future__ import annotations

import errno
import struct

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel.calls.time import read_timespec
from uselib.emulator.kernel.clock import EPOCH
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall, Undo
from uselib.emulator.kernel.threads import futex, pi

WAIT, WAKE, FD, REQUEUE, CMP_REQUEUE, WAKE_OP, LOCK_PI, UNLOCK_PI, TRYLOCK_PI, WAIT_BITSET, WAKE_BITSET = range(11)
WAIT_REQUEUE_PI, CMP_REQUEUE_PI, LOCK_PI2 = 11, 12, 13
PRIVATE, CLOCK_REALTIME = 0x80, 0x100
_TIMED = frozenset({WAIT, LOCK_PI, LOCK_PI2, WAIT_BITSET, WAIT_REQUEUE_PI})
_EITHER_CLOCK = frozenset({WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2})
_WAITV_MOST = 128
_WAITER = struct.Struct("<QQII")  # struct futex_waitv: val, uaddr, flags, reserved
_SIZE_U32 = 2


def _until(process: Process, moment: int, realtime: bool) -> int:
    """Nanoseconds from now to an absolute time."""
    clock = process.clock
    if realtime:
        moment -= clock.wall() - clock.monotonic() if clock.realtime else EPOCH
    return max(moment - clock.now, 0)


def sys_futex(
    process: Process,
    address: int,
    operation: int,
    value: int,
    timeout: int,
    address2: int,
    value3: int,
    layout: str = "timespec",
) -> int:
    command, private = operation & 0x7F, bool(operation & PRIVATE)
    limit = None
    if timeout and command in _TIMED:
        limit = read_timespec(process, timeout, layout)
    if operation & CLOCK_REALTIME and command not in _EITHER_CLOCK:
        raise GuestError(errno.ENOSYS)
    if limit is not None and command != WAIT:
        limit = _until(process, limit, bool(operation & CLOCK_REALTIME) or command == LOCK_PI)
    count, count2 = _signed(value), _signed(timeout)
    if command not in (WAKE, WAKE_BITSET):
        process.threads.take_over()
    if command in (WAIT, WAIT_BITSET):
        process.thread.restarts = limit is None
        return futex.wait(
            process, address, private, value, limit, value3 if command == WAIT_BITSET else futex.EVERY_BIT
        )
    if command in (WAKE, WAKE_BITSET):
        return futex.wake(process, address, private, count, value3 if command == WAKE_BITSET else futex.EVERY_BIT)
    if command in (REQUEUE, CMP_REQUEUE):
        return futex.requeue(
            process, address, address2, private, count, count2, value3 if command == CMP_REQUEUE else None
        )
    if command == WAKE_OP:
        return futex.wake_op(process, address, address2, private, count, count2, value3)
    return _owned(process, command, private, (address, address2), (value, count2, value3), limit)


def _owned(
    process: Process,
    command: int,
    private: bool,
    addresses: tuple[int, int],
    values: tuple[int, int, int],
    limit: int | None,
) -> int:
    """The operations on words with an owner."""
    address, address2 = addresses
    value, count2, value3 = values
    if command in (LOCK_PI, LOCK_PI2):
        return pi.lock(process, address, private, limit)
    if command == UNLOCK_PI:
        return pi.unlock(process, address, private)
    if command == TRYLOCK_PI:
        return pi.try_lock(process, address, private)
    if command == WAIT_REQUEUE_PI:
        return pi.wait_requeue(process, address, address2, private, value, limit, futex.EVERY_BIT)
    if command == CMP_REQUEUE_PI:
        return pi.requeue(process, address, address2, private, _signed(value), count2, value3)
    raise GuestError(errno.ENOSYS)


def _signed(value: int) -> int:
    return ((value & 0xFFFF_FFFF) ^ 0x8000_0000) - 0x8000_0000


def sys_futex_time64(
    process: Process, address: int, operation: int, value: int, timeout: int, address2: int, value3: int
) -> int:
    return sys_futex(process, address, operation, value, timeout, address2, value3, "timespec64")


def sys_futex_waitv(process: Process, waiters: int, count: int, flags: int, timeout: int, clock: int) -> int:
    if flags or not 1 <= count <= _WAITV_MOST or not waiters:
        raise GuestError(errno.EINVAL)
    limit = None
    if timeout:
        if clock not in (0, 1):
            raise GuestError(errno.EINVAL)
        limit = _until(process, read_timespec(process, timeout, "timespec64"), clock == 0)
    process.threads.take_over()
    words = []
    for value, address, how, reserved in _WAITER.iter_unpack(process.memory.read(waiters, count * _WAITER.size)):
        if how & ~(_SIZE_U32 | PRIVATE) or not how & _SIZE_U32 or reserved:
            raise GuestError(errno.EINVAL)
        words.append((address & process.structs.word_mask, bool(how & PRIVATE), value & futex.EVERY_BIT))
    process.thread.restarts = limit is None
    return futex.wait_for_any(process, words, limit)


_FUTEX_ARGUMENTS = (a.PTR, a.choice("futex"), a.UINT, a.PTR, a.PTR, a.UINT)

ROWS = (
    Syscall("futex", sys_futex, _FUTEX_ARGUMENTS, undo=Undo.MEMORY),
    Syscall("futex_time64", sys_futex_time64, _FUTEX_ARGUMENTS),
    Syscall("futex_waitv", sys_futex_waitv, (a.PTR, a.UINT, a.UINT, a.PTR, a.INT), undo=Undo.NEVER),
)
