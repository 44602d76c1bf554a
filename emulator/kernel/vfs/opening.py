"""From what the file system found (filesystem.OpenedFile) to an open file description, and what /proc/self shows."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.vfs.descriptors import Description, DirectoryFile, HostFile, RandomFile
from uselib.emulator.kernel.vfs.filesystem import OpenedFile
from uselib.emulator.kernel.vfs.places import GuestDirectory, SyntheticFile


def open_path(process: Process, at: GuestDirectory | None, path: bytes, flags: int, mode: int) -> int:
    """open(2): the new descriptor."""
    if flags & C.O_ACCMODE == 3:
        raise GuestError(errno.EINVAL)
    if process.structs.word == 8:
        flags |= C.O_LARGEFILE  # as the kernel does for 64-bit programs
    process.files.check_room()
    opened = process.fs.open(at, path, flags, mode)
    description = description_of(process, opened)
    if flags & C.O_TRUNC:
        description.contents_changed(process)
    return process.files.add(description, bool(flags & C.O_CLOEXEC))


def description_of(process: Process, opened: OpenedFile) -> Description:
    """The open file description."""
    if opened.flags & C.O_PATH:
        path_only = Description(opened.fd, opened.path, opened.flags)
        path_only.directory = opened.directory
        return path_only
    if opened.directory is not None:
        return DirectoryFile(opened.fd, opened.directory, opened.flags, opened.mutable)
    if opened.special is not None:
        return _open_special(process, opened, opened.special)
    return HostFile(opened.fd, opened.path, opened.flags, opened.mutable)


def _open_special(process: Process, opened: OpenedFile, special: SyntheticFile) -> Description:
    if special.name == "random":
        return RandomFile(-1, opened.path, opened.flags)
    if special.name in ("null", "zero", "full"):
        fd = os.open(f"/dev/{special.name}", C.host_open_flags(opened.flags))
        return HostFile(fd, opened.path, opened.flags)
    if special.name == "tty":
        return _terminal(process, opened)
    if special.name == "descriptor":
        return _again(process, special.number, opened)
    return _text(TEXTS[special.name](process), opened)


def _terminal(process: Process, opened: OpenedFile) -> Description:
    """/dev/tty is the terminal among the standard descriptors; a guest without one gets none."""
    for fd in range(3):
        entry = process.files.descriptors.get(fd)
        if entry is not None and isinstance(entry.description, HostFile) and os.isatty(entry.description.fd):
            return HostFile(os.dup(entry.description.fd), opened.path, opened.flags)
    raise GuestError(errno.ENXIO)


def _again(process: Process, number: int, opened: OpenedFile) -> Description:
    """/proc/self/fd/N: the same open file, never with more rights than the descriptor has."""
    try:
        old = process.files.get(number)
    except GuestError:
        raise GuestError(errno.ENOENT) from None
    wanted, has = opened.flags & C.O_ACCMODE, old.flags & C.O_ACCMODE
    if has not in (wanted, C.O_RDWR):
        raise GuestError(errno.EACCES)
    if opened.flags & C.O_TRUNC and not isinstance(old, RandomFile) and stat.S_ISREG(old.status().st_mode):
        if has == C.O_RDONLY:
            raise GuestError(errno.EACCES)
        os.ftruncate(old.host(), 0)
    return old  # shares the offset, unlike the kernel's; Linux opens the inode anew


def _text(text: bytes, opened: OpenedFile) -> Description:
    """A file that exists in memory only, with this content."""
    fd = os.memfd_create("uselib", os.MFD_CLOEXEC)
    os.write(fd, text)
    reading = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    os.close(fd)
    return HostFile(reading, opened.path, opened.flags)


def _maps(process: Process) -> bytes:
    """/proc/self/maps, without the devices and inode numbers of the host."""
    lines = []
    for vma in process.memory:
        rights = "".join(letter if vma.prot & bit else "-" for letter, bit in (("r", 1), ("w", 2), ("x", 4)))
        head = f"{vma.start:08x}-{vma.end:08x} {rights}{'s' if vma.shared else 'p'} {vma.offset:08x} 00:00 0"
        lines.append(f"{head:<72} {vma.name}".rstrip())
    return ("\n".join(lines) + "\n").encode()


TEXTS: dict[str, Callable[[Process], bytes]] = {
    "maps": _maps,
    "cmdline": lambda process: b"".join(word + b"\0" for word in process.identity.command_line),
    "comm": lambda process: process.identity.name.encode() + b"\n",
}


class ProcessView:
    """What the synthesised links lead to (places.ProcView)."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def link(self, special: SyntheticFile) -> bytes:
        process = self._process
        if special.name == "descriptor":
            return process.files.get(special.number).path or b"anon_inode:[file]"
        return {
            "exe": os.fsencode(process.identity.executable),
            "cwd": process.fs.cwd.name,
            "root": b"/",
            "stdin": b"/proc/self/fd/0",
            "stdout": b"/proc/self/fd/1",
            "stderr": b"/proc/self/fd/2",
            "fd": b"/proc/self/fd",
        }[special.name]

    def descriptor(self, number: int) -> GuestDirectory | None:
        try:
            return self._process.files.get(number).directory
        except GuestError:
            raise GuestError(errno.ENOENT) from None

    def descriptors(self) -> Sequence[int]:
        return sorted(self._process.files.descriptors)
