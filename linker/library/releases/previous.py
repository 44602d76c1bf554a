"""Reading the release before (`mkshlib --previous`): the history in a target library or a stub library of either form."""

from __future__ import annotations

import contextlib
import glob
import os
from pathlib import Path

from uselib.linker.errors import Diagnostic, FormatError, ToolError
from uselib.linker.formats import elf, elf_image
from uselib.linker.formats.ar import Archive
from uselib.linker.formats.library_names import LIBRARY_OBJECT
from uselib.linker.image import Identity, LibraryHeader, Machine, Version
from uselib.linker.library import stub
from uselib.linker.library.releases import history
from uselib.linker.library.releases.history import History
from uselib.linker.quick_dataclass import dataclass
from uselib.linker.reading import read_file


@dataclass(frozen=True)
class PreviousRelease:
    """An earlier release: its file, its history, and its identity (with the digest of the target library)."""

    where: str
    history: History
    identity: Identity


def read(path: str | Path) -> PreviousRelease:
    """The release of a target library or stub library. Raises FormatError (it is neither, or its history is missing or damaged), OSError."""
    where = str(path)
    if os.path.isdir(path) or stub.is_stub(path):
        return _from_stub(path, where)
    return _from_target(read_file(path), where)


def beside(folder: str | Path, name: str, version: Version) -> PreviousRelease | None:
    """The newest release before `version`, of the same major version, among the target libraries of a folder."""
    found: list[tuple[Version, Path]] = []
    with contextlib.suppress(OSError):
        for path in Path(folder).glob(f"{glob.escape(name)}.{version.major}.*"):
            with contextlib.suppress(ValueError):
                found.append((Version.parse(path.name[len(name) + 1 :]), path))
    for other, path in sorted(found, reverse=True):
        if other < version:
            with contextlib.suppress(ToolError, OSError):
                return read(path)
    return None


def _from_stub(path: str | Path, where: str) -> PreviousRelease:
    who = stub.read_identity(path)
    place = f"{where}({LIBRARY_OBJECT})"
    if os.path.isdir(path):
        data = read_file(Path(path, LIBRARY_OBJECT))
    else:
        book = read_file(path)
        member = next(m for m in Archive(book, where).members() if m.name == LIBRARY_OBJECT)
        data = book[member.start : member.start + member.size]
    found = history_of(elf.ElfFile(memoryview(data), place))
    if found is None:
        raise _without(place, "it has no section of that name", f"give the target library {who.file_name} itself")
    return _checked(PreviousRelease(where, found, who.identity), who.machine)


def _from_target(data: bytes, where: str) -> PreviousRelease:
    if data[:4] != elf.MAGIC:
        raise FormatError(
            Diagnostic(
                where,
                "is neither a target library nor a stub library",
                remedy="give --previous a file that mkshlib made: shlib/libN_s.X.Y.Z or lib/libN_s.X.Y.Z.a",
            )
        )
    image = elf_image.read_image(data, where)
    if image.library is None:
        raise FormatError(Diagnostic(where, "is not a target library: it has no NT_LIBRARY note"))
    found = history_of(elf.ElfFile(memoryview(data), where))
    if found is None:
        raise _without(
            where, "it was stripped of it", f"give its stub library, lib/{image.library.identity.file_name}.a"
        )
    return _checked(PreviousRelease(where, found, image.library.identity), image.machine, image.library)


def history_of(file: elf.ElfFile) -> History | None:
    """The history in a target library or in a stub library's library.o; None if there is none. Raises FormatError."""
    for index, section in enumerate(file.sections):
        if file.names[section.name] == history.SECTION:
            return history.decode(bytes(file.content(index)), file.where)
    return None


def _without(where: str, why: str, remedy: str) -> FormatError:
    message = f"does not say what programs of earlier releases rely on (section {history.SECTION}): {why}"
    return FormatError(Diagnostic(where, message, remedy=remedy))


def _checked(release: PreviousRelease, machine: Machine, header: LibraryHeader | None = None) -> PreviousRelease:
    """A history belongs to the file that carries it. Raises FormatError."""
    said, who = release.history, release.identity
    pairs = [
        ("name", said.name, who.name),
        ("machine", said.machine.label, machine.label),
        ("version", str(said.version), str(who.version)),
        ("base", hex(said.base), hex(who.base)),
        ("number of slots", str(len(said.slots)), str(who.slot_count)),
    ]
    if header is not None:
        pairs.append(("table", hex(said.table), hex(header.jump_table)))
    for what, ours, theirs in pairs:
        if ours != theirs:
            raise FormatError(
                Diagnostic(
                    release.where,
                    f"its history belongs to another file: {what} {ours}, and its note says {theirs}",
                    remedy="take both from one run of mkshlib",
                )
            )
    low, high = said.base, said.base + who.size
    if any(at and not low < at <= high for at in (said.table, said.data, said.data + said.data_size)):
        raise FormatError(Diagnostic(release.where, f"its history has addresses outside {low:#x}-{high - 1:#x}"))
    return release
