"""Every library that a program would get, and what start-up would say: map_libraries of runtime/crt/libraries.c in Python.

The program's list (`.lib`) first, then what each mapped library needs that nobody asked for yet. A library is known
by its name without version: the first request decides its version, which must be compatible with every later request.
Start-up ends at the first failure; this module goes on, so that the user sees everything that is missing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from uselib.linker.image import PAGE, Identity, Image, LibraryHeader
from uselib.linker.versions import VersionRule, names_library
from uselib.loader.libraries.library_check import (
    BY_BOOTSTRAP,
    FORMAT_ERROR,
    MAX_LIBRARIES,
    OCCUPIED,
    Checked,
    Range,
    check,
    check_version,
    needs_of_page,
)
from uselib.loader.libraries.search import Choice, Files, SearchPath, find

UNKNOWN = "Version of library unknown: the note of the stub library is missing."
TOO_MANY = "Too many libraries."

# refuse_error of runtime/crt/report.h: the words of 1993 for the kernel's errors
_WORDS = {
    errno.ENOENT: "No such library.",
    errno.ENOTDIR: "No such library.",
    errno.EACCES: "Permission denied.",
    errno.EPERM: "Permission denied.",
    errno.ENOEXEC: FORMAT_ERROR,
    errno.EEXIST: OCCUPIED,
    errno.ENOMEM: "Out of memory.",
    errno.EINVAL: TOO_MANY,
}


@dataclass(frozen=True)
class Wanted:
    """A library that somebody needs."""

    file_name: str
    linked: Identity | None  # with what it was linked; None if the note is missing
    by: str  # the file name of the library that needs it; empty: the program


@dataclass(frozen=True)
class Resolved:
    """What becomes of a library that is needed. problem: in start-up's words, empty if it would be mapped; path: that it names."""

    wanted: Wanted
    path: str
    problem: str
    choice: Choice | None = None
    header: LibraryHeader | None = None
    page: bytes = b""
    single_load: bool = False


@dataclass(frozen=True)
class Refusal:
    """Start-up's message: `PROG: can't load library 'PATH'`, newline, tab, reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class ResolvedDependencies:
    libraries: tuple[Resolved, ...]
    refusal: Refusal | None  # the first, where start-up ends


def words(error: int) -> str:
    """What start-up says of an errno."""
    return _WORDS.get(error, f"Unspecified error. (errno {error})")


def needs_for(file_name: str, needs: Iterable[Identity]) -> Identity | None:
    """The identity that a recorded file name was linked with."""
    return next((who for who in needs if names_library(file_name, who.name)), None)


def _read(files: Files, path: str, scheme: str) -> tuple[bytes, int] | int:
    """The first page and the size of a file, or the errno that start-up would get."""
    size = 0
    try:
        fd = files.open(path)
    except OSError as failure:
        return failure.errno or errno.EIO
    try:
        size = os.lseek(fd, 0, os.SEEK_END)
        page = os.pread(fd, PAGE, 0)
    except OSError as failure:  # no regular file: a pipe has no end to seek to, a directory no bytes
        if scheme not in BY_BOOTSTRAP:
            return failure.errno or errno.EIO
        return (b"", 0) if failure.errno == errno.ESPIPE or size <= 0 else errno.ENODEV
    finally:
        os.close(fd)
    return page, size


def _pages(low: int, high: int) -> Range:
    return Range(low & -PAGE, (high + PAGE - 1) & -PAGE)


class _Resolver:
    def __init__(self, program: Image, search: SearchPath, rule: VersionRule, files: Files, scheme: str) -> None:
        self._program, self._search, self._rule, self._files, self._scheme = program, search, rule, files, scheme
        self._taken = [_pages(segment.address, segment.end) for segment in program.segments]
        self._wanted: list[Wanted] = []
        self._resolved: list[Resolved] = []
        self._refusals: list[Refusal] = []

    def run(self, names: Sequence[str]) -> ResolvedDependencies:
        for name in names:
            self._want(name, self._program.needs, "")
        position = 0
        while position < len(self._wanted):  # which grows
            self._resolved.append(self._resolve(self._wanted[position]))
            self._dependencies(self._resolved[position])
            position += 1
        for found in tuple(self._resolved):  # every need, now that all are mapped
            self._dependencies(found)
        return ResolvedDependencies(tuple(self._resolved), self._refusals[0] if self._refusals else None)

    def _known(self, file_name: str) -> int | None:
        for index, wanted in enumerate(self._wanted):
            if wanted.linked is not None and names_library(file_name, wanted.linked.name):
                return index
            if wanted.file_name == file_name:
                return index
        return None

    def _want(self, file_name: str, needs: Iterable[Identity], by: str) -> None:
        if self._known(file_name) is not None:
            return
        linked = needs_for(file_name, needs)
        if len(self._wanted) == MAX_LIBRARIES:
            self._refusals.append(Refusal(file_name, TOO_MANY))
            return
        if linked is None:
            self._refusals.append(Refusal(file_name, UNKNOWN))
        self._wanted.append(Wanted(file_name, linked, by))

    def _refused(self, wanted: Wanted, path: str, reason: str, choice: Choice, checked: Checked) -> Resolved:
        self._refusals.append(Refusal(path, reason))
        return Resolved(wanted, path, reason, choice, checked.header, single_load=checked.single_load)

    def _resolve(self, wanted: Wanted) -> Resolved:
        linked = wanted.linked
        if linked is None:
            return Resolved(wanted, wanted.file_name, UNKNOWN)
        choice = find(self._files, self._search, wanted.file_name, linked, self._rule)
        path = choice.path or wanted.file_name
        if choice.error:
            reason = words(choice.error)
            if choice.error in (errno.ENOENT, errno.ENOTDIR) and choice.path and choice.other:
                reason += f" (there is {choice.other}, needs {linked.version})"
            return self._refused(wanted, path, reason, choice, Checked(reason))
        content = _read(self._files, choice.path, self._scheme)
        if isinstance(content, int):
            return self._refused(wanted, path, words(content), choice, Checked(""))
        page, size = content
        checked = check(page, size, linked, self._program.machine, self._rule, self._scheme, self._taken)
        if checked.reason or checked.header is None:
            return self._refused(wanted, path, checked.reason, choice, checked)
        self._taken += [Range(checked.header.identity.base, checked.header.identity.end)]
        return Resolved(wanted, path, "", choice, checked.header, page, checked.single_load)

    def _dependencies(self, found: Resolved) -> None:
        """Adds what a mapped library needs; checks the libraries that are there already against its needs."""
        if found.problem or found.header is None:
            return
        needs = needs_of_page(found.page, self._program.machine)
        for name in found.header.dependencies:
            known = self._known(name)
            linked = needs_for(name, needs)
            if known is None:
                self._want(name, needs, found.wanted.file_name)
            elif linked is not None and known < len(self._resolved):
                self._check_again(known, linked, found)

    def _check_again(self, index: int, linked: Identity, asking: Resolved) -> None:
        other = self._resolved[index]
        if other.problem or other.header is None:
            return
        reason = check_version(other.header, linked, self._rule)
        if reason:
            self._refusals.append(Refusal(other.wanted.file_name, reason))
            self._resolved[index] = replace(other, problem=f"{reason} for {asking.wanted.file_name}")


def program_libraries(program: Image) -> tuple[str, ...]:
    """The names that start-up begins with; of a target library, what it refers to; of a program without section headers,
    where `.lib` cannot be found, what its notes name."""
    if program.library is not None:
        return program.library.dependencies
    return program.library_names or tuple(who.file_name for who in program.needs)


def resolve(program: Image, search: SearchPath, rule: VersionRule, files: Files, scheme: str) -> ResolvedDependencies:
    """What a program of `scheme` (uselib or mmap) would get. Raises nothing: what is wrong is in the result."""
    return _Resolver(program, search, rule, files, scheme).run(program_libraries(program))
