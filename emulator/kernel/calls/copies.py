"""Copies between files within the kernel: sendfile, copy_file_range.

Source: fs/read_write.c, fs/splice.c of Linux.
"""

from __future__ import annotations

import errno
import os
import stat
import struct

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import FD, PTR_UPDATED, SIZE, TARGET, UINT
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Effect, Syscall
from uselib.emulator.kernel.vfs.descriptions import Description
from uselib.emulator.kernel.vfs.host_files import DirectoryFile, HostFile


def _copy(process: Process, source: int, file: Description, offsets: tuple[int | None, int | None], count: int) -> int:
    """Copies at most 1 MiB between host files, at the given offsets or at the files' own."""
    target = file.host()
    if isinstance(file, HostFile):
        count = min(count, file.room(process, offsets[1]))
    count = min(count, 1 << 20)
    data = os.read(source, count) if offsets[0] is None else os.pread(source, count, offsets[0])
    try:
        done = os.write(target, data) if offsets[1] is None else os.pwrite(target, data, offsets[1])
    except BrokenPipeError:
        process.signals.send(13)
        raise
    file.contents_changed(process)
    if done < len(data) and offsets[0] is None:
        os.lseek(source, done - len(data), os.SEEK_CUR)
    return done


def _copy_all(process: Process, source: int, file: Description, position: int | None, count: int) -> int:
    """Copies in pieces: to a regular file all that there is, to another file what one write takes."""
    whole = isinstance(file, HostFile) and not file.waits
    done = 0
    while True:
        at = None if position is None else position + done
        step = _copy(process, source, file, (at, None), min(count - done, C.IO_MAX - done))
        done += step
        if not whole or not step or done >= min(count, C.IO_MAX):
            return done


def sys_sendfile(process: Process, out: int, source: int, offset: int, count: int, size: int = 0) -> int:
    size = size or process.structs.word
    reader, writer = process.files.get(source), process.files.get(out)
    if isinstance(reader, DirectoryFile) or reader.flags & C.O_ACCMODE == C.O_WRONLY:
        raise GuestError(errno.EBADF if not isinstance(reader, DirectoryFile) else errno.EINVAL)
    if not stat.S_ISREG(os.fstat(reader.host()).st_mode):
        raise GuestError(errno.EINVAL)
    position = int.from_bytes(process.memory.read(offset, size), "little", signed=True) if offset else None
    if position is not None and position < 0:
        raise GuestError(errno.EINVAL)
    done = _copy_all(process, reader.host(), writer, position, count)
    if position is not None:
        process.memory.write(offset, (position + done).to_bytes(size, "little"))
    return done


def sys_sendfile64(process: Process, out: int, source: int, offset: int, count: int) -> int:
    return sys_sendfile(process, out, source, offset, count, 8)


def _check_copied(reader: Description, writer: Description) -> None:
    """Checks the files of copy_file_range (generic_copy_file_checks, fs/read_write.c). Raises GuestError."""
    modes = [os.fstat(file.host()).st_mode for file in (reader, writer)]
    if any(stat.S_ISDIR(mode) for mode in modes):
        raise GuestError(errno.EISDIR)
    if not all(stat.S_ISREG(mode) for mode in modes):
        raise GuestError(errno.EINVAL)
    if reader.flags & C.O_ACCMODE == C.O_WRONLY or writer.flags & C.O_ACCMODE == C.O_RDONLY:
        raise GuestError(errno.EBADF)
    if writer.flags & C.O_APPEND:
        raise GuestError(errno.EBADF)


def _check_ranges(begin: int, to: int, count: int, same: bool) -> None:
    """begin, to: positions in the two files. same: both are the same file. Raises GuestError."""
    if begin < 0 or to < 0:
        raise GuestError(errno.EINVAL)
    if begin + count >= 1 << 63:
        raise GuestError(errno.EOVERFLOW)
    if to + count >= 1 << 63:
        raise GuestError(errno.EFBIG)
    if same and count and begin < to + count and to < begin + count:
        raise GuestError(errno.EINVAL)


def sys_copy_file_range(
    process: Process, source: int, in_offset: int, target: int, out_offset: int, count: int, flags: int
) -> int:
    if flags:
        raise GuestError(errno.EINVAL)
    reader, writer = process.files.get(source), process.files.get(target)
    _check_copied(reader, writer)
    positions = [
        int.from_bytes(process.memory.read(address, 8), "little", signed=True) if address else None
        for address in (in_offset, out_offset)
    ]
    fds = reader.host(), writer.host()
    begin, to = (os.lseek(fd, 0, os.SEEK_CUR) if at is None else at for fd, at in zip(fds, positions, strict=True))
    _check_ranges(begin, to, count, os.path.sameopenfile(*fds))
    done = _copy(process, fds[0], writer, (positions[0], positions[1]), count) if count else 0
    for address, position in zip((in_offset, out_offset), positions, strict=True):
        if position is not None:
            process.memory.write(address, struct.pack("<q", position + done))
    return done


ROWS: tuple[Syscall, ...] = (
    Syscall("sendfile", sys_sendfile, (TARGET, FD, PTR_UPDATED, SIZE), effect=Effect.OUTPUT),
    Syscall("sendfile64", sys_sendfile64, (TARGET, FD, PTR_UPDATED, SIZE), effect=Effect.OUTPUT),
    Syscall(
        "copy_file_range", sys_copy_file_range, (FD, PTR_UPDATED, TARGET, PTR_UPDATED, SIZE, UINT), effect=Effect.OUTPUT
    ),
)
