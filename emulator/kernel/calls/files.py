"""Opening, reading, writing, seeking, duplicating."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import (
    DIRFD,
    FD,
    INT,
    LONG,
    MODE,
    OFFSET,
    OFFSET64,
    OFFSET_OUT,
    PATH,
    SIZE,
    TARGET,
    UINT,
    choice,
    data_in,
    data_out,
    flags,
    vector,
)
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Effect, Syscall, Undo
from uselib.emulator.kernel.vfs.descriptions import Description
from uselib.emulator.kernel.vfs.host_files import HostFile
from uselib.emulator.kernel.vfs.opening import open_path
from uselib.emulator.kernel.vfs.places import GuestDirectory
from uselib.linker.image import Machine

IOV_MAX = 1024
MEMORY_FILES, MEMORY_FILE_SIZE = 16, 16 << 20  # memfd_create: how many may be open, bytes of each
MAPPED_MEMORY_FILES = 64  # mapped files when one more is made


def directory_at(process: Process, fd: int) -> GuestDirectory | None:
    """Where a relative path of an *at call starts; None: the current directory."""
    if fd == C.AT_FDCWD:
        return None
    directory = process.files.get(fd).directory
    if directory is None:
        raise GuestError(errno.ENOTDIR)
    return directory


def path_at(process: Process, fd: int, address: int) -> tuple[GuestDirectory | None, bytes]:
    """Start and path of an *at call. With an absolute path the descriptor is not used."""
    path = process.memory.read_string(address, C.PATH_MAX)
    return (None if path.startswith(b"/") else directory_at(process, fd)), path


def sys_open(process: Process, path: int, flags: int, mode: int) -> int:
    return open_path(process, None, process.memory.read_string(path, C.PATH_MAX), flags, mode)


def sys_openat(process: Process, dirfd: int, path: int, flags: int, mode: int) -> int:
    at, name = path_at(process, dirfd, path)
    return open_path(process, at, name, flags, mode)


def sys_creat(process: Process, path: int, mode: int) -> int:
    return sys_open(process, path, C.O_CREAT | C.O_WRONLY | C.O_TRUNC, mode)


def sys_close(process: Process, fd: int) -> int:
    process.files.close(fd)
    return 0


def sys_close_range(process: Process, first: int, last: int, flags: int) -> int:
    if first > last or flags & ~6:
        raise GuestError(errno.EINVAL)
    for fd in [fd for fd in process.files.descriptors if first <= fd <= last]:
        if flags & 4:  # CLOSE_RANGE_CLOEXEC
            process.files.descriptors[fd].cloexec = True
        else:
            process.files.close(fd)
    return 0


def sys_read(process: Process, fd: int, buffer: int, count: int) -> int:
    return process.files.get(fd).read(process, buffer, count)


def sys_write(process: Process, fd: int, buffer: int, count: int) -> int:
    return process.files.get(fd).write(process, buffer, count)


def vectors(process: Process, address: int, count: int) -> list[tuple[int, int]]:
    """An array of struct iovec. Raises GuestError(EINVAL)."""
    if not 0 <= count <= IOV_MAX:
        raise GuestError(errno.EINVAL)
    layout = process.structs["iovec"]
    parts = [(part[0], part[1]) for part in layout.array(process.memory.read(address, layout.size * count))]
    if any(size > process.structs.word_mask >> 1 for _, size in parts):
        raise GuestError(errno.EINVAL)
    return parts


def sys_readv(process: Process, fd: int, vector: int, count: int) -> int:
    file = process.files.get(fd)
    return file.readv(process, vectors(process, vector, count), None)


def sys_writev(process: Process, fd: int, vector: int, count: int) -> int:
    file = process.files.get(fd)
    return file.writev(process, vectors(process, vector, count), None)


def _offset(file: Description, offset: int) -> int:
    """Checks the file offset of a positioned read or write."""
    if offset < 0:
        raise GuestError(errno.EINVAL)
    if isinstance(file, HostFile) and file.waits and not stat.S_ISCHR(os.fstat(file.fd).st_mode):
        raise GuestError(errno.ESPIPE)
    return offset


def sys_pread64(process: Process, fd: int, buffer: int, count: int, offset: int) -> int:
    file = process.files.get(fd)
    return file.readv(process, [(buffer, count)], _offset(file, offset))


def sys_pwrite64(process: Process, fd: int, buffer: int, count: int, offset: int) -> int:
    file = process.files.get(fd)
    return file.writev(process, [(buffer, count)], _offset(file, offset))


def _long_offset(process: Process, low: int, high: int) -> int:
    """preadv and pwritev pass the offset as two longs on both machines; on x86-64 the first holds all of it."""
    if process.machine is Machine.I386:
        low |= high << 32
    return low - (1 << 64) if low >> 63 else low


def sys_preadv(process: Process, fd: int, vector: int, count: int, low: int, high: int) -> int:
    file = process.files.get(fd)
    return file.readv(process, vectors(process, vector, count), _offset(file, _long_offset(process, low, high)))


def sys_pwritev(process: Process, fd: int, vector: int, count: int, low: int, high: int) -> int:
    file = process.files.get(fd)
    return file.writev(process, vectors(process, vector, count), _offset(file, _long_offset(process, low, high)))


_RWF_HIPRI, _RWF_DSYNC, _RWF_SYNC, _RWF_NOWAIT, _RWF_APPEND = 1, 2, 4, 8, 16


def _check_how(flags: int, known: int) -> None:
    """Checks the flags of preadv2 and pwritev2. Flags about speed and writing through have no effect here."""
    if flags & ~known:
        raise GuestError(errno.EOPNOTSUPP)


def sys_preadv2(process: Process, fd: int, vector: int, count: int, low: int, high: int, flags: int) -> int:
    file, offset = process.files.get(fd), _long_offset(process, low, high)
    _check_how(flags, _RWF_HIPRI | _RWF_DSYNC | _RWF_SYNC | _RWF_NOWAIT)
    return file.readv(process, vectors(process, vector, count), None if offset == -1 else _offset(file, offset))


def sys_pwritev2(process: Process, fd: int, vector: int, count: int, low: int, high: int, flags: int) -> int:
    file, offset = process.files.get(fd), _long_offset(process, low, high)
    _check_how(flags, _RWF_HIPRI | _RWF_DSYNC | _RWF_SYNC | _RWF_NOWAIT | _RWF_APPEND)
    parts = vectors(process, vector, count)
    if flags & _RWF_APPEND and isinstance(file, HostFile):
        end = os.fstat(file.fd).st_size
        done = file.writev(process, parts, end)
        if offset == -1:
            os.lseek(file.fd, end + done, os.SEEK_SET)
        return done
    return file.writev(process, parts, None if offset == -1 else _offset(file, offset))


def sys_lseek(process: Process, fd: int, offset: int, whence: int) -> int:
    position = process.files.get(fd).seek(process, offset, whence)
    if position > process.structs.word_mask >> 1:
        raise GuestError(errno.EOVERFLOW)
    return position


def sys_llseek(process: Process, fd: int, high: int, low: int, result: int, whence: int) -> int:
    offset = high << 32 | low
    position = process.files.get(fd).seek(process, offset - (1 << 64) if offset >> 63 else offset, whence)
    process.memory.write(result, struct.pack("<q", position))
    return 0


def sys_dup(process: Process, fd: int) -> int:
    return process.files.add(process.files.get(fd))


def sys_dup2(process: Process, old: int, new: int) -> int:
    description = process.files.get(old)
    if old != new:
        process.files.put(new, description, False)
    return new


def sys_dup3(process: Process, old: int, new: int, flags: int) -> int:
    if old == new or flags & ~C.O_CLOEXEC:
        raise GuestError(errno.EINVAL)
    process.files.put(new, process.files.get(old), bool(flags))
    return new


def writable_file(process: Process, fd: int, size: int = 0) -> int:
    """The host descriptor of a file that is open for writing and may have `size` bytes (ftruncate, fallocate)."""
    file = process.files.get(fd)
    if not isinstance(file, HostFile):
        raise GuestError(errno.EBADF if file.flags & C.O_PATH else errno.EINVAL)
    if size > 0:
        file.room(process, size - 1)
    return file.fd


def sys_ftruncate(process: Process, fd: int, size: int) -> int:
    if size < 0:
        raise GuestError(errno.EINVAL)
    os.ftruncate(writable_file(process, fd, size), size)
    process.files.get(fd).contents_changed(process)
    return 0


def sys_truncate(process: Process, path: int, size: int) -> int:
    if size < 0:
        raise GuestError(errno.EINVAL)
    from uselib.emulator.kernel.vfs import inodes  # few programs change a file that they have not opened

    inodes.truncate(process.fs, None, process.memory.read_string(path, C.PATH_MAX), size)
    process.memory.forget_shortened()
    return 0


_KEEP_SIZE, _PUNCH_HOLE, _COLLAPSE, _ZERO, _INSERT, _UNSHARE = 1, 2, 8, 16, 32, 64


def sys_fallocate(process: Process, fd: int, mode: int, offset: int, size: int) -> int:
    """The host carries out all modes. A file system without a mode gives EOPNOTSUPP."""
    if offset < 0 or size <= 0:
        raise GuestError(errno.EINVAL)
    if mode & ~(_KEEP_SIZE | _PUNCH_HOLE | _COLLAPSE | _ZERO | _INSERT | _UNSHARE):
        raise GuestError(errno.EOPNOTSUPP)
    file = process.files.get(fd)
    if file.flags & C.O_ACCMODE == C.O_RDONLY:
        raise GuestError(errno.EBADF)
    if isinstance(file, HostFile) and file.waits:
        raise GuestError(errno.ESPIPE if stat.S_ISFIFO(os.fstat(file.fd).st_mode) else errno.ENODEV)
    host = writable_file(process, fd, 0 if mode & (_KEEP_SIZE | _COLLAPSE) else offset + size)
    allocate = ctypes.CDLL(None, use_errno=True).fallocate
    allocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    if allocate(host, mode, offset, size):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    process.memory.forget_shortened()
    return 0


def sys_memfd_create(process: Process, name: int, flags: int) -> int:
    """The number and the size of such files are limited, because they take memory of the host."""
    label = process.memory.read_string(name, C.PATH_MAX)
    if flags & ~3 or len(label) > 249:
        raise GuestError(errno.EINVAL)
    paths = [descriptor.description.path for descriptor in process.files.descriptors.values()]
    mapped = {vma.file.identity for vma in process.memory if vma.file is not None and vma.name.startswith("/memfd:")}
    if sum(path.startswith(b"/memfd:") for path in paths) >= MEMORY_FILES or len(mapped) >= MAPPED_MEMORY_FILES:
        raise GuestError(errno.ENFILE)
    fd = os.memfd_create("guest", os.MFD_CLOEXEC | (os.MFD_ALLOW_SEALING if flags & 2 else 0))
    file = HostFile(fd, b"/memfd:" + label, C.O_RDWR | C.O_LARGEFILE, mutable=True)
    file.most = MEMORY_FILE_SIZE
    return process.files.add(file, bool(flags & 1))


_SEEK = choice("seek")

ROWS: tuple[Syscall, ...] = (
    Syscall("open", sys_open, (PATH, flags("open"), MODE), effect=Effect.OPENED),
    Syscall("openat", sys_openat, (DIRFD, PATH, flags("open"), MODE), effect=Effect.OPENED),
    Syscall("creat", sys_creat, (PATH, MODE), effect=Effect.FILES),
    Syscall("close", sys_close, (FD,)),
    Syscall("close_range", sys_close_range, (UINT, UINT, flags("close_range"))),
    Syscall("read", sys_read, (FD, data_out(2), SIZE), undo=Undo.MEMORY),
    Syscall("write", sys_write, (TARGET, data_in(2), SIZE), effect=Effect.OUTPUT, undo=Undo.MEMORY),
    Syscall("readv", sys_readv, (FD, vector(2, output=True), LONG), undo=Undo.MEMORY),
    Syscall("writev", sys_writev, (TARGET, vector(2), LONG), effect=Effect.OUTPUT, undo=Undo.MEMORY),
    Syscall("pread64", sys_pread64, (FD, data_out(2), SIZE, OFFSET64), undo=Undo.MEMORY),
    Syscall("pwrite64", sys_pwrite64, (TARGET, data_in(2), SIZE, OFFSET64), effect=Effect.OUTPUT, undo=Undo.MEMORY),
    Syscall("preadv", sys_preadv, (FD, vector(2, output=True), LONG, SIZE, SIZE)),
    Syscall("pwritev", sys_pwritev, (TARGET, vector(2), LONG, SIZE, SIZE), effect=Effect.OUTPUT),
    Syscall("preadv2", sys_preadv2, (FD, vector(2, output=True), LONG, SIZE, SIZE, INT)),
    Syscall("pwritev2", sys_pwritev2, (TARGET, vector(2), LONG, SIZE, SIZE, INT), effect=Effect.OUTPUT),
    Syscall("lseek", sys_lseek, (FD, OFFSET, _SEEK), undo=Undo.MEMORY),
    Syscall("_llseek", sys_llseek, (FD, UINT, UINT, OFFSET_OUT, _SEEK), undo=Undo.MEMORY),
    Syscall("dup", sys_dup, (FD,)),
    Syscall("dup2", sys_dup2, (FD, FD)),
    Syscall("dup3", sys_dup3, (FD, FD, flags("open"))),
    Syscall("ftruncate", sys_ftruncate, (FD, OFFSET), effect=Effect.FILES),
    Syscall("ftruncate64", sys_ftruncate, (FD, OFFSET64), effect=Effect.FILES),
    Syscall("truncate", sys_truncate, (PATH, OFFSET), effect=Effect.FILES),
    Syscall("truncate64", sys_truncate, (PATH, OFFSET64), effect=Effect.FILES),
    Syscall("fallocate", sys_fallocate, (FD, INT, OFFSET64, OFFSET64), effect=Effect.FILES),
    Syscall("memfd_create", sys_memfd_create, (PATH, flags("memfd"))),
)
