"""ProcessFacts: what /proc/PID/status, stat and similar files say of a process. The facts of this process come from its parts; those of
another process of the guest come from what it has published in the shared table (pids.PidTable.tell).
"""

from __future__ import annotations

import errno
import marshal
import os

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.vfs.synthetic import TERMINAL_MAJOR
from uselib.linker.image import PAGE
from uselib.linker.quick_dataclass import NamedTuple

_LONGEST = 1500  # bytes of a command line that others may see


class ProcessFacts(NamedTuple):
    """uids, gids: real, effective, saved, of the file system. started: ns of its clock. size, resident, locked: bytes. terminal: st_rdev of
    the controlling terminal, 0: none; foreground: its process group, -1: none. signals: pending, blocked, ignored, caught as masks."""

    pid: int
    name: str
    parent: int
    group: int
    session: int
    uids: tuple[int, int, int, int]
    gids: tuple[int, int, int, int]
    groups: tuple[int, ...]
    nice: int
    threads: int
    started: int
    cpu: int
    size: int
    resident: int
    terminal: int
    foreground: int
    signals: tuple[int, int, int, int]
    capabilities: tuple[int, int, int, int]
    command_line: tuple[bytes, ...]
    executable: str
    mask: int
    locked: int = 0
    state: str = "R"


def facts_of(process: Process, pid: int) -> ProcessFacts:
    """The facts of process `pid`. Raises GuestError(ESRCH) if the guest has no such process, or if it has ended and been waited for."""
    if pid == process.identity.pid:
        return own_facts(process)
    try:
        group, session = process.pids.groups(pid)
    except ProcessLookupError:
        raise GuestError(errno.ESRCH) from None
    data = process.pids.told(pid)
    if not data:
        raise GuestError(errno.ESRCH)
    facts = ProcessFacts(*marshal.loads(data))
    state, parent = process.pids.state(pid), process.pids.parent(pid)
    return facts._replace(group=group, session=session, state=state, parent=parent)


def own_facts(process: Process) -> ProcessFacts:
    who, signals, clock = process.identity, process.signals, process.clock
    group, session = process.pids.groups(who.pid)
    size = sum(vma.size for vma in process.memory)
    pending = sum(1 << info.signal - 1 for info in signals.pending)
    ignored = sum(1 << number - 1 for number, action in signals.actions.items() if action.handler == 1)
    caught = sum(1 << number - 1 for number, action in signals.actions.items() if action.handler > 1)
    terminal, foreground = _controlling(process)
    return ProcessFacts(
        pid=who.pid,
        name=who.name,
        parent=process.pids.parent(who.pid),
        group=group,
        session=session,
        uids=(who.uid, who.effective_uid, who.saved_uid, who.file_uid),
        gids=(who.gid, who.effective_gid, who.saved_gid, who.file_gid),
        groups=who.groups,
        nice=who.nice,
        threads=max(len(process.threads.all), 1),
        started=who.started,
        cpu=clock.now - who.started,
        size=size,
        resident=min(size, 4 << 20) // PAGE * PAGE,
        terminal=terminal,
        foreground=foreground,
        signals=(pending, process.thread.blocked, ignored, caught),
        capabilities=who.capabilities,
        command_line=who.command_line,
        executable=who.executable,
        mask=process.thread.blocked,
        locked=process.memory.locked,
    )


def _controlling(process: Process) -> tuple[int, int]:
    """st_rdev of the controlling terminal and its foreground group, in the guest's numbers; (0, -1) without one."""
    try:
        fd = process.terminals.controlling()
    except GuestError:
        return 0, -1
    try:
        number = process.terminals.device(os.fstat(fd))
        if number is None:
            return 0, -1
        return os.makedev(TERMINAL_MAJOR, number), process.pids.guest_group(os.tcgetpgrp(fd)) or -1
    finally:
        os.close(fd)


def publish(process: Process) -> None:
    """Publishes this process's facts for the guest's other processes, if there are any."""
    if process.pids.alone:
        return
    facts = own_facts(process)
    line, room = [], _LONGEST
    for word in facts.command_line:
        line.append(word[:room])
        room -= len(line[-1]) + 6
        if room <= 0:
            break
    process.pids.tell(marshal.dumps(tuple(facts._replace(command_line=tuple(line)))))
