"""The parts of the guest's tree of files.

    Node            a place in the tree of grants: the root, granted directories and files, the directories above them,
                    and the few synthesised entries of /dev and /proc
    GuestDirectory  the place of a walk: a guest path, the host descriptor (or none: synthesised), whether it may be written
    Found           the result of resolving a path: parent directory, last name, and the object, if it exists

Invariants: a GuestDirectory's handle was reached from a grant by steps that did not follow a link; `writable` is only true
below a writable grant; descriptors of GuestDirectories are O_PATH, good for look-ups only.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence

from uselib.emulator.kernel.errors import GuestError
from uselib.linker.quick_dataclass import dataclass, field
from uselib.linker.quick_typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from uselib.emulator.kernel.shared.files import MemoryFiles

STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC  # how one component of a path is opened
Path = tuple[bytes, ...]  # a guest path as its components; () is the root


class Handle:
    """Owns a host descriptor; closed when the last reference goes away."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.fd)


@dataclass(frozen=True)
class SyntheticFile:
    """A synthesised file or link. name: `null`, `exe`, ...; link: it is a symbolic link. number: the descriptor of /proc/PID/fd/N; pid: the
    process of /proc/PID, tid: the thread of /proc/PID/task/TID; mode: permission bits of a file that is text."""

    name: str
    link: bool = False
    number: int = 0
    pid: int = 0
    tid: int = 0
    mode: int = 0o444


@dataclass
class Node:
    """A place in the tree of grants. handle: the granted host directory, or the parent of the granted file `file`. lister: further entries of
    a synthesised directory at the time of the call. mode: its permission bits.
    """

    children: dict[bytes, Node] = field(default_factory=dict)
    handle: Handle | None = None
    file: bytes = b""
    writable: bool = False
    special: SyntheticFile | None = None
    lister: Callable[[ProcView], dict[bytes, Node]] | None = None
    mode: int = 0o555
    memory: bool = False  # /dev/shm: its files are in the run's memory (ProcView.memory_files)

    def entries(self, view: ProcView) -> dict[bytes, Node]:
        """The nodes below this one."""
        return self.children if self.lister is None else {**self.children, **self.lister(view)}


@dataclass
class GuestDirectory:
    path: Path
    handle: Handle | None
    writable: bool
    node: Node | None  # the node of the tree at this place, if there is one (more grants below)

    @property
    def name(self) -> bytes:
        return b"/" + b"/".join(self.path)


@dataclass
class Found:
    """Where a path leads. One of `directory`, `special` and (`handle`, a file or an unfollowed link) is set; none of
    them if the last component does not exist."""

    parent: GuestDirectory
    name: bytes  # last component; b"." where the path ends in `.`, `..` or `/`, or leads to a grant itself
    directory: GuestDirectory | None = None
    handle: Handle | None = None
    status: os.stat_result | None = None
    special: SyntheticFile | None = None
    slash: bool = False  # the path ended in `/`
    at: tuple[Handle, bytes] | None = None  # the host directory and name by which `handle` was found

    @property
    def granted(self) -> bool:
        """Whether it is a granted file itself, not an entry of a granted directory."""
        return self.at is not None and self.at[0] is not self.parent.handle

    @property
    def exists(self) -> bool:
        return self.directory is not None or self.handle is not None or self.special is not None

    @property
    def path(self) -> Path:
        if self.directory is not None:
            return self.directory.path
        return (*self.parent.path, self.name)

    @property
    def full_name(self) -> bytes:
        """The path from the root."""
        return b"/" + b"/".join(self.path)


class ProcView(Protocol):
    """The targets of the synthesised entries of /proc and /dev, which the process knows."""

    @property
    def pid(self) -> int:
        """The number of the calling process."""

    def processes(self) -> Sequence[int]:
        """Numbers of the guest's processes."""

    def threads(self, pid: int) -> Sequence[int]:
        """Numbers of the threads of a process; none if it has ended."""

    def terminals(self) -> Sequence[int]:
        """Numbers of the guest's pseudo-terminals, of /dev/pts/N."""

    def memory_files(self) -> MemoryFiles:
        """The files of /dev/shm."""

    def link(self, special: SyntheticFile) -> bytes:
        """Target of a synthesised link."""

    def descriptor(self, number: int) -> GuestDirectory | None:
        """The directory behind the guest's descriptor, if it is one. Raises GuestError(ENOENT) if it is not open."""

    def descriptors(self, pid: int) -> Sequence[int]:
        """The open descriptors of a process."""

    def opened(self, number: int) -> tuple[int, bool]:
        """The host descriptor of an open file of the guest (-1: none), and whether the inode may be changed."""


class NoProcView:
    """The view without a process: nothing under /proc/PID."""

    pid = 0

    def processes(self) -> Sequence[int]:
        return ()

    def threads(self, pid: int) -> Sequence[int]:
        return ()

    def terminals(self) -> Sequence[int]:
        return ()

    def memory_files(self) -> MemoryFiles:
        raise GuestError(errno.EACCES)

    def link(self, special: SyntheticFile) -> bytes:
        raise GuestError(errno.ENOENT)

    def descriptor(self, number: int) -> GuestDirectory | None:
        raise GuestError(errno.ENOENT)

    def descriptors(self, pid: int) -> Sequence[int]:
        return ()

    def opened(self, number: int) -> tuple[int, bool]:
        return -1, False
