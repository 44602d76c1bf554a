"""Every file that could have been taken for a library, and why it was not: what `uselib ldd` explains.

loader/libraries/search.py makes the choice. This module goes through the same directories once more, to the end of
the search path, and gives each file the reasons why it was not used, the deciding one first.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from uselib.linker.image import PAGE, Identity, LibraryHeader, Machine, Version
from uselib.linker.versions import REFUSALS, VersionRule, link_names, version_of
from uselib.loader.libraries import library_check
from uselib.loader.libraries.library_check import Checked, check
from uselib.loader.libraries.search import Choice, Files, SearchPath, join


@dataclass(frozen=True)
class Reason:
    """Why a candidate is not used. code: stable, for programs; text: for people."""

    code: str
    text: str


@dataclass(frozen=True)
class Candidate:
    """A file that is there. version: by its name, None for a link without patch level; checked: by its content."""

    path: str
    directory: int  # index in SearchPath.directories()
    version: Version | None
    chosen: bool
    reasons: tuple[Reason, ...]
    header: LibraryHeader | None = None


@dataclass(frozen=True)
class Directory:
    """A directory of the search path. problem: why it has no candidates, or empty."""

    path: str
    problem: str


# start-up's words (the beginning of them) -> code, and a text that says more where the header tells more
_CONTENT: Mapping[str, tuple[str, str]] = {
    library_check.FEWER: ("fewer-slots", "it has {slots} slots; {linked_slots} were there at link time"),
    library_check.INCOMPATIBLE: ("header-version", "its header says it is version {version}"),
    library_check.OTHER_BASE: ("other-base", "made for base {base:#x}; the program was linked for {linked_base:#x}"),
    library_check.NOT_A_LIBRARY: ("not-a-library", "not a shared library"),
    library_check.OTHER_NAME: ("other-library", "it is another library: {name}"),
    library_check.NO_BOOTSTRAP: ("no-bootstrap", "it has no bootstrap, which scheme mmap needs"),
    library_check.FORMAT_ERROR: ("bad-format", "its format is damaged, or not for this scheme"),
    library_check.WRONG_MACHINE: ("wrong-machine", "made for another machine"),
    library_check.SHORT: ("truncated", "truncated: shorter than its header says"),
    library_check.OCCUPIED: ("occupied", "its addresses are taken"),
}
_OPEN: Mapping[int, Reason] = {
    errno.EACCES: Reason("unreadable", "may not be read"),
    errno.ENOENT: Reason("dangling", "a dangling symbolic link"),
    errno.ENOTDIR: Reason("dangling", "a dangling symbolic link"),
    errno.ELOOP: Reason("cycle", "a symbolic link that leads to itself"),
}


def content_reason(checked: Checked, linked: Identity) -> Reason | None:
    """The reason that a file's content gives, if it gives one."""
    for words, (code, text) in _CONTENT.items():
        if checked.reason.startswith(words):
            who = checked.header.identity if checked.header is not None else linked
            values = {"slots": who.slot_count, "version": who.version, "base": who.base, "name": who.name}
            return Reason(code, text.format(linked_slots=linked.slot_count, linked_base=linked.base, **values))
    return Reason("refused", checked.reason) if checked.reason else None


@dataclass(frozen=True)
class Query:
    """What is looked for, as loader/libraries/dependencies.py looked for it."""

    file_name: str
    linked: Identity
    machine: Machine
    rule: VersionRule
    scheme: str

    @property
    def last(self) -> str:
        """The recorded file name without its directory."""
        return self.file_name.rpartition("/")[2]


def _names(files: Files, directory: str, query: Query) -> tuple[list[str], str]:
    """The names to look at in a directory, and what is wrong with it."""
    problem = ""
    found: list[str] = []
    try:
        listed = files.names(join(directory, "" if directory else "."))
        found = [name for name in listed if version_of(name, query.linked.name) is not None]
    except OSError as failure:
        problem = os.strerror(failure.errno or errno.EIO)
    found.sort(key=lambda name: version_of(name, query.linked.name) or query.linked.version, reverse=True)
    others = [query.last] if query.rule.recorded else []
    others += link_names(query.linked.name, query.linked.version) if query.rule.link else ()
    return [*(name for name in others if name not in found), *found], problem


def _content(files: Files, path: str, query: Query) -> tuple[Reason | None, LibraryHeader | None] | None:
    """What opening and reading a file gives; None if the name does not exist."""
    try:
        fd = files.open(path)
    except OSError as failure:
        number = failure.errno or errno.EIO
        if number in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG) and not os.path.islink(path):
            return None
        return _OPEN.get(number, Reason("unreadable", os.strerror(number))), None
    try:
        size = os.lseek(fd, 0, os.SEEK_END)
        page = os.pread(fd, PAGE, 0)
    except OSError:
        return Reason("not-a-file", "not a regular file"), None
    finally:
        os.close(fd)
    checked = check(page, size, query.linked, query.machine, query.rule, query.scheme, ())
    return content_reason(checked, query.linked), checked.header


def _by_name(query: Query, name: str, number: int, choice: Choice) -> Iterator[Reason]:
    """What the name, the rule and the order of the search say against a file that was not chosen."""
    version = version_of(name, query.linked.name)
    code = query.rule.refusal(version, query.linked.version) if version is not None else ""
    if code:
        yield Reason(code, REFUSALS[code])
    elif version is not None and not query.rule.best and not (query.rule.recorded and name == query.last):
        what = "the recorded file name" if query.rule.recorded else "symbolic links"
        yield Reason("rule", f"rule `{query.rule.name}` looks for {what} only")
    elif choice.directory >= 0 and not _goes_first(query, name, number, choice):
        yield Reason("shadowed", f"shadowed by {choice.path}")


def _goes_first(query: Query, name: str, number: int, choice: Choice) -> bool:
    """Whether a name would have gone before the one chosen, had it been possible to open it."""
    chosen = choice.path.rpartition("/")[2]
    if number != choice.directory or (query.rule.recorded and query.last in (name, chosen)):
        return number < choice.directory and (chosen != query.last or name == chosen)
    version, other = version_of(name, query.linked.name), version_of(chosen, query.linked.name)
    if version is None or other is None:  # links: the longer name first
        return len(name) > len(chosen)
    return version > other


def candidates(
    files: Files, search: SearchPath, query: Query, choice: Choice
) -> tuple[tuple[Candidate, ...], tuple[Directory, ...]]:
    """Every file that is there under a name of the library, in the order of the search; and the directories."""
    found: list[Candidate] = []
    directories: list[Directory] = []
    for number, directory in enumerate(search.directories(query.file_name)):
        names, problem = _names(files, directory, query)
        directories.append(Directory(directory, problem))
        for name in names:
            path = join(directory, name)
            content = _content(files, path, query) if path else None
            if content is None:
                continue
            against, header = content
            chosen = number == choice.directory and path == choice.path
            reasons = [] if chosen else list(_by_name(query, name, number, choice))
            said = bool(reasons) and reasons[0].code in REFUSALS
            if against is not None and not (said and against.code == "header-version"):
                reasons.append(against)
            found.append(Candidate(path, number, version_of(name, query.linked.name), chosen, tuple(reasons), header))
    return tuple(found), tuple(directories)
