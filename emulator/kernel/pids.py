"""Process numbers of the guest: 1000, 1001, ... in order of creation, and the host processes behind them; groups and sessions.

A process group of the guest is one of the host's as well, so that the host's terminals, stops and waits know it. The table is shared memory
that every process of the guest inherits (shared/process_rows.py), so that any of them can send a signal to any other. A signal is sent
through a pidfd that was opened while the process held the lock of its row: it reaches that process or no process.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from uselib.emulator.kernel.shared.process_rows import FACTS, HAS_EXECUTED, HOST_ACTS, ROOM, SUBREAPER, ProcessRows
from uselib.emulator.kernel.shared.signal_boxes import Origin, SignalBoxes
from uselib.emulator.kernel.signals.numbers import NOTIFIED, SIGPIPE

FIRST = 1000
NOTIFY = 64  # the host signal by which a process notifies another of an entry in its box
_HOST_ENDS = NOTIFIED - {SIGPIPE, NOTIFY}  # these end a host process as they end one of the guest
_CHAIN = 64  # processes that wait for each other


class PidTable:
    """Guest pid -> host pid. Entry 0 holds the count; host pid 0 means that the process has ended and has been waited for. The shared memory
    is made when the first process forks.
    """

    def __init__(self) -> None:
        self._first = os.getpid()
        self._opened: ProcessRows | None = None
        self._own = FIRST
        self._waited: dict[int, int] = {}  # children of this process that are gone: host's pid -> guest's
        self._alone = (FIRST, FIRST)  # group and session of the only process

    def _open(self) -> ProcessRows:
        if self._opened is None:
            self._opened = ProcessRows()
            self._opened.count = 1
            self._enter(FIRST, self._first, 0, *self._alone)
        return self._opened

    @property
    def alone(self) -> bool:
        """No process has been forked yet."""
        return self._opened is None

    def close(self) -> None:
        """Frees the table, in the process that made it, when the run is over."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _row(self, index: int) -> tuple[int, int, int, int]:
        """Host pid, parent, group, session."""
        return self._open().row(index)

    def _get(self, index: int) -> tuple[int, int]:
        host, parent, _, _ = self._row(index)
        return host, parent

    def _index(self, pid: int) -> int:
        """Of an entry; 0 if there is no such guest process."""
        index = pid - FIRST + 1
        return index if 1 <= index <= self._open().count else 0

    def has_room(self, most: int) -> bool:
        """Whether fewer than `most` processes run, of the whole guest. A process that has ended does not count."""
        count = self._open().count
        if count < most:
            return True
        return sum(bool(self._get(index)[0] and self._holder(index)) for index in range(1, count + 1)) < most

    def runs(self, pid: int) -> bool:
        """Whether the guest's process has not ended yet."""
        index = self._index(pid)
        return bool(index and self._get(index)[0] and self._holder(index))

    def reserve(self) -> int:
        """A new guest pid. Raises OSError (EAGAIN) when the table is full."""
        rows = self._open()
        with rows.locked():
            count = rows.count
            if count >= ROOM:
                raise OSError(errno.EAGAIN, "too many processes")
            rows.count = count + 1
            return FIRST + count

    def register(self, pid: int, parent: int) -> None:
        """In the new process itself, before its parent goes on: it is guest process `pid` from now on, in its parent's group and session."""
        self._enter(pid, os.getpid(), parent, *self.groups(parent))
        self._own = pid

    def _enter(self, pid: int, host: int, parent: int, group: int, session: int) -> None:
        rows, index = self._open(), pid - FIRST + 1
        rows.hold(index)
        rows.set_row(index, host, parent, group, session)

    def forget(self, pid: int) -> None:
        """Removes a process that has ended and has been waited for."""
        if index := self._index(pid):
            for child, _ in self.children(pid):
                self._adopt(child, self.parent(child))
            self._waited[self._get(index)[0]] = pid
            self._open().set_row(index, 0, 0, 0, 0)

    def _adopt(self, pid: int, parent: int) -> None:
        index = self._index(pid)
        host, _, group, session = self._row(index)
        self._open().set_row(index, host, parent, group, session)

    def children(self, parent: int) -> list[tuple[int, int]]:
        """Guest's and host's pid of each child that has not been waited for."""
        rows = ((index, *self._get(index)) for index in range(1, self._open().count + 1))
        return [
            (FIRST + index - 1, host)
            for index, host, above in rows
            if host and (above == parent or self._is_adopted(index, parent))
        ]

    def _is_adopted(self, index: int, parent: int) -> bool:
        """Whether it is the child of a process that looks after orphans."""
        looks = self._open().flag(self._index(parent), SUBREAPER)
        return looks and self.parent(FIRST + index - 1) == parent

    def child(self, pid: int, parent: int) -> int | None:
        """The host's pid of a child of `parent` that has not been waited for; None for another process."""
        index = self._index(pid)
        host, found = self._get(index) if index else (0, 0)
        if not host or not (found == parent or self._is_adopted(index, parent)):
            return None
        return host if self._is_there(index) else None

    def guest(self, host: int) -> int | None:
        """The guest's pid of a host process that is a child of this one, or was until it was waited for."""
        for index in range(self._open().count, 0, -1):
            if self._get(index)[0] == host:
                return FIRST + index - 1
        return self._waited.get(host)

    def all(self) -> list[int]:
        """Guest pids of the processes that have not been waited for."""
        if self.alone:
            return [self._own]
        return [
            FIRST + index - 1
            for index in range(1, self._open().count + 1)
            if self._get(index)[0] and self._is_there(index)
        ]

    def is_there(self, pid: int) -> bool:
        """Whether kill(2) would find it."""
        index = self._index(pid)
        return bool(index and self._get(index)[0] and self._is_there(index))

    def _is_there(self, index: int) -> bool:
        """Whether a process runs, or has ended and waits for its parent. One whose parent ignores SIGCHLD does not wait."""
        if self._holder(index):
            return True
        try:
            os.kill(self._get(index)[0], 0)  # a zombie is there for kill(2)
        except OSError:
            return False
        return self.parent(FIRST + index - 1) != 1

    def guest_of(self, host: int) -> int:
        """The guest's number of a host process that runs; 0 if it does not belong to the guest."""
        return next((pid for pid in self.all() if self.host_of(pid) == host), 0)

    def parent(self, pid: int) -> int:
        """getppid(2). Once the parent has ended: the nearest of its ancestors that looks after orphans, or 1."""
        if self.alone or not (index := self._index(pid)):
            return 1
        orphan = False
        while above := self._index(self._get(index)[1]):
            runs = self._get(above)[0] and self._holder(above)
            if runs and (not orphan or self._open().flag(above, SUBREAPER)):
                return FIRST + above - 1
            orphan, index = True, above
        return 1

    # -- groups and sessions ------------------------------------------------------------------------------------------

    def groups(self, pid: int) -> tuple[int, int]:
        """Process group and session. Raises ProcessLookupError."""
        if self.alone:
            if pid == self._own:
                return self._alone
        elif (index := self._index(pid)) and (pid == self._own or self.is_there(pid)):
            return self._row(index)[2:]
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))

    def set_groups(self, pid: int, group: int, session: int) -> None:
        """Of a process that is there."""
        if self.alone:
            self._alone = group, session
            return
        index = self._index(pid)
        host, parent, _, _ = self._row(index)
        self._open().set_row(index, host, parent, group, session)

    def members(self, group: int) -> list[int]:
        """Guest pids of the processes of a group that have not been waited for."""
        if self.alone:
            return [self._own] if self._alone[0] == group else []
        return [pid for pid in self.all() if self._row(self._index(pid))[2] == group]

    def host_of(self, pid: int) -> int:
        """The host's pid of a process that runs; 0 if it has ended or does not exist."""
        if self.alone:
            return os.getpid() if pid == self._own else 0
        index = self._index(pid)
        return self._holder(index) if index and self._get(index)[0] else 0

    def host_group(self, group: int) -> int:
        """The host's number of a group; 0 if it is empty."""
        for pid in self.members(group):
            if host := self.host_of(pid):
                with suppress(OSError):
                    return os.getpgid(host)
        return 0

    def guest_group(self, host_group: int) -> int:
        """The guest's number of a host group; 0 if no process of the guest is in it."""
        pid = self._first_with(os.getpgid, host_group)
        return self.groups(pid)[0] if pid else 0

    def guest_session(self, host_session: int) -> int:
        """Likewise of a session."""
        pid = self._first_with(os.getsid, host_session)
        return self.groups(pid)[1] if pid else 0

    def _first_with(self, question: Callable[[int], int], answer: int) -> int:
        """The first running process of the guest of which the host says so; 0: none."""
        for pid in self.all():
            if host := self.host_of(pid):
                with suppress(OSError):
                    if question(host) == answer:
                        return pid
        return 0

    # -- what processes tell of themselves ----------------------------------------------------------------------------

    def tell(self, facts: bytes) -> None:
        """Publishes facts about this process for the others."""
        if self._opened is None or len(facts) > FACTS:
            return
        with self._opened.locked():
            self._opened.set_facts(self._own - FIRST + 1, facts)

    def told(self, pid: int) -> bytes:
        """The facts that another process has published; empty if there are none."""
        index = 0 if self.alone else self._index(pid)
        if not index:
            return b""
        rows = self._open()
        with rows.locked():
            return rows.facts(index)

    def set_state(self, pid: int, letter: int) -> None:
        if self._opened is not None:
            self._opened.set_letter(pid - FIRST + 1, letter)

    def state_address(self, pid: int) -> int:
        """The host's address of the letter that `set_state` sets, once a process has forked."""
        return self._open().letter_address(pid - FIRST + 1)

    def note_execve(self) -> None:
        """This process has called execve: its parent may not move it to another group from now on."""
        if self._opened is not None:
            self._opened.set_flag(self._index(self._own), HAS_EXECUTED, True)

    def set_host_acts(self, acts: bool) -> None:
        """Whether this process has neither handlers for the signals NOTIFIED nor blocks them."""
        if self._opened is not None:
            self._opened.set_flag(self._index(self._own), HOST_ACTS, acts)

    def set_subreaper(self, looks: bool) -> None:
        """Whether this process gets the children of its descendants that have ended."""
        self._open().set_flag(self._index(self._own), SUBREAPER, looks)

    def has_executed(self, pid: int) -> bool:
        return self._opened is not None and self._opened.flag(self._index(pid), HAS_EXECUTED)

    def state(self, pid: int) -> str:
        """As proc(5) has it: R, S, T, Z."""
        if self.alone:
            return "R"
        if not self.host_of(pid):
            return "Z"
        return chr(self._open().letter(self._index(pid)))

    def set_waits_for(self, holder: int) -> bool:
        """This process waits for a record lock of another one; 0: no more. True: that one waits, by others or not, for this one."""
        if self._opened is None:
            return False
        self._opened.set_waits_for(self._index(self._own), holder)
        for _ in range(_CHAIN):
            if not holder:
                return False
            if holder == self._own:
                return True
            holder = self._opened.waits_for(self._index(holder))
        return False

    # -- signals ------------------------------------------------------------------------------------------------------

    @property
    def boxes(self) -> SignalBoxes:
        """The boxes with siginfo_t of signals that processes send each other."""
        return self._open().boxes

    @property
    def box(self) -> int:
        """This process's."""
        return self._index(self._own)

    def send(self, pid: int, number: int, origin: Origin | None = None) -> None:
        """kill(2) of another guest process; 0: only whether it is there. Raises ProcessLookupError, OSError(EAGAIN) for a real-time signal
        of which too many wait."""
        index = self._index(pid)
        if not index or not self._get(index)[0]:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        holder = self._holder(index)
        if not holder:
            self._ended(index)
            return
        if number and origin is not None and not self.boxes.put(index, number, origin) and origin.code < 0:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        if number in NOTIFIED and not (number in _HOST_ENDS and self._open().flag(index, HOST_ACTS)):
            number = NOTIFY
        try:
            fd = os.pidfd_open(holder)
        except OSError as failure:
            if failure.errno != errno.ENOSYS:
                self._ended(index)
                return
            os.kill(holder, number)  # Linux before 5.3
            return
        try:
            if self._holder(index) != holder:  # it has ended; the pid may be reused
                self._ended(index)
                return
            with suppress(ProcessLookupError):  # it ended just now
                signal.pidfd_send_signal(fd, number)
        finally:
            os.close(fd)

    def descriptor(self, pid: int) -> int:
        """A pidfd of the host's for a guest process, also for one that has ended and has not been waited for. Raises ProcessLookupError."""
        index = self._index(pid)
        host = self._get(index)[0] if index else 0
        if not host:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        if not self._holder(index):
            self._ended(index)
        fd = os.pidfd_open(host)
        holder = self._holder(index)
        if holder and holder != host:
            os.close(fd)
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        return fd

    def _holder(self, index: int) -> int:
        """See ProcessRows.holder."""
        return self._open().holder(index)

    def _ended(self, index: int) -> None:
        """A process that has ended is there until its parent waits for it, and not at all if the parent ignores SIGCHLD; the host waits for
        orphans. Raises ProcessLookupError.
        """
        if not self._is_there(index):
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
