"""What the guest sees of the host's files: a tree of grants, and the walk through it.

Confinement. The guest's paths are resolved here, one component at a time, never by the host's kernel as a whole: each
component is opened with O_PATH | O_NOFOLLOW relative to the descriptor of the directory before it. So what was checked
is what is used (there is no second look-up that a renamed directory or a new symbolic link could answer differently),
symbolic links and `..` are interpreted within the guest's tree, and nothing that was not granted can be named.

    Node       a place in the tree of grants: the root, granted directories and files, the directories above them, and
               the few synthesised entries of /dev and /proc
    GuestDirectory  where a walk stands: a guest path, the host descriptor (or none: synthesised), whether it may be written
    Found      what a path leads to: parent directory, last name, and the object, if it exists

Invariants: a GuestDirectory's handle was reached from a grant by steps that did not follow a link; `writable` is only true
below a writable grant; descriptors of GuestDirectories are O_PATH, good for look-ups only.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from uselib.emulator.kernel.constants import LINKS_MAX, NAME_MAX, PATH_MAX
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.vfs.openat2 import available, open_beneath

_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
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
    """A synthesised file or link. name: `null`, `exe`, ...; link: it is a symbolic link."""

    name: str
    link: bool = False
    number: int = 0  # fd of /proc/self/fd/N


@dataclass
class Node:
    """A place in the tree of grants. handle: the granted host directory, or the parent of the granted file `file`."""

    children: dict[bytes, Node] = field(default_factory=dict)
    handle: Handle | None = None
    file: bytes = b""
    writable: bool = False
    special: SyntheticFile | None = None

    def entries(self, view: ProcView) -> dict[bytes, Node]:
        """The nodes below it. Those of /proc/self/fd are the descriptors open at the time of asking."""
        if self.special is not None and self.special.name == "fds":
            return {b"%d" % fd: Node(special=SyntheticFile("descriptor", True, fd)) for fd in view.descriptors()}
        return self.children


@dataclass
class GuestDirectory:
    path: Path
    handle: Handle | None
    writable: bool
    node: Node | None  # the tree's node here, where there is one (more grants below)

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
        """It is a granted file itself, not an entry of a granted directory."""
        return self.at is not None and self.at[0] is not self.parent.handle

    @property
    def exists(self) -> bool:
        return self.directory is not None or self.handle is not None or self.special is not None

    @property
    def path(self) -> Path:
        if self.directory is not None:
            return self.directory.path
        return (*self.parent.path, self.name)


class ProcView(Protocol):
    """What the synthesised entries of /proc/self lead to; the process answers."""

    def link(self, special: SyntheticFile) -> bytes:
        """Target of a synthesised link."""

    def descriptor(self, number: int) -> GuestDirectory | None:
        """The directory that the guest's descriptor has open, if it is one. Raises GuestError(ENOENT): not open."""

    def descriptors(self) -> Sequence[int]:
        """The guest's open descriptors."""


class NoProcView:
    """Stands in where there is no process: nothing under /proc/self."""

    def link(self, special: SyntheticFile) -> bytes:
        raise GuestError(errno.ENOENT)

    def descriptor(self, number: int) -> GuestDirectory | None:
        raise GuestError(errno.ENOENT)

    def descriptors(self) -> Sequence[int]:
        return ()


_SPECIAL: dict[bytes, SyntheticFile] = {
    b"dev/null": SyntheticFile("null"),
    b"dev/zero": SyntheticFile("zero"),
    b"dev/full": SyntheticFile("full"),
    b"dev/random": SyntheticFile("random"),
    b"dev/urandom": SyntheticFile("random"),
    b"dev/tty": SyntheticFile("tty"),
    b"dev/stdin": SyntheticFile("stdin", link=True),
    b"dev/stdout": SyntheticFile("stdout", link=True),
    b"dev/stderr": SyntheticFile("stderr", link=True),
    b"dev/fd": SyntheticFile("fd", link=True),
    b"proc/self/exe": SyntheticFile("exe", link=True),
    b"proc/self/cwd": SyntheticFile("cwd", link=True),
    b"proc/self/root": SyntheticFile("root", link=True),
    b"proc/self/maps": SyntheticFile("maps"),
    b"proc/self/cmdline": SyntheticFile("cmdline"),
    b"proc/self/comm": SyntheticFile("comm"),
    b"proc/self/fd": SyntheticFile("fds"),
}

# File systems that show or change the host itself: never entered, wherever they are mounted.
_FORBIDDEN = frozenset(
    {"proc", "sysfs", "debugfs", "tracefs", "securityfs", "configfs", "cgroup", "cgroup2", "bpf", "pstore", "efivarfs"}
    | {"binfmt_misc", "rpc_pipefs", "nfsd", "selinuxfs", "fusectl", "mqueue"}
)


def forbidden_devices() -> frozenset[int]:
    """st_dev of the host's mounted file systems that no guest may enter."""
    found = set()
    try:
        with open("/proc/self/mountinfo", "rb") as table:
            for line in table:
                head, _, tail = line.partition(b" - ")
                if tail.split(b" ", 1)[0].decode() in _FORBIDDEN:
                    major, _, minor = head.split()[2].partition(b":")
                    found.add(os.makedev(int(major), int(minor)))
    except OSError:
        pass
    return frozenset(found)


def components(path: bytes) -> list[bytes]:
    """The components of a path, without empty ones. Raises GuestError(ENAMETOOLONG, ENOENT)."""
    if not path:
        raise GuestError(errno.ENOENT)
    if len(path) >= PATH_MAX:
        raise GuestError(errno.ENAMETOOLONG)
    return [part for part in path.split(b"/") if part]


class Namespace:
    """The guest's tree of files. Made by `build`."""

    def __init__(self, root: Node, fallback: Node | None, forbidden: frozenset[int]) -> None:
        self.root = root
        self.fallback = fallback  # the sysroot, tried for what is not found
        self.forbidden = forbidden
        self.view: ProcView = NoProcView()

    @classmethod
    def build(
        cls,
        cwd: str = "",
        readable: Iterable[str] = (),
        writable: Iterable[str] = (),
        root: str | None = None,
        sysroot: str | None = None,
    ) -> Namespace:
        """Makes the tree. All names are host paths, of directories or files.

        Without `root`, grants appear at their host paths. With it, the guest's `/` is that directory (read-only), a
        grant inside it appears at its place there, and one outside it at its host path; `cwd` is then not granted.
        What is found nowhere is looked for under `sysroot`, as if that were the root. Raises OSError for a grant that
        cannot be opened.
        """
        tree = Node()
        inside = os.path.realpath(root) if root is not None else None
        if inside is not None:
            tree.handle = _open_directory(inside)
        grants = [(name, False) for name in readable] + [(name, True) for name in writable]
        if cwd and inside is None:
            grants.append((cwd, False))
        if sysroot is not None and inside is None:
            grants.append((sysroot, False))
        for name, write in grants:
            for place in dict.fromkeys((os.path.realpath(name), os.path.abspath(name))):
                if inside is not None and (place + "/").startswith(inside.rstrip("/") + "/"):
                    place_in_guest = place[len(inside.rstrip("/")) :]
                else:
                    place_in_guest = place
                _grant(tree, os.fsencode(place_in_guest), os.path.realpath(name), write)
        for path, special in _SPECIAL.items():
            _place(tree, path).special = special
        forbidden = forbidden_devices()
        _spread(tree, False, forbidden)
        fallback = Node(handle=_open_directory(os.path.realpath(sysroot))) if sysroot is not None else None
        return cls(tree, fallback, forbidden)

    # The walk

    def top(self) -> GuestDirectory:
        """The guest's root directory."""
        return GuestDirectory((), self.root.handle, self.root.writable, self.root)

    def resolve(self, start: GuestDirectory, path: bytes, follow: bool = True) -> Found:
        """Walks `path` from `start` (from the root, if it begins with a slash).

        follow: follow a symbolic link in the last component. A last component that does not exist is no error
        (`Found.exists`). Raises GuestError: ENOENT, ENOTDIR, ELOOP, EACCES, ENAMETOOLONG.
        """
        parts = components(path)
        if path.startswith(b"/"):
            start = self.top()
        slash = path.endswith(b"/")
        try:
            found = self._walk(start, parts, follow or slash)
        except GuestError as failure:
            if self.fallback is None or failure.errno != errno.ENOENT:
                raise
            found = None
        if self.fallback is not None and (found is None or not (found.exists or found.parent.writable)):
            other = self._in_sysroot([*start.path, *parts], follow or slash)
            if other is not None:
                found = other
        if found is None:
            raise GuestError(errno.ENOENT)
        found.slash = slash
        if slash and found.exists and found.directory is None:
            raise GuestError(errno.ENOTDIR)
        return found

    def _in_sysroot(self, parts: list[bytes], follow: bool) -> Found | None:
        """What an absolute path leads to below the sysroot, or None."""
        assert self.fallback is not None
        top = GuestDirectory((), self.fallback.handle, False, self.fallback)
        try:
            found = self._walk(top, parts, follow, top)
        except GuestError:
            return None
        return found if found.exists else None

    def _walk(
        self, start: GuestDirectory, parts: list[bytes], follow: bool, top: GuestDirectory | None = None
    ) -> Found:
        top = top or self.top()
        here = start
        todo = parts[::-1]  # a stack: the next component last
        links = 0
        found = Found(here, b".", directory=here)
        while todo:
            if len(todo) > 2 and here.handle is not None and (here.node is None or not here.node.children):
                here = self._stride(here, here.handle, todo)
            name = todo.pop()
            if name == b".":
                found = Found(here, b".", directory=here)
                continue
            if name == b"..":
                here = self._directory(here.path[:-1], top)
                found = Found(here, b".", directory=here)
                continue
            if len(name) > NAME_MAX:
                raise GuestError(errno.ENAMETOOLONG)
            found = self._step(here, name)
            if found.directory is not None:
                here = found.directory
                continue
            target = self._link(found) if todo or follow else None
            if isinstance(target, GuestDirectory):  # /proc/self/fd/N of a directory
                here = target
                found = Found(here, b".", directory=here)
                continue
            if target is not None:
                links += 1
                if links > LINKS_MAX:
                    raise GuestError(errno.ELOOP)
                if target.startswith(b"/"):
                    here = top
                todo += components(target)[::-1]
                found = Found(here, b".", directory=here)
                if len(todo) > PATH_MAX:
                    raise GuestError(errno.ENAMETOOLONG)
                continue
            if todo:
                raise GuestError(errno.ENOTDIR if found.exists else errno.ENOENT)
        return found

    def _stride(self, here: GuestDirectory, handle: Handle, todo: list[bytes]) -> GuestDirectory:
        """Takes all components but the last at once, if they are plain directories; else none, and stays here."""
        run = todo[:0:-1]
        if b".." in run or not available():
            return here
        fd = open_beneath(handle.fd, b"/".join(run))
        if fd is None:
            return here
        del todo[1:]
        path = tuple(part for part in run if part != b".")
        return GuestDirectory((*here.path, *path), Handle(fd), here.writable, None)

    def _directory(self, path: Path, top: GuestDirectory) -> GuestDirectory:
        """The directory at a path without links: for `..`. A path that has become something else meanwhile is walked
        as any other, so it cannot lead out."""
        found = self._walk(top, list(path), True, top) if path else Found(top, b".", directory=top)
        if found.directory is None:
            raise GuestError(errno.ENOENT)
        return found.directory

    def _step(self, here: GuestDirectory, name: bytes) -> Found:
        """One component, no link followed."""
        node = here.node.entries(self.view).get(name) if here.node is not None else None
        if node is not None:
            return self._enter(here, name, node)
        if here.handle is None:
            return Found(here, name)
        try:
            handle = Handle(os.open(name, _STEP, dir_fd=here.handle.fd))
        except FileNotFoundError:
            return Found(here, name)
        status = os.fstat(handle.fd)
        if status.st_dev in self.forbidden:
            raise GuestError(errno.EACCES)
        if stat.S_ISDIR(status.st_mode):
            below = GuestDirectory((*here.path, name), handle, here.writable, None)
            return Found(here, name, directory=below, status=status)
        return Found(here, name, handle=handle, status=status, at=(here.handle, name))

    def _enter(self, here: GuestDirectory, name: bytes, node: Node) -> Found:
        """A component that is a node of the tree."""
        if node.special is not None and node.special.name != "fds":
            return Found(here, name, special=node.special)
        if node.file:
            assert node.handle is not None
            file = Handle(os.open(node.file, _STEP, dir_fd=node.handle.fd))
            status = os.fstat(file.fd)
            if stat.S_ISDIR(status.st_mode) or status.st_dev in self.forbidden:
                raise GuestError(errno.EACCES)
            parent = GuestDirectory(here.path, here.handle, node.writable, here.node)
            return Found(parent, name, handle=file, status=status, at=(node.handle, node.file))
        below = GuestDirectory((*here.path, name), node.handle, node.writable, node)
        return Found(here, name, directory=below)

    def _link(self, found: Found) -> bytes | GuestDirectory | None:
        """The target, if it is a symbolic link."""
        if found.special is not None:
            if found.special.name == "descriptor":
                return self.view.descriptor(found.special.number)
            return self.view.link(found.special) if found.special.link else None
        if found.status is None or found.handle is None or not stat.S_ISLNK(found.status.st_mode):
            return None
        target = os.readlink(b"", dir_fd=found.handle.fd)
        if not target:
            raise GuestError(errno.ENOENT)
        return target


def _open_directory(path: str) -> Handle:
    return Handle(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))


def _place(tree: Node, path: bytes) -> Node:
    """The node at a path, made with those above it where missing."""
    for part in path.split(b"/"):
        if part:
            tree = tree.children.setdefault(part, Node())
    return tree


def _grant(tree: Node, place: bytes, host: str, writable: bool) -> None:
    node = _place(tree, place)
    node.writable = node.writable or writable
    if node.handle is not None:
        return
    if os.path.isdir(host):
        node.handle = _open_directory(host)
    else:
        node.handle = _open_directory(os.path.dirname(host))
        node.file = os.fsencode(os.path.basename(host))
        os.close(os.open(node.file, _STEP, dir_fd=node.handle.fd))


def _spread(node: Node, writable: bool, forbidden: frozenset[int]) -> None:
    """A grant below a writable one is writable; a plain directory between grants is the host's own where it has one."""
    node.writable = (node.writable or writable) and node.special is None
    if node.handle is not None and os.fstat(node.handle.fd).st_dev in forbidden:
        raise PermissionError(
            errno.EACCES, "not a file system that a guest may see", os.readlink(f"/proc/self/fd/{node.handle.fd}")
        )
    for name, child in node.children.items():
        if child.handle is None and child.special is None and node.handle is not None and not node.file:
            child.handle = _below(node.handle, name, forbidden)
        _spread(child, node.writable, forbidden)


def _below(parent: Handle, name: bytes, forbidden: frozenset[int]) -> Handle | None:
    """The host's directory of that name, if there is one that the guest may see."""
    try:
        handle = Handle(os.open(name, _STEP | os.O_DIRECTORY, dir_fd=parent.fd))
    except OSError:
        return None
    return None if os.fstat(handle.fd).st_dev in forbidden else handle
