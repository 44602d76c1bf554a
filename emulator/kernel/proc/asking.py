"""What another process of the guest says of itself when it is asked (shared/requests.py): the files of its /proc/PID, its descriptors.

Source: ptrace_may_access in kernel/ptrace.c of Linux: who may see them.
"""

from __future__ import annotations

import errno
import os

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.pids import NOTIFY
from uselib.emulator.kernel.proc.facts import facts_of
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.shared.requests import Question, Requests
from uselib.emulator.kernel.vfs.places import SyntheticFile

_CAP_SYS_PTRACE = 19
_MOST = 1 << 26  # bytes of an answer


def ask(process: Process, pid: int, question: Question) -> list[int]:
    """Descriptors of the host's. Raises GuestError: EACCES without an answer or the right to ask, ESRCH, what the process says."""
    who, facts = process.identity, facts_of(process, pid)
    if {*facts.uids[:3]} != {who.file_uid} and not who.can(_CAP_SYS_PTRACE):
        raise GuestError(errno.EACCES)
    pids = process.pids
    try:
        answer = process.shared.part(Requests).ask(
            pid, question, lambda: pids.send(pid, NOTIFY), lambda: pids.state(pid) not in "TZ"
        )
    except ProcessLookupError:
        raise GuestError(errno.ESRCH) from None
    if answer is None:
        raise GuestError(errno.EACCES)
    result, fds = answer
    if result:
        for fd in fds:
            os.close(fd)
        raise GuestError(result)
    return fds


def ask_bytes(process: Process, pid: int, question: Question) -> bytes:
    """Likewise, of an answer that is bytes."""
    (fd,) = ask(process, pid, question)
    try:
        return os.pread(fd, _MOST, 0)
    finally:
        os.close(fd)


def text(process: Process, special: SyntheticFile) -> bytes:
    """A file of another process's /proc/PID."""
    return ask_bytes(process, special.pid, ("text", special.name, special.number, special.pid, special.tid))


def link(process: Process, special: SyntheticFile) -> bytes:
    return ask_bytes(process, special.pid, ("link", special.name, special.number))


def descriptors(process: Process, pid: int) -> list[int]:
    """The numbers of its open files; none where they are not to be had."""
    try:
        return [int(word) for word in ask_bytes(process, pid, ("descriptors",)).split()]
    except GuestError:
        return []
