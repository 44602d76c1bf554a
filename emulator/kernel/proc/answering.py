"""What this process says of itself when another one of the guest asks (asking.py). It is called from a handler of a host's signal, between
any two steps of what the process does, so it only looks."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.proc.texts import text_of
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.shared.requests import Question, Requests
from uselib.emulator.kernel.sockets import passing
from uselib.emulator.kernel.threads import robust
from uselib.emulator.kernel.vfs.places import SyntheticFile


def _bytes(data: bytes) -> list[int]:
    fd = os.memfd_create("answer", os.MFD_CLOEXEC)
    os.write(fd, data)
    return [fd]


def _text(process: Process, name: str, number: int, pid: int, tid: int) -> list[int]:
    return _bytes(text_of(process, SyntheticFile(name, number=number, pid=pid, tid=tid)))


def _link(process: Process, name: str, number: int) -> list[int]:
    view = process.fs.namespace.view
    return _bytes(view.link(SyntheticFile(name, link=True, number=number, pid=process.identity.pid)))


def _descriptors(process: Process) -> list[int]:
    return _bytes(b" ".join(b"%d" % fd for fd in sorted(process.files.descriptors)))


def _file(process: Process, number: int) -> list[int]:
    """pidfd_getfd. The first is the caller's to close, the others are ours and stay open."""
    file = process.files.get(number)
    if not passing.passes(file):
        raise GuestError(errno.EPERM)
    return [os.dup(fd) for fd in passing.pack([file])]


def _end(process: Process) -> list[int]:
    """SIGKILL, after the locks of its threads have got their marks."""
    robust.process_ends(process)
    os.kill(os.getpid(), signal.SIGKILL)
    return []


_ANSWERS: dict[str, Callable[..., list[int]]] = {
    "text": _text,
    "link": _link,
    "descriptors": _descriptors,
    "file": _file,
    "end": _end,
}


def answer(process: Process, serial: int, question: Question) -> None:
    """Answers a question that this process has been notified of."""
    result, fds = _result(process, question)
    process.shared.part(Requests).answer(serial, result, fds)
    for fd in fds:
        os.close(fd)


def _result(process: Process, question: Question) -> tuple[int, list[int]]:
    kind, *arguments = question
    try:
        return 0, _ANSWERS[kind](process, *arguments)
    except (GuestError, OSError) as failure:
        return failure.errno or errno.EIO, []
