"""Futexes: the words of guest memory that threads wait on, and their queues.

A queue has a key. The key of a private futex is the address in this process. The key of another one is the address too where the memory is
private, else the file and the offset in it (anonymous shared memory: the address again). As in Linux, private operations and others have
separate queues even on the same word (get_futex_key).

Threads of this process wait in the queues here. On shared memory other processes of the guest, which are host processes, may wait and wake as
well, so the host's futexes are used too. A process with one thread waits in the host's futex. A process with several reads the word again
from time to time, and waits in the host's futex while none of its threads can run.

Threads have no priorities here, so FUTEX_LOCK_PI changes no order; it only keeps the owner in the word (pi.py).
Source: kernel/futex/{core,waitwake,requeue,syscalls}.c of Linux 6.1, futex(2).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from uselib.emulator.kernel import waiting
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.threads import deadlock, host_futex
from uselib.emulator.kernel.threads.group import WAITING
from uselib.emulator.kernel.threads.wait import FutexWaiter, HostWord, Wait
from uselib.loader.memory.address_space import PROT_WRITE, MemoryFault

Key = tuple[object, ...]
_TOP = (1 << 47) - 4096  # the limit of user addresses on a 64-bit kernel (access_ok), for i386 programs too
EVERY_BIT = 0xFFFF_FFFF
_PRIVATE, _HERE, _FILE = "private", "here", "file"


def key_of(process: Process, address: int, private: bool, access: str = "read") -> Key:
    """The key of the word's queue. Raises GuestError(EINVAL) for an address that is not aligned, GuestError(EFAULT) or MemoryFault for one
    that is not the program's.
    """
    if address & 3:
        raise GuestError(errno.EINVAL)
    if address + 4 > _TOP:
        raise GuestError(errno.EFAULT)
    if private:
        return _PRIVATE, address
    process.memory.check(address, 4, access)
    vma = process.memory.find(address)
    if vma is None or not vma.shared:
        if vma is not None and vma.file is None and not vma.prot & PROT_WRITE:
            raise GuestError(errno.EFAULT)  # it can never change
        return _HERE, address
    if vma.file is None:
        return _FILE, address
    status = os.fstat(vma.file.fd)
    return _FILE, status.st_dev, status.st_ino, vma.offset + address - vma.start


def host_word(process: Process, key: Key, address: int) -> int | None:
    """The host's address of a word that other processes may wait on, or None if no other process shares it."""
    if not process.clock.shared or not (key[0] == _FILE or process.memory.is_lent(address)):
        return None
    return process.memory.host_address(address)


def load(process: Process, address: int) -> int:
    """Reads the word. Raises MemoryFault."""
    return int.from_bytes(process.memory.read(address, 4), "little")


def store(process: Process, address: int, value: int) -> None:
    """Writes the word. Raises MemoryFault."""
    process.memory.write(address, (value & EVERY_BIT).to_bytes(4, "little"))


# -- queues ---------------------------------------------------------------------------------------------------------------


def _count(process: Process, waiter: FutexWaiter, change: int) -> None:
    """Counts the waiters. Native code answers a wake by itself as long as the count says that no thread waits there."""
    if waiter.key[0] == _PRIVATE:
        process.threads.waiting[waiter.address >> 2 & WAITING - 1] += change


def enter(process: Process, waiter: FutexWaiter) -> None:
    _count(process, waiter, 1)
    process.threads.futexes.setdefault(waiter.key, []).append(waiter)


def leave(process: Process, waiter: FutexWaiter) -> None:
    """Takes a waiter out of its queue, wherever it has been moved to. Does nothing if it has left."""
    queue = process.threads.futexes.get(waiter.key)
    if queue is not None and waiter in queue:
        queue.remove(waiter)
        _count(process, waiter, -1)
        if not queue:
            del process.threads.futexes[waiter.key]


def release(process: Process, waiter: FutexWaiter) -> None:
    """Ends the wait of a waiter."""
    leave(process, waiter)
    waiter.woken = True
    if process.threads.scheduler is not None:
        process.threads.scheduler.wake(waiter.thread)


# -- waiting --------------------------------------------------------------------------------------------------------------


def block(process: Process, waiters: Sequence[FutexWaiter], expected: int, timeout: int | None) -> FutexWaiter | None:
    """The calling thread waits until one of its waiters is woken. They are in their queues already. Returns the one that was woken, or None
    if the time is over. expected: value of the first word. Raises GuestError(EINTR), ProcessEnded for a deadlock. In all cases the waiters
    have left their queues.
    """
    first = waiters[0]
    word = host_word(process, first.key, first.address)
    expect = None if word is None else HostWord(word, expected)

    def over() -> bool | None:
        """Whether the wait is over. A changed word ends it too, where another process may have sent a wake that did not arrive."""
        if any(waiter.woken for waiter in waiters):
            return True
        if expect is None:
            return None
        if expect.woken:
            return True
        try:
            return True if load(process, first.address) != expected else None
        except MemoryFault:
            return True

    try:
        scheduler = process.threads.scheduler
        if process.threads.many and scheduler is not None:
            deadline = None if timeout is None else process.clock.now + max(timeout, 0)
            condition = None if word is None else over
            found = scheduler.wait(Wait(condition, (), deadline, word is not None, futex=first.address, word=expect))
        else:
            if timeout is None and word is None:
                deadlock.check(process, {process.thread: first.address})
            found = waiting.until(process, over, timeout=timeout, word=expect)
    finally:
        for waiter in waiters:
            leave(process, waiter)
    return next((waiter for waiter in waiters if waiter.woken), first if found else None)


def wait(process: Process, address: int, private: bool, expected: int, timeout: int | None, bitset: int) -> int:
    """FUTEX_WAIT_BITSET; timeout in ns from now. Raises GuestError."""
    if not bitset:
        raise GuestError(errno.EINVAL)
    key = key_of(process, address, private)
    if not process.thread.asleep and load(process, address) != expected:
        raise GuestError(errno.EAGAIN)
    waiter = FutexWaiter(process.thread, key, address, bitset)
    enter(process, waiter)
    if block(process, [waiter], expected, timeout) is None:
        raise GuestError(errno.ETIMEDOUT)
    return 0


def wait_for_any(process: Process, words: Sequence[tuple[int, bool, int]], timeout: int | None) -> int:
    """futex_waitv: (address, private, expected value) of each word; the number of the one that was woken. Raises GuestError."""
    waiters = []
    for number, (address, private, expected) in enumerate(words):
        key = key_of(process, address, private)
        if load(process, address) != expected:
            raise GuestError(errno.EAGAIN)
        waiters.append(FutexWaiter(process.thread, key, address, number=number))
    for waiter in waiters:
        enter(process, waiter)
    woken = block(process, waiters, words[0][2], timeout)
    if woken is None:
        raise GuestError(errno.ETIMEDOUT)
    return woken.number


# -- waking ---------------------------------------------------------------------------------------------------------------


def wake(process: Process, address: int, private: bool, count: int, bitset: int = EVERY_BIT) -> int:
    """FUTEX_WAKE_BITSET. Returns the number of threads woken. Raises GuestError(EINVAL) if one of them waits for ownership."""
    if not bitset:
        raise GuestError(errno.EINVAL)
    key = key_of(process, address, private)
    return wake_key(process, key, address, count, bitset)


def wake_key(process: Process, key: Key, address: int, count: int, bitset: int = EVERY_BIT) -> int:
    """As `wake`, by the key. A count below 1 means 1, as in futex_wake."""
    count = max(count, 1)
    woken = _wake_queue(process, key, count, bitset)
    if woken < count and process.threads.take_over():  # they began to wait later than those of the queue
        woken += _wake_queue(process, key, count - woken, bitset)
    if woken >= count:
        return woken
    word = host_word(process, key, address)
    if word is not None:
        woken += host_futex.wake(word, count - woken)
    return woken


def _wake_queue(process: Process, key: Key, count: int, bitset: int) -> int:
    woken = 0
    for waiter in list(process.threads.futexes.get(key, ())):
        if woken == count:
            break
        if waiter.pi or waiter.target is not None:
            raise GuestError(errno.EINVAL)
        if waiter.bitset & bitset:
            release(process, waiter)
            woken += 1
    return woken


def requeue(
    process: Process, first: int, second: int, private: bool, wakes: int, moves: int, expected: int | None
) -> int:
    """FUTEX_CMP_REQUEUE (expected: None for FUTEX_REQUEUE): wakes some of the threads that wait on the first word, and moves others to the
    second. Raises GuestError.
    """
    if wakes < 0 or moves < 0:
        raise GuestError(errno.EINVAL)
    key, target = key_of(process, first, private), key_of(process, second, private)
    if expected is not None and load(process, first) != expected:
        raise GuestError(errno.EAGAIN)
    done = 0
    for waiter in list(process.threads.futexes.get(key, ())):
        if done - wakes >= moves:
            break
        if waiter.pi or waiter.target is not None:
            raise GuestError(errno.EINVAL)
        done += 1
        if done <= wakes:
            release(process, waiter)
        else:
            move(process, waiter, target, second)
    word = host_word(process, key, first)
    if word is not None and done < wakes + moves:
        done += host_futex.wake(
            word, wakes + moves - done
        )  # waiters of other processes read the word again; their order is not defined
    return done


def move(process: Process, waiter: FutexWaiter, key: Key, address: int) -> None:
    """Moves a waiter to the end of another queue."""
    leave(process, waiter)
    waiter.key, waiter.address = key, address
    enter(process, waiter)


_OPERATIONS = (
    lambda old, argument: argument,
    lambda old, argument: old + argument,
    lambda old, argument: old | argument,
    lambda old, argument: old & ~argument,
    lambda old, argument: old ^ argument,
)
_COMPARISONS = (
    lambda old, argument: old == argument,
    lambda old, argument: old != argument,
    lambda old, argument: old < argument,
    lambda old, argument: old <= argument,
    lambda old, argument: old > argument,
    lambda old, argument: old >= argument,
)  # FUTEX_OP_CMP_EQ NE LT LE GT GE


def _signed(value: int, bits: int) -> int:
    return ((value & (1 << bits) - 1) ^ 1 << bits - 1) - (1 << bits - 1)


def wake_op(process: Process, first: int, second: int, private: bool, count: int, count2: int, encoded: int) -> int:
    """FUTEX_WAKE_OP: changes the second word, wakes waiters of the first, and those of the second if its old value compares so. Raises
    GuestError(ENOSYS) for an operation that does not exist."""
    key, key2 = key_of(process, first, private), key_of(process, second, private, "write")
    operation, comparison = encoded >> 28 & 7, encoded >> 24 & 15
    argument, compared = _signed(encoded >> 12, 12), _signed(encoded, 12)
    if encoded >> 31:  # FUTEX_OP_OPARG_SHIFT
        argument = 1 << (argument & 31)
    if operation >= len(_OPERATIONS):  # before the word of a private futex is looked at
        raise GuestError(errno.ENOSYS)
    process.memory.check(second, 4, "write")
    old = load(process, second)
    store(process, second, _OPERATIONS[operation](old, argument))
    if comparison >= len(_COMPARISONS):
        raise GuestError(errno.ENOSYS)
    woken = wake_key(process, key, first, count)
    if _COMPARISONS[comparison](_signed(old, 32), compared):
        woken += wake_key(process, key2, second, count2)
    return woken
