"""poll, select and related calls, on the host's poll(2)."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from uselib.emulator.kernel.arguments import INT, PTR, SIGSET, SIZE, UINT, entries, struct_in
from uselib.emulator.kernel.calls.time import read_timespec
from uselib.emulator.kernel.clock import SECOND
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall, Undo
from uselib.emulator.kernel.vfs.descriptions import Description
from uselib.emulator.kernel.vfs.epoll_file import EpollFile
from uselib.emulator.kernel.vfs.host_files import HostFile
from uselib.emulator.kernel.waiting import blocked, poll
from uselib.linker.image import Machine
from uselib.loader.memory.access import MemoryFault

POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL = 1, 2, 4, 8, 16, 32
POLLRDNORM, POLLRDBAND, POLLWRNORM = 0x40, 0x80, 0x100
_ALWAYS = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM  # events that files and directories always have
_MILLISECOND = 1_000_000  # ns


def prepare(process: Process) -> None:
    """Called before the host is asked which descriptors are ready: looks at timers whose time has come, and at signals that have been
    taken.
    """
    if process.clock.alarm_at is not None:
        process.signals.timers.check()
    if process.signals.on_post:
        for entry in process.files.descriptors.values():
            entry.description.refresh()


def ready(process: Process, wanted: Sequence[tuple[int, int]], timeout: int | None) -> list[int]:
    """The events of each (guest descriptor, events), waiting up to `timeout` ns for the first. Raises GuestError(EINTR)."""
    prepare(process)
    found = [0] * len(wanted)
    watched: dict[int, int] = {}  # host descriptor -> events
    hosts: list[tuple[int, Description, int, int]] = []  # index, file, host descriptor, events
    for index, (fd, events) in enumerate(wanted):
        if fd < 0:
            continue
        entry = process.files.descriptors.get(fd)
        if entry is None:
            found[index] = POLLNVAL
        elif isinstance(entry.description, (HostFile, EpollFile)):
            host = entry.description.fd
            watched[host] = watched.get(host, 0) | entry.description.asked(events)
            hosts.append((index, entry.description, host, events))
        else:
            found[index] = events & _ALWAYS
    answers = dict(poll(process, list(watched.items()), 0 if any(found) else timeout))
    for index, file, host, events in hosts:
        found[index] = file.seen(answers.get(host, 0)) & (events | POLLERR | POLLHUP)
    return found


def _poll(process: Process, address: int, count: int, timeout: int | None) -> int:
    if count > process.files.limit:
        raise GuestError(errno.EINVAL)
    layout = process.structs["pollfd"]
    entries = list(layout.array(process.memory.read(address, layout.size * count)))
    found = ready(process, [(fd, events & 0xFFFF) for fd, events, _ in entries], timeout)
    data = b"".join(layout.pack(fd, events, answer) for (fd, events, _), answer in zip(entries, found, strict=True))
    process.memory.write(address, data)
    return sum(1 for answer in found if answer)


def sys_poll(process: Process, address: int, count: int, timeout: int) -> int:
    return _poll(process, address, count, None if timeout < 0 else timeout * _MILLISECOND)


def read_mask(process: Process, address: int, size: int) -> int | None:
    """A signal set of 8 bytes, or None for a null pointer. Raises GuestError(EINVAL)."""
    if not address:
        return None
    if size != 8:
        raise GuestError(errno.EINVAL)
    return int.from_bytes(process.memory.read(address, 8), "little")


@contextmanager
def _time_left(process: Process, address: int, limit: int | None, layout: str) -> Iterator[None]:
    """Says afterwards in the caller's timespec how much of the time (ns) is left, also after EINTR (poll_select_finish)."""
    before = process.clock.now
    try:
        yield
    finally:
        if limit is not None:
            left = divmod(max(limit - (process.clock.now - before), 0), SECOND)
            with suppress(MemoryFault):  # it may lie in memory for reading
                process.memory.write(address, process.structs[layout].pack(*left))


def sys_ppoll(
    process: Process, address: int, count: int, timeout: int, mask: int, size: int, layout: str = "timespec"
) -> int:
    limit = read_timespec(process, timeout, layout) if timeout else None
    with _time_left(process, timeout, limit, layout), blocked(process, read_mask(process, mask, size)):
        return _poll(process, address, count, limit)


def sys_ppoll64(process: Process, address: int, count: int, timeout: int, mask: int, size: int) -> int:
    return sys_ppoll(process, address, count, timeout, mask, size, "timespec64")


# select

_SETS = (
    (POLLIN | POLLRDNORM | POLLRDBAND, POLLHUP | POLLERR),
    (POLLOUT | POLLWRNORM, POLLERR),
    (POLLPRI, 0),
)  # events asked for, and others that make a descriptor in the set ready (fs/select.c)


def _select(process: Process, count: int, addresses: tuple[int, int, int], timeout: int | None) -> int:
    if count < 0:
        raise GuestError(errno.EINVAL)
    count = min(count, process.files.limit)
    bits_of_word = 8 * process.structs.word
    size = -(-count // bits_of_word) * process.structs.word
    sets = [int.from_bytes(process.memory.read(address, size), "little") if address else 0 for address in addresses]
    wanted = []
    for fd in range(count):
        events = 0
        for bits, (asked, _) in zip(sets, _SETS, strict=True):
            events |= asked if bits >> fd & 1 else 0
        if events:
            process.files.get(fd)
            wanted.append((fd, events))
    found = dict(zip((fd for fd, _ in wanted), ready(process, wanted, timeout), strict=True))
    total = 0
    for address, bits, (asked, also) in zip(addresses, sets, _SETS, strict=True):
        answer = sum(1 << fd for fd, events in found.items() if bits >> fd & 1 and events & (asked | also))
        total += answer.bit_count()
        if address:
            process.memory.write(address, answer.to_bytes(size, "little"))
    return total


def sys_select(process: Process, count: int, read: int, write: int, other: int, timeout: int) -> int:
    limit = None
    if timeout:
        layout = process.structs["timeval"]
        seconds, microseconds = layout.unpack(process.memory.read(timeout, layout.size))
        if seconds < 0 or microseconds < 0:
            raise GuestError(errno.EINVAL)
        limit = seconds * SECOND + microseconds * 1000
    before = process.clock.now
    result = _select(process, count, (read, write, other), limit)
    if timeout and limit is not None:
        left = max(limit - (process.clock.now - before), 0) if result else 0
        process.memory.write(timeout, layout.pack(left // SECOND, left % SECOND // 1000))
    return result


def sys_old_select(process: Process, address: int) -> int:
    """i386: one pointer to the five arguments."""
    layout = process.structs["select_argument"]
    count, read, write, other, timeout = layout.unpack(process.memory.read(address, layout.size))
    return sys_select(process, count, read, write, other, timeout)


def sys_pselect6(
    process: Process, count: int, read: int, write: int, other: int, timeout: int, mask: int, layout: str = "timespec"
) -> int:
    limit = read_timespec(process, timeout, layout) if timeout else None
    wanted = None
    if mask:
        pair = process.structs["sigset_argument"]
        wanted = read_mask(process, *pair.unpack(process.memory.read(mask, pair.size)))
    with _time_left(process, timeout, limit, layout), blocked(process, wanted):
        return _select(process, count, (read, write, other), limit)


def sys_pselect6_64(process: Process, count: int, read: int, write: int, other: int, timeout: int, mask: int) -> int:
    return sys_pselect6(process, count, read, write, other, timeout, mask, "timespec64")


_POLLFDS, _FDS = entries("pollfds", 1), entries("fd_set", 0)
_SELECT = (INT, _FDS, _FDS, _FDS, struct_in("timeval", updated=True))

ROWS: tuple[Syscall, ...] = (
    Syscall("poll", sys_poll, (_POLLFDS, UINT, INT), undo=Undo.NEVER, restarts=False),
    Syscall("ppoll", sys_ppoll, (_POLLFDS, UINT, struct_in("timespec"), SIGSET, SIZE), undo=Undo.NEVER, restarts=False),
    Syscall(
        "ppoll_time64",
        sys_ppoll64,
        (_POLLFDS, UINT, struct_in("timespec64"), SIGSET, SIZE),
        undo=Undo.NEVER,
        restarts=False,
    ),
    Syscall("select", sys_select, _SELECT, Machine.X86_64, undo=Undo.NEVER, restarts=False),
    Syscall("select", sys_old_select, (PTR,), Machine.I386, undo=Undo.NEVER, restarts=False),
    Syscall("_newselect", sys_select, _SELECT, undo=Undo.NEVER, restarts=False),
    Syscall(
        "pselect6", sys_pselect6, (INT, _FDS, _FDS, _FDS, struct_in("timespec"), PTR), undo=Undo.NEVER, restarts=False
    ),
    Syscall(
        "pselect6_time64",
        sys_pselect6_64,
        (INT, _FDS, _FDS, _FDS, struct_in("timespec64"), PTR),
        undo=Undo.NEVER,
        restarts=False,
    ),
)
