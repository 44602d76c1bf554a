"""The guest's view of the host's files: a tree of grants, and the walk through it.

Confinement. The guest's paths are resolved here, one component at a time, never by the host's kernel as a whole: each component is opened
with O_PATH | O_NOFOLLOW relative to the descriptor of the directory before it. So the object that was checked is the one that is used (there
is no second look-up, which a renamed directory or a new symbolic link could change), symbolic links and `..` are interpreted within the
guest's tree, and nothing that was not granted can be named.

places.py has the parts of the tree; grants.py makes it from the grants of the command line.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from uselib.emulator.kernel.constants import LINKS_MAX, NAME_MAX, PATH_MAX
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.vfs.grants import build_tree, forbidden_devices, open_directory
from uselib.emulator.kernel.vfs.openat2 import available, open_beneath
from uselib.emulator.kernel.vfs.places import (
    STEP,
    Found,
    GuestDirectory,
    Handle,
    Node,
    NoProcView,
    Path,
    ProcView,
    SyntheticFile,
)
from uselib.emulator.kernel.vfs.rights import Search

_STRIDE_MAX = 1000  # components taken at once, so that their names mostly fit PATH_MAX


def components(path: bytes) -> list[bytes]:
    """The components of a path, without empty ones. Raises GuestError(ENAMETOOLONG, ENOENT)."""
    if not path:
        raise GuestError(errno.ENOENT)
    if len(path) >= PATH_MAX:
        raise GuestError(errno.ENAMETOOLONG)
    return [part for part in path.split(b"/") if part]


class LinkCount:
    """The number of symbolic links that one look-up has followed, in all its walks."""

    def __init__(self, most: int = LINKS_MAX) -> None:
        self.left = most

    def follow(self) -> None:
        """Raises GuestError (ELOOP) for one link too many."""
        self.left -= 1
        if self.left < 0:
            raise GuestError(errno.ELOOP)


def _levels_up(todo: list[bytes]) -> int:
    """After a `..`: how many there are in a row. The others are taken off the stack, since each would need a walk from the root."""
    levels = 1
    while todo and todo[-1] == b"..":
        todo.pop()
        levels += 1
    return levels


class Namespace:
    """The guest's tree of files. Made by `build`. view: the process in /proc and /dev; no process until `attach`."""

    def __init__(self, root: Node, fallback: Node | None, forbidden: frozenset[int], search: Search | None) -> None:
        self.root = root
        self.fallback = fallback  # the sysroot, for paths that are not found elsewhere
        self.forbidden = forbidden
        self._top: GuestDirectory | None = None  # after chroot(2)
        self.view: ProcView = NoProcView()
        self._search = search

    def attach(self, view: ProcView) -> None:
        """Shows a process, which is made after its namespace. Once: a namespace belongs to one process."""
        assert isinstance(self.view, NoProcView), "another process has this namespace"
        self.view = view

    @classmethod
    def build(
        cls,
        cwd: str = "",
        readable: Iterable[str] = (),
        writable: Iterable[str] = (),
        root: str | None = None,
        sysroot: str | None = None,
        search: Search | None = None,
    ) -> Namespace:
        """Makes the tree. All names are host paths, of directories or files. search: called for each directory of the host that a
        path leads through; None: only the host checks them.

        Without `root`, grants appear at their host paths. With it, the guest's `/` is that directory (read-only), a
        grant inside it appears at its place there, and one outside it at its host path; `cwd` is then not granted.
        What is found nowhere is looked for under `sysroot`, as if that were the root. Raises OSError for a grant that
        cannot be opened.
        """
        forbidden = forbidden_devices()
        tree = build_tree(cwd, readable, writable, root, sysroot, forbidden)
        fallback = Node(handle=open_directory(os.path.realpath(sysroot))) if sysroot is not None else None
        return cls(tree, fallback, forbidden, search)

    # The walk

    def top(self) -> GuestDirectory:
        """The process's root directory."""
        if self._top is not None:
            return self._top
        return GuestDirectory((), self.root.handle, self.root.writable, self.root)

    def change_root(self, directory: GuestDirectory) -> None:
        """chroot(2): absolute paths begin there, and `..` ends there."""
        self._top = GuestDirectory((), directory.handle, directory.writable, directory.node)

    def resolve(self, start: GuestDirectory, path: bytes, follow: bool = True, links: LinkCount | None = None) -> Found:
        """Walks `path` from `start` (from the root, if it begins with a slash).

        follow: follow a symbolic link in the last component. A last component that does not exist is not an error
        (`Found.exists`). links: how many may be followed. Raises GuestError: ENOENT, ENOTDIR, ELOOP, EACCES, ENAMETOOLONG.
        """
        parts = components(path)
        if path.startswith(b"/"):
            start = self.top()
        slash = path.endswith(b"/")
        try:
            found = self._walk(start, parts, follow or slash, links=links)
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
        """The object at an absolute path below the sysroot, or None."""
        assert self.fallback is not None
        top = GuestDirectory((), self.fallback.handle, False, self.fallback)
        try:
            found = self._walk(top, parts, follow, top)
        except GuestError:
            return None
        return found if found.exists else None

    def _walk(
        self,
        start: GuestDirectory,
        parts: list[bytes],
        follow: bool,
        top: GuestDirectory | None = None,
        links: LinkCount | None = None,
    ) -> Found:
        """links: those followed so far, where this walk is part of another one."""
        top, links = top or self.top(), links or LinkCount()
        here = start
        todo = parts[::-1]  # a stack: the next component last
        found = Found(here, b".", directory=here)
        while todo:
            if len(todo) > 2:
                here = self._stride(here, todo)
            name = todo.pop()
            if name == b".":
                found = Found(here, b".", directory=here)
                continue
            if name == b"..":
                here = self._directory(here.path[: -_levels_up(todo)], top, links)
                found = Found(here, b".", directory=here)
                continue
            if len(name) > NAME_MAX:
                raise GuestError(errno.ENAMETOOLONG)
            found = self._step(here, name)
            if found.directory is not None:
                here = found.directory
                continue
            target = self._followed(found, links) if todo or follow else None
            if target is None:
                if todo:
                    raise GuestError(errno.ENOTDIR if found.exists else errno.ENOENT)
                continue
            if isinstance(target, GuestDirectory):  # /proc/self/fd/N of a directory
                here = target
            else:
                here = top if target.startswith(b"/") else here
                todo += components(target)[::-1]
                if len(todo) > PATH_MAX:
                    raise GuestError(errno.ENAMETOOLONG)
            found = Found(here, b".", directory=here)
        return found

    def _followed(self, found: Found, links: LinkCount) -> bytes | GuestDirectory | None:
        """The target of a symbolic link, which is counted; None: it is no link. The target of /proc/self/fd/N becomes the open file itself.
        Raises GuestError."""
        target = self._link(found)
        if target is not None:
            links.follow()
        elif found.special is not None and found.special.name == "descriptor":
            links.follow()
            found.special = SyntheticFile("descriptor", number=found.special.number, mode=0o666)
        return target

    def _stride(self, here: GuestDirectory, todo: list[bytes]) -> GuestDirectory:
        """Takes all components but the last at once (of many: the first _STRIDE_MAX), if they are plain directories of the host; else none,
        and stays here. There are three components at least."""
        handle = here.handle
        if handle is None or self._search is not None or (here.node is not None and here.node.children):
            return here
        run = todo[: max(len(todo) - 1 - _STRIDE_MAX, 0) : -1]
        if b".." in run or not available():
            return here
        fd = open_beneath(handle.fd, b"/".join(run))
        if fd is None:
            return here
        del todo[len(todo) - len(run) :]
        path = tuple(part for part in run if part != b".")
        return GuestDirectory((*here.path, *path), Handle(fd), here.writable, None)

    def _directory(self, path: Path, top: GuestDirectory, links: LinkCount) -> GuestDirectory:
        """The directory at a path without links, for `..`. A path that has changed meanwhile is walked like any other, so it cannot lead out.
        Its links count with those of the whole walk (ELOOP).
        """
        found = self._walk(top, list(path), True, top, links) if path else Found(top, b".", directory=top)
        if found.directory is None:
            raise GuestError(errno.ENOENT)
        return found.directory

    def _step(self, here: GuestDirectory, name: bytes) -> Found:
        """Takes one component and follows no link."""
        if self._search is not None and here.handle is not None:
            self._search(os.fstat(here.handle.fd))
        if here.node is not None and here.node.memory:
            fd = self.view.memory_files().open(name)
            return Found(here, name) if fd is None else Found(here, name, handle=Handle(fd), status=os.fstat(fd))
        node = here.node.entries(self.view).get(name) if here.node is not None else None
        if node is not None:
            return self._enter(here, name, node)
        if here.handle is None:
            return Found(here, name)
        try:
            handle = Handle(os.open(name, STEP, dir_fd=here.handle.fd))
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
        """Takes a component that is a node of the tree."""
        if node.special is not None:
            return Found(here, name, special=node.special)
        if node.file:
            assert node.handle is not None
            file = Handle(os.open(node.file, STEP, dir_fd=node.handle.fd))
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
