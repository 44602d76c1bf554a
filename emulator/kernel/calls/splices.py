"""splice, tee, vmsplice: move the contents of pipes to and from files and memory.

Source: fs/splice.c of Linux. The host's calls are made: what the target does not take stays in the source.
"""

from __future__ import annotations

import errno
import os
import stat

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel import waiting
from uselib.emulator.kernel.arguments import FD, LONG, PTR_UPDATED, SIZE, TARGET, flags, vector
from uselib.emulator.kernel.calls.files import vectors
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.host_calls import call
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.sockets.socket_file import SocketFile
from uselib.emulator.kernel.table import Effect, Syscall
from uselib.emulator.kernel.vfs.descriptions import Description
from uselib.emulator.kernel.vfs.host_files import HostFile

_NONBLOCK, _KNOWN = 2, 15
_MOST = 1 << 15
_SIGPIPE = 13


def _pipe(file: Description) -> bool:
    return isinstance(file, HostFile) and file.fd >= 0 and stat.S_ISFIFO(os.fstat(file.fd).st_mode)


def _reads(file: Description) -> HostFile:
    if file.flags & C.O_PATH or file.flags & C.O_ACCMODE == C.O_WRONLY:
        raise GuestError(errno.EBADF)
    if not isinstance(file, HostFile):
        raise GuestError(errno.EINVAL)
    return file


def _writes(file: Description) -> HostFile:
    if file.flags & C.O_PATH or file.flags & C.O_ACCMODE == C.O_RDONLY:
        raise GuestError(errno.EBADF)
    if not isinstance(file, HostFile) or (file.flags & C.O_APPEND and not _pipe(file)):
        raise GuestError(errno.EINVAL)
    return file


def _offset(process: Process, file: Description, address: int) -> int | None:
    if not address:
        return None
    if _pipe(file):
        raise GuestError(errno.ESPIPE)
    offset = int.from_bytes(process.memory.read(address, 8), "little", signed=True)
    if offset < 0:
        raise GuestError(errno.EINVAL)
    return offset


def _wait(process: Process, source: HostFile, target: HostFile, flags: int) -> None:
    if not flags & _NONBLOCK:
        if source.waits:
            waiting.wait_for(process, source.fd, waiting.READ)
        if target.waits:
            waiting.wait_for(process, target.fd, waiting.WRITE)


def sys_splice(
    process: Process, source: int, source_at: int, target: int, target_at: int, count: int, flags: int
) -> int:
    if flags & ~_KNOWN:
        raise GuestError(errno.EINVAL)
    if not count:
        return 0
    reader, writer = _reads(process.files.get(source)), _writes(process.files.get(target))
    if not (_pipe(reader) or _pipe(writer)):
        raise GuestError(errno.EINVAL)
    offsets = _offset(process, reader, source_at), _offset(process, writer, target_at)
    _wait(process, reader, writer, flags)
    if isinstance(writer, SocketFile):
        if not writer.connected:
            raise GuestError(errno.ENOTCONN)
        room = _MOST  # a socket that can be written takes as much, so the host's call does not wait
    else:
        room = writer.room(process, offsets[1])
    done = _spliced(process, reader.fd, writer.fd, min(count, room), offsets, flags)
    for address, offset in zip((source_at, target_at), offsets, strict=True):
        if offset is not None:
            process.memory.write(address, (offset + done).to_bytes(8, "little"))
    return done


def _spliced(
    process: Process, source: int, target: int, count: int, offsets: tuple[int | None, int | None], flags: int
) -> int:
    try:
        return os.splice(source, target, count, offsets[0], offsets[1], flags)
    except BrokenPipeError:
        process.signals.send(_SIGPIPE)
        raise


def sys_tee(process: Process, source: int, target: int, count: int, flags: int) -> int:
    if flags & ~_KNOWN:
        raise GuestError(errno.EINVAL)
    if not count:
        return 0
    reader, writer = _reads(process.files.get(source)), _writes(process.files.get(target))
    if not (_pipe(reader) and _pipe(writer)) or os.fstat(reader.fd).st_ino == os.fstat(writer.fd).st_ino:
        raise GuestError(errno.EINVAL)
    _wait(process, reader, writer, flags)
    try:
        return call("tee", reader.fd, writer.fd, min(count, 1 << 30), flags)
    except BrokenPipeError:
        process.signals.send(_SIGPIPE)
        raise


def sys_vmsplice(process: Process, fd: int, array: int, count: int, flags: int) -> int:
    """vmsplice(2). The pages are copied."""
    if flags & ~_KNOWN:
        raise GuestError(errno.EINVAL)
    file = process.files.get(fd)
    if not _pipe(file):
        raise GuestError(errno.EBADF)
    parts = vectors(process, array, count)
    if not sum(size for _, size in parts):
        return 0
    if file.flags & C.O_ACCMODE == C.O_RDONLY:
        return file.readv(process, parts, None)
    return file.writev(process, parts, None)


_FLAGS = flags("splice")

ROWS = (
    Syscall("splice", sys_splice, (FD, PTR_UPDATED, TARGET, PTR_UPDATED, SIZE, _FLAGS), effect=Effect.OUTPUT),
    Syscall("tee", sys_tee, (FD, TARGET, SIZE, _FLAGS), effect=Effect.OUTPUT),
    Syscall("vmsplice", sys_vmsplice, (TARGET, vector(2), LONG, _FLAGS), effect=Effect.OUTPUT),
)
