"""An open file as a message between processes of the run (SCM_RIGHTS, pidfd_getfd), and back.

The host passes its descriptor. What the guest's kernel knows besides (path, flags, ...) goes with it in a memory file that no guest can see.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.sockets.socket_file import SocketFile
from uselib.emulator.kernel.sockets.table import Sockets
from uselib.emulator.kernel.vfs.descriptions import Description
from uselib.emulator.kernel.vfs.host_files import DirectoryFile, HostFile
from uselib.emulator.kernel.vfs.made_files import RandomFile, TextFile
from uselib.emulator.kernel.vfs.places import GuestDirectory, Handle, SyntheticFile

Facts = dict[str, Any]


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _plain(file: Description) -> Facts:
    return {"path": _text(file.path), "flags": file.flags, "mutable": file.mutable}


def _file(file: Description) -> Facts:
    assert isinstance(file, HostFile)
    return _plain(file) | {"waits": file.waits, "most": file.most}


def _make_file(process: Process, fd: int, facts: Facts) -> Description:
    file = HostFile(fd, facts["path"].encode("latin-1"), facts["flags"], facts["mutable"])
    file.waits, file.most = facts["waits"], facts["most"]
    return file


def _directory(file: Description) -> Facts:
    return _plain(file) | {"writable": bool(file.directory and file.directory.writable)}


def _guest_directory(fd: int, facts: Facts) -> GuestDirectory:
    parts = tuple(part for part in facts["path"].encode("latin-1").split(b"/") if part)
    return GuestDirectory(parts, Handle(os.dup(fd)), facts["writable"], None)


def _make_directory(process: Process, fd: int, facts: Facts) -> Description:
    return DirectoryFile(fd, _guest_directory(fd, facts), facts["flags"], facts["mutable"])


def _path_only(file: Description) -> Facts:
    return _directory(file) | {"directory": file.directory is not None}


def _make_path_only(process: Process, fd: int, facts: Facts) -> Description:
    file = Description(fd, facts["path"].encode("latin-1"), facts["flags"])
    if facts["directory"]:
        file.directory = _guest_directory(fd, facts)
    return file


def _make_random(process: Process, fd: int, facts: Facts) -> Description:
    os.close(fd)
    return RandomFile(facts["path"].encode("latin-1"), facts["flags"], SyntheticFile("random"))


def _socket(file: Description) -> Facts:
    assert isinstance(file, SocketFile)
    with file.sockets.lock:
        file.record.references += 1  # of the message, and then of the receiver's
    return {"index": file.index, "flags": file.flags}


def _make_socket(process: Process, fd: int, facts: Facts) -> Description:
    return SocketFile(process.shared.part(Sockets), facts["index"], fd, facts["flags"])


Write = Callable[[Description], Facts]
Make = Callable[[Process, int, Facts], Description]

# class of an open file -> its name in messages, what is told of it, how it is made again
_KINDS: dict[type[Description], tuple[str, Write, Make]] = {
    HostFile: ("file", _file, _make_file),
    TextFile: ("file", _file, _make_file),
    DirectoryFile: ("directory", _directory, _make_directory),
    Description: ("path", _path_only, _make_path_only),
    RandomFile: ("random", _plain, _make_random),
    SocketFile: ("socket", _socket, _make_socket),
}


@cache
def _kinds() -> dict[type[Description], tuple[str, Write, Make]]:
    from uselib.emulator.kernel.sockets import passing_events

    return _KINDS | passing_events.KINDS


def passes(file: Description) -> bool:
    """Whether the open file can go to another process."""
    return type(file) in _KINDS or type(file) in _kinds()


def pack(files: Sequence[Description]) -> list[int]:
    """The host's descriptors to be sent: the first says what the others are, and is to be closed afterwards. A file has one, and those that
    its facts call `more`."""
    facts = []
    about = os.memfd_create("files", os.MFD_CLOEXEC)
    fds = [about]
    for file in files:
        name, write, _ = _KINDS.get(type(file)) or _kinds()[type(file)]
        fact = write(file) | {"kind": name}
        facts.append(fact)
        fds += [file.fd if file.fd >= 0 else about, *fact.get("more", ())]
    import json  # few programs pass files

    os.write(about, json.dumps(facts).encode())
    return fds


def unpack(process: Process, fds: Sequence[int], most: int) -> tuple[list[Description], bool]:
    """The open files of a message, at most so many, and whether these are all; descriptors that are not in use by them are closed."""
    if not fds:
        return [], True
    import json

    about, *rest = fds
    facts = json.loads(os.pread(about, 1 << 20, 0))
    os.close(about)
    makers = {name: make for name, _, make in _kinds().values()}
    files: list[Description] = []
    for fact in facts:
        fd, *more = rest[: 1 + len(fact.get("more", ()))]
        del rest[: 1 + len(more)]
        try:
            if len(files) < most:
                files.append(makers[fact["kind"]](process, fd, fact | {"more": more}))
                continue
        except (GuestError, OSError):
            pass
        for left in (fd, *more):
            os.close(left)
    return files, len(files) == len(facts)
