"""Makes an open file description of an opened file (open_files.OpenedFile), and the process's view of /proc/self."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.vfs.descriptions import Description
from uselib.emulator.kernel.vfs.host_files import DirectoryFile, HostFile
from uselib.emulator.kernel.vfs.made_files import RandomFile, TextFile
from uselib.emulator.kernel.vfs.open_files import OpenedFile, open_file
from uselib.emulator.kernel.vfs.places import GuestDirectory, SyntheticFile
from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.emulator.kernel.shared.files import MemoryFiles


def open_path(process: Process, at: GuestDirectory | None, path: bytes, flags: int, mode: int) -> int:
    """open(2): the new descriptor."""
    if flags & C.O_ACCMODE == 3:
        raise GuestError(errno.EINVAL)
    if process.structs.word == 8:
        flags |= C.O_LARGEFILE  # as the kernel does for 64-bit programs
    process.files.check_room()
    opened = open_file(process.fs, at, path, flags, mode)
    description = description_of(process, opened)
    if flags & C.O_TRUNC:
        description.contents_changed(process)
    return process.files.add(description, bool(flags & C.O_CLOEXEC))


def description_of(process: Process, opened: OpenedFile) -> Description:
    """The open file description."""
    if opened.flags & C.O_PATH:
        path_only = Description(opened.fd, opened.path, opened.flags, opened.mutable)
        path_only.directory, path_only.special = opened.directory, opened.special
        return path_only
    if opened.directory is not None:
        return DirectoryFile(opened.fd, opened.directory, opened.flags, opened.mutable)
    if opened.special is not None:
        return _open_special(process, opened, opened.special)
    return HostFile(opened.fd, opened.path, opened.flags, opened.mutable)


def _open_special(process: Process, opened: OpenedFile, special: SyntheticFile) -> Description:
    if special.name in ("random", "urandom"):
        return RandomFile(opened.path, opened.flags, special)
    if special.name in ("null", "zero", "full"):
        fd = os.open(f"/dev/{special.name}", C.host_open_flags(opened.flags))
        return _device(HostFile(fd, opened.path, opened.flags), special)
    if special.name in _TERMINALS:
        fd, path = _TERMINALS[special.name](process, special, opened)
        return HostFile(fd, path, opened.flags)
    if special.name == "descriptor":
        return _again(process, special.number, opened)
    if special.name == "mem":
        return _memory(process, opened, special)
    return _text(process, opened, special)


def _device(file: HostFile, special: SyntheticFile) -> HostFile:
    file.special = special
    return file


def _memory(process: Process, opened: OpenedFile, special: SyntheticFile) -> Description:
    """/proc/PID/mem of this process. Raises GuestError(EACCES) for that of another."""
    from uselib.emulator.kernel.proc.memory_access import ProcessMemory

    if special.pid != process.identity.pid:
        raise GuestError(errno.EACCES)
    return ProcessMemory(opened.path, opened.flags, special)


def _text(process: Process, opened: OpenedFile, special: SyntheticFile) -> Description:
    from uselib.emulator.kernel.proc.texts import store_text, text_of  # not needed by most programs

    return TextFile(
        opened.path,
        opened.flags,
        special,
        lambda: text_of(process, special),
        lambda data: store_text(process, special, data),
    )


# Terminals: special -> host descriptor, guest path


def _controlling(process: Process, special: SyntheticFile, opened: OpenedFile) -> tuple[int, bytes]:
    """/dev/tty: the terminal of the session, if it is one of the guest's terminals."""
    return process.terminals.controlling(C.host_open_flags(opened.flags)), opened.path


def _new_terminal(process: Process, special: SyntheticFile, opened: OpenedFile) -> tuple[int, bytes]:
    return process.terminals.make(C.host_open_flags(opened.flags)), b"/dev/ptmx"


def _terminal(process: Process, special: SyntheticFile, opened: OpenedFile) -> tuple[int, bytes]:
    """/dev/pts/N, which becomes the controlling terminal where open(2) says so."""
    host = C.host_open_flags(opened.flags)
    if not opened.flags & C.O_NOCTTY:
        host &= ~os.O_NOCTTY
    return process.terminals.open(special.number, host), opened.path


_TERMINALS: dict[str, Callable[[Process, SyntheticFile, OpenedFile], tuple[int, bytes]]] = {
    "tty": _controlling,
    "ptmx": _new_terminal,
    "pts": _terminal,
}


def _again(process: Process, number: int, opened: OpenedFile) -> Description:
    """/proc/self/fd/N: opens the inode again, never with more rights than the descriptor has, unless the file may be changed anyway. A file
    without an inode in the host's file systems gives the same open file.
    """
    try:
        old = process.files.get(number)
    except GuestError:
        raise GuestError(errno.ENOENT) from None
    if old.fd < 0 or isinstance(old, TextFile):
        return old if old.special is None else _open_special(process, opened, old.special)
    path_only = bool(old.flags & C.O_PATH)
    wanted, has = opened.flags & C.O_ACCMODE, C.O_RDONLY if path_only else old.flags & C.O_ACCMODE
    kind = stat.S_IFMT(old.status().st_mode)
    if has not in (wanted, C.O_RDWR) and not (old.mutable and kind == stat.S_IFREG):
        raise GuestError(errno.EACCES)
    if kind != stat.S_IFREG:
        if path_only:
            raise GuestError(errno.ELOOP if kind == stat.S_IFLNK else errno.EACCES)
        return old
    if opened.flags & C.O_TRUNC and not old.mutable and has == C.O_RDONLY:
        raise GuestError(errno.EACCES)
    host = C.host_open_flags(opened.flags) | (os.O_TRUNC if opened.flags & C.O_TRUNC else 0)
    again = HostFile(os.open(f"/proc/self/fd/{old.fd}", host), old.path, opened.flags, old.mutable)
    again.most = getattr(old, "most", None)
    return again


# Inode numbers of the first namespaces (include/uapi/linux/nsfs.h)
_NAMESPACES = {
    "cgroup": 4026531835,
    "ipc": 4026531839,
    "mnt": 4026531841,
    "net": 4026531840,
    "pid": 4026531836,
    "time": 4026531834,
    "user": 4026531837,
    "uts": 4026531838,
}


_STANDARD = (b"/dev/stdin", b"/dev/stdout", b"/dev/stderr")  # names in FileTable.standard


class ProcessView:
    """The process as the synthesised entries see it (places.ProcView)."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.identity.pid

    def processes(self) -> Sequence[int]:
        return self._process.pids.all()

    def threads(self, pid: int) -> Sequence[int]:
        if pid == self.pid and len(self._process.threads.all) > 1:
            return sorted(self._process.threads.all)
        return [pid] if pid in self.processes() else ()

    def memory_files(self) -> MemoryFiles:
        from uselib.emulator.kernel.shared.files import MemoryFiles  # not needed by most programs

        return self._process.shared.part(MemoryFiles)

    def terminals(self) -> Sequence[int]:
        return self._process.terminals.numbers()

    def link(self, special: SyntheticFile) -> bytes:
        process = self._process
        if special.name == "descriptor":
            return self._path(process.files.get(special.number))
        if special.name.startswith("ns/"):
            kind = special.name.removeprefix("ns/")
            return f"{kind}:[{_NAMESPACES[kind]}]".encode()
        if special.pid not in (0, self.pid) and special.name != "root":
            return self._of_other(special)
        return {
            "exe": os.fsencode(process.identity.executable),
            "cwd": process.fs.cwd.name,
            "root": b"/",
            "stdin": b"/proc/self/fd/0",
            "stdout": b"/proc/self/fd/1",
            "stderr": b"/proc/self/fd/2",
            "fd": b"/proc/self/fd",
            "self": b"%d" % self.pid,
            "thread-self": b"%d/task/%d" % (self.pid, process.thread.tid),
            "mounts": b"self/mounts",
            "net": b"self/net",
        }[special.name]

    def _path(self, file: Description) -> bytes:
        """The path of an open file, as readlink(2) returns it."""
        if file.fd < 0:
            return file.path
        status = file.status()
        kind = stat.S_IFMT(status.st_mode)
        if (kind in (stat.S_IFIFO, stat.S_IFSOCK) and not file.path.startswith(b"/")) or file.path in _STANDARD:
            name = {stat.S_IFIFO: b"pipe", stat.S_IFSOCK: b"socket"}.get(kind)
            if name is not None:
                return b"%s:[%d]" % (name, status.st_ino)
        if (number := self._process.terminals.device(status)) is not None:
            return b"/dev/pts/%d" % number
        if kind == stat.S_IFCHR and status.st_rdev == os.makedev(1, 3):
            return b"/dev/null"
        if status.st_nlink == 0 and kind in (stat.S_IFREG, stat.S_IFDIR):
            return file.path + b" (deleted)"
        return file.path or b"anon_inode:[file]"

    def _of_other(self, special: SyntheticFile) -> bytes:
        """Raises GuestError: ENOENT for what a process that has ended no longer has."""
        from uselib.emulator.kernel.proc import asking
        from uselib.emulator.kernel.proc.facts import facts_of

        facts = facts_of(self._process, special.pid)
        if facts.state == "Z":
            raise GuestError(errno.ENOENT)
        if special.name == "exe":
            return os.fsencode(facts.executable)
        name = special.name.removesuffix("-of-other")
        return asking.link(self._process, SyntheticFile(name, True, special.number, special.pid))

    def descriptor(self, number: int) -> GuestDirectory | None:
        try:
            return self._process.files.get(number).directory
        except GuestError:
            raise GuestError(errno.ENOENT) from None

    def descriptors(self, pid: int) -> Sequence[int]:
        if pid != self.pid:
            from uselib.emulator.kernel.proc.asking import descriptors

            return descriptors(self._process, pid)
        return sorted(self._process.files.descriptors)

    def opened(self, number: int) -> tuple[int, bool]:
        file = self._process.files.get(number)
        return file.fd, file.mutable
