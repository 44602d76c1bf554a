"""What is done for other threads when a thread ends: its robust futexes are marked, its number is cleared.

A program registers a list of the locks that a thread holds (set_robust_list). A lock whose owner ends gets the mark FUTEX_OWNER_DIED, and one
of its waiters is woken. The list is in the program's memory and may contain anything. An entry that cannot be read ends the walk. Source:
exit_robust_list and handle_futex_death in kernel/futex/core.c, mm_release in kernel/fork.c, Documentation/locking/robust-futex-ABI.rst.
"""

from __future__ import annotations

from contextlib import suppress

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.threads import futex, pi
from uselib.emulator.kernel.threads.thread import Thread
from uselib.loader.memory.address_space import MemoryFault

_LIMIT = 2048  # entries (ROBUST_LIST_LIMIT)


def thread_ends(process: Process, thread: Thread, *, last: bool = False) -> None:
    """A thread ends. last: no other thread is left that could wait for its number."""
    leave_robust_list(process, thread)
    pi.owner_ends(process, thread.tid)
    if thread.clear_tid and not (last and process.borrowed < 0):
        with suppress(MemoryFault, GuestError):
            futex.store(process, thread.clear_tid, 0)
            futex.wake(process, thread.clear_tid, False, 1)
    thread.clear_tid = 0


def process_ends(process: Process) -> None:
    """exit_group, or a fatal signal, ends all threads. Only other processes can still wait for them."""
    if process.clock.shared:
        for thread in [*process.threads.all.values(), process.thread]:
            thread_ends(process, thread, last=True)


def after_exec(process: Process) -> None:
    """execve by any thread: the others have ended, and the caller is the first thread from now on."""
    threads, thread = process.threads, process.thread
    process_ends(process)
    if threads.scheduler is not None:
        threads.scheduler.end_others()
        threads.scheduler = None
    threads.futexes.clear()
    thread.after_exec(process.identity.pid)
    threads.all = {thread.tid: thread}
    threads.counted()


def leave_robust_list(process: Process, thread: Thread) -> None:
    """Marks the locks that the thread holds."""
    head, thread.robust = thread.robust, 0
    if not head:
        return
    with suppress(MemoryFault):
        _walk(process, thread, head)


def _walk(process: Process, thread: Thread, head: int) -> None:
    """Raises MemoryFault where the list cannot be read."""
    word = process.machine.word
    mask = process.structs.word_mask

    def read(address: int) -> int:
        return int.from_bytes(process.memory.read(address & mask, word), "little")

    entry, offset, pending = read(head), read(head + word), read(head + 2 * word)
    count = 0
    while entry & ~1 != head and count < _LIMIT:
        following = read(entry & ~1) if entry & ~1 != pending & ~1 else None
        if entry & ~1 != pending & ~1:
            _died(process, thread, (entry & ~1) + offset & mask, bool(entry & 1), pending=False)
        entry = read(entry & ~1) if following is None else following
        count += 1
    if pending & ~1:
        _died(process, thread, (pending & ~1) + offset & mask, bool(pending & 1), pending=True)


def _died(process: Process, thread: Thread, address: int, with_owner: bool, *, pending: bool) -> None:
    """handle_futex_death. Raises MemoryFault."""
    if address & 3:
        raise MemoryFault(address, "read")
    value = futex.load(process, address)
    owner = value & pi.TID
    with suppress(GuestError):
        if pending and not with_owner and not owner:  # unlocked, but no waiter has been woken yet
            futex.wake(process, address, False, 1)
            return
        if owner != thread.tid:
            return
        if with_owner:
            for private in (True, False):
                key = futex.key_of(process, address, private)
                if process.threads.futexes.get(key):
                    pi.pass_on(process, key, address, died=True)
                    return
        futex.store(process, address, value & pi.WAITERS | pi.OWNER_DIED)
        if value & pi.WAITERS:
            futex.wake(process, address, False, 1)
