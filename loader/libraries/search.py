"""Where a library is: the search of start-up (runtime/crt/find.h and directory.h), in Python, step for step.

Directories in order: LD_LIBRARY_PATH (unless secure execution), then the path recorded in the program, else /shlib. A
recorded name with a slash is looked for under LD_LIBRARY_PATH by its last component, then in the directory that it names.
The version rule (linker/versions.py) says what is opened: the recorded name anywhere on a path goes before the best
version in its first directory that has one. Names alone decide, and what is opened is then checked
(loader/libraries/library_check.py) and used or refused: start-up does not go on to another file.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import Protocol

from uselib.linker.image import Identity, Version
from uselib.linker.versions import VersionRule, best, link_names, split_name, version_of

DEFAULT_PATH = "/shlib"
_PATH_SIZE = 4096  # of the buffer in start-up, with its NUL
_LINKS_MAX = 40


class Files(Protocol):
    """The files as the program sees them."""

    def open(self, path: str) -> int:
        """A descriptor for reading; never waits (O_NONBLOCK). Raises OSError."""

    def names(self, directory: str) -> tuple[str, ...]:
        """Names ending in a version, of regular files and symbolic links; `.` for the current directory. The same answer
        each time. Raises OSError."""


class HostFiles:
    """The host's files; what is not there is looked for below `sysroot`, as `uselib run --sysroot` does."""

    def __init__(self, sysroot: str = "") -> None:
        self._sysroot = os.path.realpath(sysroot) if sysroot else ""
        self._names: dict[str, tuple[str, ...]] = {}

    def open(self, path: str) -> int:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            return os.open(path, flags)
        except OSError as failure:
            inside = self._inside(path) if failure.errno == errno.ENOENT else None
            if inside is None:
                raise
            return os.open(inside, flags)

    def names(self, directory: str) -> tuple[str, ...]:
        if directory not in self._names:
            try:
                found = _versioned_names(directory)
            except FileNotFoundError:
                inside = self._inside(directory)
                if inside is None:
                    raise
                found = _versioned_names(inside)
            self._names[directory] = found
        return self._names[directory]

    def _inside(self, path: str) -> str | None:
        """The path below the sysroot, whose symbolic links stay within it; None if there is none."""
        if not self._sysroot:
            return None
        todo = [part for part in os.path.abspath(path).split("/") if part][::-1]
        here: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part in (".", ".."):
                del here[len(here) - (part == "..") :]
                continue
            place = os.path.join(self._sysroot, *here, part)
            if not os.path.islink(place):
                here.append(part)
                continue
            links += 1
            if links > _LINKS_MAX:
                return None
            target = os.readlink(place)
            here = [] if target.startswith("/") else here
            todo += [piece for piece in target.split("/") if piece][::-1]
        place = os.path.join(self._sysroot, *here)
        return place if os.path.exists(place) else None


def _versioned_names(directory: str) -> tuple[str, ...]:
    with os.scandir(directory) as entries:
        return tuple(
            entry.name for entry in entries if split_name(entry.name) and (entry.is_symlink() or entry.is_file())
        )


@dataclass(frozen=True)
class SearchPath:
    """Colon-separated, as start-up gets them. An empty directory is the current one; an empty list has none."""

    environment: str = ""  # LD_LIBRARY_PATH; empty under secure execution
    recorded: str = DEFAULT_PATH

    def groups(self, file_name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The directories that are looked into for a library: those of the environment, then those recorded."""
        head, slash, _ = file_name.rpartition("/")
        return _split(self.environment), (head or "/",) if slash else _split(self.recorded)

    def directories(self, file_name: str) -> tuple[str, ...]:
        """All of them, in order."""
        first, second = self.groups(file_name)
        return first + second


def _split(path: str) -> tuple[str, ...]:
    return tuple(path.split(":")) if path else ()


@dataclass(frozen=True)
class Choice:
    """What start-up opens. error: an errno, 0 if it could be opened. path: of the file, or of what was tried last."""

    path: str
    error: int
    directory: int = -1  # where the search ended: index in SearchPath.directories(); -1 if it found nothing
    other: Version | None = None  # the highest version seen that the rule does not admit


def join(directory: str, name: str) -> str:
    """A path as start-up makes it; empty if it would be too long for it."""
    if len(os.fsencode(directory)) + len(os.fsencode(name)) + 2 > _PATH_SIZE:
        return ""
    return directory + name if not directory or directory.endswith("/") else f"{directory}/{name}"


def _missing(error: int) -> bool:
    return error in (errno.ENOENT, errno.ENOTDIR)


@dataclass
class _LookUp:
    """struct lookup of find.h. Methods return an errno, 0 for success."""

    files: Files
    linked: Identity
    rule: VersionRule
    last: str
    path: str = ""
    other: Version | None = None

    def named(self, directory: str, name: str) -> int:
        self.path = join(directory, name)
        if not self.path:
            return errno.ENAMETOOLONG
        try:
            os.close(self.files.open(self.path))
        except OSError as failure:
            return failure.errno or errno.EIO
        return 0

    def best(self, directory: str) -> int:
        self.path = join(directory, "" if directory else ".")
        if not self.path:
            return errno.ENAMETOOLONG
        try:
            names = self.files.names(self.path)
        except (FileNotFoundError, NotADirectoryError, PermissionError) as failure:
            if failure.errno == errno.EPERM:
                return errno.EPERM
            names = ()
        except OSError as failure:
            return failure.errno or errno.EIO
        versions = [version for name in names if (version := version_of(name, self.linked.name)) is not None]
        refused = [version for version in versions if not self.rule.admits(version, self.linked.version)]
        self.other = max([*refused, *([self.other] if self.other else [])], default=None)
        below: Version | None = None
        while (below := best(versions, self.linked.version, self.rule, below)) is not None:
            error = self.named(directory, f"{self.linked.name}.{below}")
            if not _missing(error):  # else a dangling link: the next one
                return error
        self.path = join(directory, self.last)
        return errno.ENOENT

    def recorded(self, directory: str) -> int:
        return self.named(directory, self.last)

    def link(self, directory: str) -> int:
        for name in link_names(self.linked.name, self.linked.version):
            error = self.named(directory, name)
            if not _missing(error):
                return error
        return errno.ENOENT


def find(files: Files, search: SearchPath, file_name: str, linked: Identity, rule: VersionRule) -> Choice:
    """What start-up opens for a library recorded as `file_name`, linked with as `linked`. Raises nothing."""
    look_up = _LookUp(files, linked, rule, file_name.rpartition("/")[2])
    ways = ((rule.recorded, look_up.recorded), (rule.link, look_up.link), (rule.best, look_up.best))
    error, number = errno.ENOENT, 0
    for group in search.groups(file_name):
        for look in (look for takes, look in ways if takes):
            for index, directory in enumerate(group, number):
                error = look(directory)
                if not _missing(error) and error != errno.ENAMETOOLONG:
                    return Choice(look_up.path, error, index, look_up.other)
        number += len(group)
    return Choice(look_up.path, error, -1, look_up.other)


__all__ = ["DEFAULT_PATH", "Choice", "Files", "HostFiles", "SearchPath", "find", "join"]
