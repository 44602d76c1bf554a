"""The symbolic links to the newest versions of libraries, as ldconfig(8) keeps them: what to do, and doing it.

    libX_s.MAJOR         -> the newest libX_s.MAJOR.MINOR.PATCH in the directory
    libX_s.MAJOR.MINOR   -> the newest libX_s.MAJOR.MINOR.PATCH in the directory

A link is made under another name and renamed into place, so a program that starts meanwhile finds the old one or the new
one. A link whose version is gone is removed only if it dangles, and only if it is one that we would have made.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from uselib.linker.versions import split_name
from uselib.loader.libraries.installed import Contents, Installed, Link


class Action(enum.Enum):
    """What happens to a link; the value is said of it afterwards."""

    KEEP = "unchanged"
    MAKE = "made"
    CHANGE = "changed"
    REMOVE = "removed"
    REFUSE = "left alone"


@dataclass(frozen=True)
class Step:
    """One link. target: what it leads to when done (for REMOVE, what it led to); problem: why it is left alone."""

    action: Action
    name: str
    target: str
    problem: str = ""


def wanted(libraries: tuple[Installed, ...]) -> dict[str, str]:
    """Link -> file name, for every whole library."""
    found: dict[str, str] = {}
    for library in sorted(libraries, key=lambda library: library.version):  # the newest last
        if library.header is not None:
            version = library.version
            for link in (f"{library.name}.{version.major}", f"{library.name}.{version.major}.{version.minor}"):
                found[link] = f"{library.name}.{version}"
    return found


def _is_ours(link: Link) -> bool:
    """Whether it leads to a version of the library that it names, as the links that we make do."""
    target = split_name(link.target or "")
    if target is None or not link.name.endswith("_s"):
        return False
    name, version = target
    return name == link.name and (version.major, version.minor)[: len(link.numbers)] == link.numbers


def plan(contents: Contents) -> Iterator[Step]:
    """What there is to do in a directory, links in the order of their names."""
    targets = wanted(contents.libraries)
    present = {link.file_name: link for link in contents.links}
    for name in sorted({*targets, *present}):
        link, target = present.get(name), targets.get(name)
        if target is not None and link is None:
            yield Step(Action.MAKE, name, target)
        elif target is not None and link is not None and link.target is None:
            yield Step(Action.REFUSE, name, target, f"is not a symbolic link; it should lead to {target}")
        elif target is not None and link is not None:
            yield Step(Action.KEEP if link.target == target else Action.CHANGE, name, target)
        elif link is not None and link.target is not None and link.error == errno.ELOOP:
            yield Step(Action.REFUSE, name, link.target, "is a symbolic link that leads to itself")
        elif link is not None and _is_ours(link) and link.error in (errno.ENOENT, errno.ENOTDIR):
            yield Step(Action.REMOVE, name, link.target or "")


_TEMPORARY = re.compile(r"\..+_s\.\d+(?:\.\d+)?\.(\d+)\.[0-9a-f]{8}")  # as carry_out names them; 1: process


def sweep(directory: str) -> None:
    """Removes the temporary links of an ldconfig that was killed. Raises nothing: a link that cannot be removed is harmless."""
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if match and entry.is_symlink() and not _lives(int(match[1])):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def carry_out(directory: str, step: Step) -> None:
    """Does a step. Raises OSError; nothing is half done then."""
    path = os.path.join(directory, step.name)
    if step.action is Action.REMOVE:
        with contextlib.suppress(FileNotFoundError):  # another ldconfig was faster
            os.unlink(path)
    elif step.action in (Action.MAKE, Action.CHANGE):
        temporary = os.path.join(directory, f".{step.name[:200]}.{os.getpid()}.{secrets.token_hex(4)}")
        os.symlink(step.target, temporary)
        try:
            os.rename(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
