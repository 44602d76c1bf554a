"""The address registry: which library owns which addresses (the textbook's and BSD/OS's `shlib.map`, Linux's `table.*`).

A text file, one library a line, `#` begins a comment:

    libc_s 4 0x60000000 0x00400000   # name, major version, base, bytes reserved from the base

A name with another major version is another library: programs may use both, so each has its own range. `region LOW
HIGH` (once, optional) sets the range that automatic allocation uses; the default is 0x60000000-0x7fffffff. Reading and
writing keep comments and order. A change is made under a lock on `FILE.lock` and put in place by rename, so that other builds see all of it
or nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
from collections.abc import Iterator
from pathlib import Path

from uselib.linker.errors import Diagnostic, Diagnostics, FormatError, LinkError
from uselib.linker.image import PAGE
from uselib.linker.quick_dataclass import dataclass, replace
from uselib.linker.reading import read_file
from uselib.linker.writing import replacing

LOW, HIGH = 0x60000000, 0x80000000  # default region; the end is exclusive
BOUNDARY = 4 << 20
_SMALLER_BOUNDARIES = (1 << 20, 1 << 16, PAGE)
_NAME = re.compile(r"[A-Za-z0-9_+.@-]+")


@dataclass(frozen=True)
class RegistryEntry:
    """A library's range: `size` bytes from `base`, reserved."""

    name: str
    major: int
    base: int
    size: int
    line: int = 0  # in the file; 0 for an entry not read from one
    comment: str = ""

    @property
    def end(self) -> int:
        return self.base + self.size

    @property
    def label(self) -> str:
        return f"{self.name} {self.major}"

    def __str__(self) -> str:
        text = f"{self.name} {self.major} {self.base:#010x} {self.size:#010x}"
        return f"{text}   # {self.comment}" if self.comment else text


@dataclass(frozen=True)
class Registry:
    """The entries of a file, and its lines for writing it back."""

    file: str
    entries: tuple[RegistryEntry, ...] = ()
    low: int = LOW
    high: int = HIGH  # exclusive
    lines: tuple[str, ...] = ()

    def find(self, name: str, major: int | None = None) -> RegistryEntry | None:
        """The entry of a library; without `major` that of its highest major version."""
        found = [entry for entry in self.entries if entry.name == name and major in (None, entry.major)]
        return max(found, key=lambda entry: entry.major, default=None)

    def owners(self, base: int, size: int, besides: RegistryEntry | None = None) -> tuple[RegistryEntry, ...]:
        """Entries that overlap a range."""
        return tuple(e for e in self.entries if e != besides and e.base < base + size and base < e.end)

    def room(self, entry: RegistryEntry) -> int:
        """Bytes between the end of an entry and the next one, or the end of the region (0 for one that ends beyond)."""
        following = [other.base for other in self.entries if other.base >= entry.end]
        return max(0, min([*following, max(self.high, entry.end)]) - entry.end)

    def add(
        self, name: str, major: int, size: int, base: int | None = None, comment: str = ""
    ) -> tuple[Registry, RegistryEntry]:
        """A registry with one more library: (registry, entry). `size` is rounded up to whole pages.

        Without `base` the first free place: on a 4 MiB boundary, or on smaller ones (1 MiB, 64 KiB, a page) if the
        region has no such place left. Raises LinkError: the library is there already, overlap, no room.
        """
        if not _NAME.fullmatch(name):
            raise LinkError(Diagnostic(self.file, f"`{name}` cannot be the name of a library"))
        known = self.find(name, major)
        if known is not None:
            raise LinkError(
                Diagnostic(
                    _place(self.file, known),
                    f"{known.label} has addresses {known.base:#x}-{known.end - 1:#x} already",
                    remedy="remove it first if no program uses it any more",
                )
            )
        size = max(PAGE, (size + PAGE - 1) & -PAGE)
        if base is None:
            base = self._free_place(name, size)
        elif base % PAGE or base <= 0:
            raise LinkError(Diagnostic(self.file, f"address {base:#x} of {name} is not on a page boundary"))
        elif overlap := self.owners(base, size):
            raise LinkError(*(_overlap(self.file, RegistryEntry(name, major, base, size), other) for other in overlap))
        entry = RegistryEntry(name, major, base, size, len(self.lines) + 1, comment)
        return replace(self, entries=(*self.entries, entry), lines=(*self.lines, str(entry))), entry

    def _free_place(self, name: str, size: int) -> int:
        for boundary in (BOUNDARY, *_SMALLER_BOUNDARIES):
            base = -(-self.low // boundary) * boundary
            for entry in sorted(self.entries, key=lambda e: e.base):
                if entry.end <= base:
                    continue
                if base + size <= entry.base:
                    break
                base = -(-entry.end // boundary) * boundary
            if base + size <= self.high:
                return base
        raise LinkError(
            Diagnostic(
                self.file,
                f"no {size:#x} bytes in a row are free in {self.low:#x}-{self.high - 1:#x} for {name}",
                remedy="remove libraries that are no longer used, or give an address",
            )
        )

    def remove(self, name: str, major: int | None = None) -> tuple[Registry, RegistryEntry]:
        """A registry without a library. Raises LinkError if it is not there, or has several majors and none is given."""
        found = [entry for entry in self.entries if entry.name == name and major in (None, entry.major)]
        if not found:
            shown = name if major is None else f"{name} {major}"
            raise LinkError(Diagnostic(self.file, f"{shown} is not registered"))
        if len(found) > 1:
            majors = ", ".join(str(entry.major) for entry in found)
            raise LinkError(Diagnostic(self.file, f"{name} has majors {majors}", remedy="say which with --major"))
        gone = found[0]
        lines = self.lines[: gone.line - 1] + self.lines[gone.line :]
        kept = tuple(
            replace(entry, line=entry.line - (entry.line > gone.line)) for entry in self.entries if entry != gone
        )
        return replace(self, entries=kept, lines=lines), gone

    def check(self) -> None:
        """Raises LinkError with every pair of entries that overlap or are the same library."""
        problems = Diagnostics()
        seen: dict[tuple[str, int], RegistryEntry] = {}
        for entry in self.entries:
            if first := seen.get((entry.name, entry.major)):
                problems.add(_place(self.file, entry), f"{entry.label} is on line {first.line} already")
            seen.setdefault((entry.name, entry.major), entry)
        ordered = sorted(self.entries, key=lambda e: (e.base, e.line))
        for index, entry in enumerate(ordered):
            for other in ordered[index + 1 :]:
                if other.base >= entry.end:
                    break
                if entry.label != other.label:
                    problems.items.append(_overlap(self.file, other, entry))
        problems.raise_if_any()


class AddressAllocator:
    """Gives a library its base once its size is known. The layout calls it once. `changed` is the registry to be written if the library is
    new to it.
    """

    def __init__(self, book: Registry, name: str, major: int, wanted: int | None) -> None:
        self._book, self._name, self._major, self._wanted = book, name, major, wanted
        self.changed: Registry | None = None

    def __call__(self, size: int) -> int:
        """The base for a library of `size` bytes. Raises LinkError: too big for its entry, elsewhere, or no room."""
        book, known = self._book, self._book.find(self._name, self._major)
        if known is None:
            reserved = -(-(size + size // 4) // BOUNDARY) * BOUNDARY  # room to grow, up to the next boundary
            if self._wanted is not None and book.owners(self._wanted, reserved):
                reserved = size
            self.changed, entry = book.add(self._name, self._major, reserved, self._wanted)
            return entry.base
        if self._wanted is not None and self._wanted != known.base:
            raise LinkError(
                Diagnostic(
                    _place(book.file, known),
                    f"{known.label} is registered at {known.base:#x}, not at {self._wanted:#x}",
                    remedy="leave out --text, or change the registry",
                )
            )
        if size > known.size:
            raise LinkError(
                Diagnostic(
                    _place(book.file, known),
                    f"{known.label} has {known.size:#x} bytes reserved and needs {size:#x}",
                    remedy=f"enlarge the entry (room for {book.room(known):#x} more), or take a new major version",
                )
            )
        return known.base


def _place(file: str, entry: RegistryEntry) -> str:
    return f"{file}:{entry.line}" if entry.line else file


def _overlap(file: str, entry: RegistryEntry, other: RegistryEntry) -> Diagnostic:
    owner = f"{other.label} at {other.base:#x}-{other.end - 1:#x}" + (f" (line {other.line})" if other.line else "")
    return Diagnostic(
        _place(file, entry),
        f"{entry.label} at {entry.base:#x}-{entry.end - 1:#x} overlaps {owner}",
        remedy="move one of them",
    )


def parse(text: str, file: str) -> Registry:
    """Reads a registry. Raises LinkError with every bad line; overlaps are not looked for (Registry.check)."""
    problems, entries, low, high = Diagnostics(), [], LOW, HIGH
    lines = tuple(text.splitlines())
    for number, raw in enumerate(lines, 1):
        code, _, comment = raw.partition("#")
        words = code.split()
        if not words:
            continue
        where = f"{file}:{number}"
        try:
            if words[0] == "region" and len(words) == 3:
                low, high = _number(words[1], "LOW"), _number(words[2], "HIGH") + 1
                if low >= high:
                    raise ValueError("the region is empty")
                continue
            if len(words) != 4:
                raise ValueError(f"{len(words)} words; write NAME MAJOR BASE SIZE")
            if not _NAME.fullmatch(words[0]):
                raise ValueError(f"`{words[0]}` cannot be the name of a library")
            if not re.fullmatch(r"\d{1,5}", words[1]):
                raise ValueError(f"`{words[1]}` is not a major version")
            base, size = _number(words[2], "BASE"), _number(words[3], "SIZE")
            if base % PAGE or size % PAGE or not size:
                raise ValueError("BASE and SIZE are whole pages (0x1000), and SIZE is not 0")
            entries.append(RegistryEntry(words[0], int(words[1]), base, size, number, comment.strip()))
        except ValueError as problem:
            problems.add(where, str(problem))
    problems.raise_if_any()
    return Registry(file, tuple(entries), low, high, lines)


def _number(text: str, what: str) -> int:
    if not re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}|\d{1,20}", text):
        raise ValueError(f"`{text}` is not a number for {what}; write it as 0x60000000")
    return int(text, 16 if text[:2].lower() == "0x" else 10)


def read(path: str | Path) -> Registry:
    """Reads a registry file; one that does not exist is empty. Raises FormatError, LinkError, OSError."""
    try:
        text = read_file(path).decode("utf-8")
    except FileNotFoundError:
        return Registry(str(path))
    except UnicodeDecodeError:
        raise FormatError(Diagnostic(str(path), "is not an address registry: it is not text")) from None
    return parse(text, str(path))


def write(registry: Registry) -> None:
    """Writes the registry to its file: a temporary file beside it, then rename. Raises OSError."""
    with replacing(registry.file, None) as out:
        out.write("".join(line + "\n" for line in registry.lines).encode())


@contextlib.contextmanager
def locked(path: str | Path) -> Iterator[Registry]:
    """Reads a registry under its lock, which is held to the end of the block (for a change: read, add, write)."""
    lock = Path(f"{path}.lock")
    with open(lock, "a", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield read(path)
