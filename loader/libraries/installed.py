"""Which libraries are installed in a directory, and whether their addresses overlap."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from uselib.linker.errors import Diagnostic, ToolError, printable
from uselib.linker.image import PAGE, LibraryHeader, Version
from uselib.linker.versions import RULES, split_link, split_name
from uselib.loader.libraries.library_check import FORMAT_ERROR, NOT_A_LIBRARY, SHORT, WRONG_MACHINE, check
from uselib.loader.programs.headers import library_header


@dataclass(frozen=True)
class Installed:
    """A file called NAME.MAJOR.MINOR.PATCH. header: of a whole library that is what its name says, else None, and problem
    says why."""

    path: str
    name: str
    version: Version
    header: LibraryHeader | None
    problem: str


@dataclass(frozen=True)
class Link:
    """An entry whose name is that of a link, NAME.MAJOR or NAME.MAJOR.MINOR. target: its text, None if it is not a symbolic
    link; error: the errno of following it, 0 if it leads to something."""

    file_name: str
    name: str
    numbers: tuple[int, ...]
    target: str | None
    error: int


@dataclass(frozen=True)
class Contents:
    """What ldconfig looks at in a directory."""

    directory: str
    libraries: tuple[Installed, ...]  # by name, then by version
    links: tuple[Link, ...]


_WORDS = {
    FORMAT_ERROR: "its format is damaged",
    NOT_A_LIBRARY: "is not a shared library",
    SHORT: "is truncated: shorter than its header says",
    WRONG_MACHINE: "its headers name two machines",
}


def _first_page(path: str) -> tuple[bytes, int]:
    """The first page of a regular file, and its size. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is not a regular file")
        return os.pread(fd, PAGE, 0), status.st_size
    finally:
        os.close(fd)


def inspect(path: str, name: str, version: Version) -> Installed:
    """What is in the file `path`, which its name says is `version` of library `name`. Raises nothing."""
    try:
        page, size = _first_page(path)
    except OSError as failure:
        reason = {errno.ENOENT: "is a dangling symbolic link", errno.ELOOP: "is a symbolic link that leads to itself"}
        text = reason.get(failure.errno or 0, failure.strerror or str(failure))
        return Installed(path, name, version, None, text)
    header = library_header(page, path)
    if header is None:
        return Installed(path, name, version, None, _WORDS[NOT_A_LIBRARY])
    who = header.identity
    if (who.name, who.version) != (name, version):
        return Installed(path, name, version, None, f"says it is {printable(who.name)} {who.version}")
    refusal = check(page, size, who, header.machine, RULES["exact"], "", ()).reason
    if refusal:
        return Installed(path, name, version, None, _WORDS.get(refusal, refusal.rstrip(".")))
    return Installed(path, name, version, header, "")


def _link(directory: str, entry: str) -> Link | None:
    parts = split_link(entry)
    if parts is None:
        return None
    path = os.path.join(directory, entry)
    error = 0
    try:
        os.stat(path)
    except OSError as failure:
        error = failure.errno or errno.EIO
    try:
        target: str | None = os.readlink(path)
    except OSError:
        target = None
    return Link(entry, *parts, target, error)


def read_directory(directory: str) -> Contents:
    """The libraries and links in a directory. Raises ToolError if it cannot be read."""
    try:
        names = sorted(os.listdir(directory))
    except OSError as failure:
        raise ToolError(Diagnostic(directory, failure.strerror or str(failure))) from None
    libraries = []
    for entry in names:
        parts = split_name(entry)
        if parts is not None and _may_be_library(directory, entry, parts[0]):
            libraries.append(inspect(os.path.join(directory, entry), *parts))
    links = [link for entry in names if (link := _link(directory, entry)) is not None]
    libraries.sort(key=lambda library: (library.name, library.version))
    return Contents(directory, tuple(libraries), tuple(links))


def _may_be_library(directory: str, entry: str, name: str) -> bool:
    """Other files have such names as well (libz.so.1.2.13): they count only if they are libraries."""
    if name.endswith("_s"):
        return True
    try:
        return library_header(_first_page(os.path.join(directory, entry))[0], entry) is not None
    except OSError:
        return False


@dataclass(frozen=True)
class Overlap:
    """Two libraries of different names that cannot be used by one program."""

    first: Installed
    second: Installed

    def __str__(self) -> str:
        (a, low_a, high_a), (b, low_b, high_b) = (_place(library) for library in (self.first, self.second))
        return f"{b} at {low_b:#x}-{high_b - 1:#x} overlaps {a} at {low_a:#x}-{high_a - 1:#x}"


def _place(library: Installed) -> tuple[str, int, int]:
    assert library.header is not None
    who = library.header.identity
    return library.path, who.base, who.end


def _release(library: Installed) -> tuple[str, int, int]:
    """What has addresses of its own: a major version of a library, on a machine."""
    assert library.header is not None
    return library.name, library.version.major, library.header.machine.value


def overlaps(libraries: Iterable[Installed]) -> tuple[Overlap, ...]:
    """Pairs of libraries whose addresses overlap: of each major version the release that takes most, each pair of names
    once. Versions of one library may overlap: no program has two of them."""
    whole = [library for library in libraries if library.header is not None]
    whole.sort(key=_release)
    largest = [max(group, key=lambda library: _place(library)[2]) for _, group in groupby(whole, key=_release)]
    largest.sort(key=lambda library: _place(library)[1])
    found: dict[frozenset[str], Overlap] = {}
    for index, first in enumerate(largest):
        for second in largest[index + 1 :]:
            if _place(second)[1] >= _place(first)[2]:
                break
            if first.name != second.name and _release(first)[2] == _release(second)[2]:
                found.setdefault(frozenset((first.name, second.name)), Overlap(first, second))
    return tuple(found.values())
