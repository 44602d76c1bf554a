"""Control messages of sendmsg and recvmsg: open files and credentials.

Source: unix(7), cmsg(3); net/core/scm.c. A control message is a length, a level, a kind, and its data, filled up to a word.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.sockets import passing
from uselib.emulator.kernel.sockets.constants import (
    MSG_CMSG_CLOEXEC,
    MSG_CTRUNC,
    SCM_CREDENTIALS,
    SCM_RIGHTS,
    SOL_SOCKET,
)
from uselib.emulator.kernel.sockets.table import Credentials
from uselib.emulator.kernel.sockets.transfer import Received
from uselib.emulator.kernel.vfs.descriptions import Description

MOST_FILES = 253  # SCM_MAX_FD; the host's message carries one descriptor more, so one less is taken
_MOST = 1 << 20


def _header(word: int) -> struct.Struct:
    return struct.Struct("<Qii" if word == 8 else "<Iii")


def read(process: Process, address: int, size: int) -> list[Description]:
    """The open files that go with a message. Raises GuestError: EINVAL, EBADF, EPERM, ETOOMANYREFS."""
    if size > _MOST:
        raise GuestError(errno.ENOBUFS)
    word = process.structs.word
    header = _header(word)
    data = process.memory.read(address, size) if size else b""
    files: list[Description] = []
    place = 0
    while place + header.size <= len(data):
        length, level, kind = header.unpack_from(data, place)
        if length < header.size or place + length > len(data):
            raise GuestError(errno.EINVAL)
        body = data[place + header.size : place + length]
        if level == SOL_SOCKET:
            if kind == SCM_RIGHTS:
                files += _files(process, body)
            elif kind == SCM_CREDENTIALS:
                _check_credentials(process, body)
            else:
                raise GuestError(errno.EINVAL)
        place += length + (-length) % word
    if len(files) >= MOST_FILES:
        raise GuestError(errno.EINVAL)
    return files


def _files(process: Process, body: bytes) -> list[Description]:
    numbers = struct.unpack(f"<{len(body) // 4}i", body[: len(body) // 4 * 4])
    files = [process.files.get(number) for number in numbers]
    if not all(passing.passes(file) for file in files):
        raise GuestError(errno.EINVAL)
    return files


def _check_credentials(process: Process, body: bytes) -> None:
    """Only root may give the credentials of another process."""
    if len(body) != 12:
        raise GuestError(errno.EINVAL)
    who, said = process.identity, Credentials(*struct.unpack("<iII", body))
    if who.uid and said != (who.pid, who.uid, who.gid):
        raise GuestError(errno.EPERM)


def write(
    process: Process, address: int, room: int, received: Received, flags: int, credentials: bool
) -> tuple[int, int]:
    """Writes the control messages of the open files and credentials of a message. Returns the number of bytes used and the flags to be
    added.
    """
    word = process.structs.word
    header = _header(word)
    out, more = b"", 0
    if credentials and received.owner is not None:
        out, more = _append(out, room, header, SCM_CREDENTIALS, struct.pack("<iII", *received.owner), word)
    if received.descriptors:
        space = (room - len(out) - header.size) // 4 if room - len(out) > header.size else 0
        files, complete = passing.unpack(process, received.descriptors, max(space, 0))
        if not complete:
            more |= MSG_CTRUNC
        numbers = _install(process, files, bool(flags & MSG_CMSG_CLOEXEC))
        if len(numbers) < len(files):
            more |= MSG_CTRUNC
        if numbers:
            out, _ = _append(out, room, header, SCM_RIGHTS, struct.pack(f"<{len(numbers)}i", *numbers), word)
    process.memory.write(address, out)
    return len(out), more


def _append(out: bytes, room: int, header: struct.Struct, kind: int, body: bytes, word: int) -> tuple[bytes, int]:
    """Appends one control message, as far as there is room, and MSG_CTRUNC if it is cut off."""
    left = room - len(out)
    if left < header.size:
        return out, MSG_CTRUNC
    size = min(header.size + len(body), left)
    out += (header.pack(size, SOL_SOCKET, kind) + body)[:size]
    return out + bytes(min(-size % word, room - len(out))), MSG_CTRUNC if size < header.size + len(body) else 0


def _install(process: Process, files: Sequence[Description], cloexec: bool) -> list[int]:
    numbers: list[int] = []
    for file in files:
        try:
            numbers.append(process.files.add(file, cloexec))
        except GuestError:
            break
    return numbers
