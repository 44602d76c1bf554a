"""Futexes with an owner (FUTEX_LOCK_PI and related operations). The word holds the owner's thread number, and the kernel passes it on.

Threads have no priorities here, so nothing is inherited; the first waiter gets the word. Between processes the word becomes free, and a
waiter of another process takes it when it reads the word again. Source: kernel/futex/{pi,requeue}.c of Linux 6.1,
Documentation/locking/pi-futex.rst.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.threads import futex, host_futex
from uselib.emulator.kernel.threads.futex import Key, load
from uselib.emulator.kernel.threads.wait import FutexWaiter
from uselib.loader.memory.address_space import MemoryFault

WAITERS, OWNER_DIED, TID = 0x8000_0000, 0x4000_0000, 0x3FFF_FFFF


def _owner_exists(process: Process, tid: int) -> bool:
    return tid in process.threads.all or tid == process.thread.tid or tid in process.pids.all()


def _change(process: Process, address: int, new: Callable[[int], int]) -> int:
    """The word becomes `new(word)`, whatever other processes do with it meanwhile. Returns what it was. Raises MemoryFault."""
    word = load(process, address)
    while (found := process.memory.exchange_word(address, word, new(word))) != word:
        word = found
    return word


def _take(process: Process, address: int, tid: int, others: bool) -> bool:
    """Takes a word without an owner. Returns False if it has one. others: other threads wait for it."""
    taken = tid | (WAITERS if others else 0)
    return not TID & _change(process, address, lambda word: word if word & TID else word & OWNER_DIED | taken)


def _wait_for_owner(process: Process, address: int) -> int:
    """Marks a word that has an owner as one that is waited for. Returns it as it is then; 0 if its owner has let it go."""
    before = _change(process, address, lambda word: word | WAITERS if word & TID else word)
    return before | WAITERS if before & TID else 0


def _check_owner(process: Process, address: int, tid: int) -> None:
    """Raises GuestError if thread `tid` may not wait for the word."""
    owner = load(process, address) & TID
    if not owner:
        return  # it has just let the word go
    if owner == tid:
        raise GuestError(errno.EDEADLK)
    if not _owner_exists(process, owner):
        raise GuestError(errno.ESRCH)
    seen = set()
    while owner not in seen:  # no thread in the owner's chain of waits may wait for us
        seen.add(owner)
        waiter = _waits_for(process, owner)
        if waiter is None:
            return
        owner = load(process, waiter.address) & TID
        if owner == tid:
            raise GuestError(errno.EDEADLK)


def _waits_for(process: Process, tid: int) -> FutexWaiter | None:
    """The word that a thread waits to own."""
    for queue in process.threads.futexes.values():
        for waiter in queue:
            if waiter.pi and waiter.thread.tid == tid:
                return waiter
    return None


def lock(process: Process, address: int, private: bool, timeout: int | None) -> int:
    """FUTEX_LOCK_PI. timeout: ns from now. Raises GuestError(EDEADLK, ESRCH, ETIMEDOUT)."""
    key = futex.key_of(process, address, private, "write")
    return _lock(process, key, address, timeout)


def _lock(process: Process, key: Key, address: int, timeout: int | None) -> int:
    thread = process.thread
    deadline = None if timeout is None else process.clock.now + timeout
    while True:
        queue = process.threads.futexes.get(key)
        if not queue and _take(process, address, thread.tid, others=False):
            return 0
        _check_owner(process, address, thread.tid)
        word = _wait_for_owner(process, address)
        if not word and not queue:
            continue
        waiter = FutexWaiter(thread, key, address, pi=True, owner=word & TID)
        futex.enter(process, waiter)
        left = None if deadline is None else deadline - process.clock.now
        try:
            found = futex.block(process, [waiter], word, left)
        except GuestError:
            thread.restarts = True
            raise
        if waiter.woken:
            return 0
        if found is None:
            raise GuestError(errno.ETIMEDOUT)


def try_lock(process: Process, address: int, private: bool) -> int:
    """FUTEX_TRYLOCK_PI: also for a word whose owner died. Raises GuestError(EAGAIN)."""
    key = futex.key_of(process, address, private, "write")
    if not process.threads.futexes.get(key) and _take(process, address, process.thread.tid, others=False):
        return 0
    _check_owner(process, address, process.thread.tid)
    _wait_for_owner(process, address)
    raise GuestError(errno.EAGAIN)


def unlock(process: Process, address: int, private: bool) -> int:
    """FUTEX_UNLOCK_PI. Raises GuestError(EPERM) if the word is not the caller's."""
    if load(process, address) & TID != process.thread.tid:
        raise GuestError(errno.EPERM)
    key = futex.key_of(process, address, private, "write")
    pass_on(process, key, address, died=False)
    return 0


def pass_on(process: Process, key: Key, address: int, *, died: bool) -> bool:
    """The first waiter gets the word; without one the word becomes free. died: its owner has ended without unlocking. Returns False if no
    thread of this process waits.
    """
    queue = process.threads.futexes.get(key)
    mark = OWNER_DIED if died else 0
    if queue and queue[0].pi:
        owner = queue[0].thread.tid
        _change(process, address, lambda word: mark | WAITERS | owner)
        for waiter in queue:
            waiter.owner = owner
        futex.release(process, queue[0])
        return True
    host = futex.host_word(process, key, address)
    keeps = WAITERS if host is not None else 0
    waits = keeps & _change(process, address, lambda word: mark | word & keeps)
    if host is not None and waits:
        host_futex.wake(host, 1)
    return False


def owner_ends(process: Process, tid: int) -> None:
    """A thread ends: the waiters for words that it owns get them, whatever the words say (exit_pi_state_list)."""
    for key, queue in list(process.threads.futexes.items()):
        if queue[0].pi and queue[0].owner == tid:
            with suppress(MemoryFault):
                pass_on(process, key, queue[0].address, died=True)


# -- condition variables ------------------------------------------------------------------------------------------------


def wait_requeue(
    process: Process, address: int, second: int, private: bool, expected: int, timeout: int | None, bitset: int
) -> int:
    """FUTEX_WAIT_REQUEUE_PI: waits on the first word until FUTEX_CMP_REQUEUE_PI has moved the caller to the second and it owns that one."""
    if address == second or not bitset:
        raise GuestError(errno.EINVAL)
    target = futex.key_of(process, second, private, "write")
    key = futex.key_of(process, address, private)
    if key == target:
        raise GuestError(errno.EINVAL)
    if load(process, address) != expected:
        raise GuestError(errno.EAGAIN)
    waiter = FutexWaiter(process.thread, key, address, bitset, target=target)
    futex.enter(process, waiter)
    try:
        found = futex.block(process, [waiter], expected, timeout)
    except GuestError:
        if waiter.pi:
            raise GuestError(errno.EAGAIN) from None  # it was moved already, so the call cannot be restarted
        raise
    if waiter.woken:
        return 0
    raise GuestError(errno.ETIMEDOUT if found is None else errno.EAGAIN)


def requeue(process: Process, first: int, second: int, private: bool, wakes: int, moves: int, expected: int) -> int:
    """FUTEX_CMP_REQUEUE_PI: the first waiter gets the second word if it is free, and the others wait for it. Raises GuestError."""
    if first == second or wakes != 1 or moves < 0:
        raise GuestError(errno.EINVAL)
    key, target = futex.key_of(process, first, private), futex.key_of(process, second, private, "write")
    if key == target:
        raise GuestError(errno.EINVAL)
    if load(process, first) != expected:
        raise GuestError(errno.EAGAIN)
    done = 0
    for waiter in list(process.threads.futexes.get(key, ())):
        if done - wakes >= moves:
            break
        if waiter.target != target:
            raise GuestError(errno.EINVAL)
        if not process.threads.futexes.get(target) and _take(
            process, second, waiter.thread.tid, others=done + 1 < wakes + moves
        ):
            waiter.target = None
            futex.release(process, waiter)
        else:
            _check_owner(process, second, waiter.thread.tid)
            waiter.pi, waiter.target, waiter.owner = True, None, _wait_for_owner(process, second) & TID
            futex.move(process, waiter, target, second)
        done += 1
    return done
