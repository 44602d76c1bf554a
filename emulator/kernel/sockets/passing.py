"""An open file as a message between processes of the run (SCM_RIGHTS, pidfd_getfd), and back.

The host passes its descriptor. What the guest's kernel knows besides (path, flags, ...) goes with it in a memory file that no guest can see.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
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

# class of an open file -> its name in messages, what is sent of it, how it is made again
KINDS: dict[type[Description], tuple[str, Write, Make]] = {
    HostFile: ("file", _file, _make_file),
    TextFile: ("file", _file, _make_file),
    DirectoryFile: ("directory", _directory, _make_directory),
    Description: ("path", _path_only, _make_path_only),
    RandomFile: ("random", _plain, _make_random),
    SocketFile: ("socket", _socket, _make_socket),
}


def passes(file: Description) -> bool:
    """Whether the open file can go to another process."""
    return type(file) in KINDS


def pack(files: Sequence[Description]) -> list[int]:
    """The host descriptors to be sent. The first says what the others are, and the caller closes it afterwards."""
    facts = []
    for file in files:
        name, write, _ = KINDS[type(file)]
        facts.append(write(file) | {"kind": name})
    import json  # few programs pass files

    about = os.memfd_create("files", os.MFD_CLOEXEC)
    os.write(about, json.dumps(facts).encode())
    return [about, *(file.fd if file.fd >= 0 else about for file in files)]


def unpack(process: Process, fds: Sequence[int], most: int) -> list[Description]:
    """The open files of a message, at most `most` of them. All descriptors that they do not use are closed."""
    if not fds:
        return []
    import json

    about, *rest = fds
    facts = json.loads(os.pread(about, 1 << 20, 0))
    os.close(about)
    makers = {name: make for name, _, make in KINDS.values()}
    files: list[Description] = []
    for fd, fact in zip(rest, facts, strict=True):
        if len(files) >= most:
            os.close(fd)
            continue
        try:
            files.append(makers[fact["kind"]](process, fd, fact))
        except (GuestError, OSError):
            os.close(fd)
    return files
