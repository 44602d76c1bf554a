"""`uselib map`: the address registry (linker/library/registry.py)."""

from __future__ import annotations

import argparse
import json
import os

from uselib.linker.errors import Diagnostic, Diagnostics, FormatError, UsageError, printable
from uselib.linker.formats.elf_image import read_image
from uselib.linker.image import Identity
from uselib.linker.library import registry
from uselib.linker.library.registry import Registry, RegistryEntry
from uselib.linker.reading import read_file
from uselib.loader.libraries.installed import Installed, read_directory

_SUFFIXES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def _size(text: str) -> int:
    """A size in bytes: decimal, 0x..., or with a suffix K, M, G."""
    factor = _SUFFIXES.get(text[-1:].upper(), 1)
    number = int(text[:-1] if factor > 1 else text, 0) * factor
    if number <= 0:
        raise ValueError
    return number


def _address(text: str) -> int:
    return int(text, 16)


_size.__name__, _address.__name__ = "size", "address"  # argparse names the type in its message


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="uselib map", description="The address registry: which library owns which addresses."
    )
    parser.add_argument(
        "--file",
        metavar="FILE",
        default=os.environ.get("SHLIB_MAP", "shlib.map"),
        help="default: $SHLIB_MAP or ./shlib.map",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    rows = commands.add_parser("list", help="all libraries by address, with room to grow")
    add = commands.add_parser("add", help="reserve addresses for a library")
    add.add_argument("name", metavar="NAME", help="the library's name, as libc_s")
    add.add_argument("size", metavar="SIZE", type=_size, help="bytes: 0x400000, 4194304, 4M")
    add.add_argument(
        "--base", type=_address, metavar="ADDR", help="the address; by default the first free 4 MiB boundary"
    )
    add.add_argument("--major", type=int, default=1, metavar="N", help="major version (default 1)")
    add.add_argument("--comment", default="", help="text behind the entry")
    check = commands.add_parser("check", help="look for overlaps, and whether libraries lie where the registry says")
    check.add_argument("libraries", nargs="*", metavar="LIB", help="target library files")
    scan = commands.add_parser("scan", help="compare the registry with the libraries installed in directories")
    scan.add_argument("directories", nargs="+", metavar="DIR")
    remove = commands.add_parser("remove", help="free a library's addresses")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--major", type=int, metavar="N", help="major version, if there are several")
    for command in (rows, add, check, scan, remove):
        command.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _facts(book: Registry, entry: RegistryEntry) -> dict[str, object]:
    return {
        "name": entry.name,
        "major": entry.major,
        "base": entry.base,
        "size": entry.size,
        "room": book.room(entry),
        "comment": entry.comment,
    }


def _kib(size: int) -> str:
    return f"{size >> 20} MiB" if size and not size % (1 << 20) else f"{size >> 10} KiB"


def _show(book: Registry, entries: tuple[RegistryEntry, ...], as_json: bool) -> None:
    ordered = sorted(entries, key=lambda entry: entry.base)
    if as_json:
        print(json.dumps({"file": book.file, "libraries": [_facts(book, entry) for entry in ordered]}, indent=2))
        return
    width = max((len(entry.label) for entry in ordered), default=0)
    for entry in ordered:
        line = f"{entry.label:<{width}}  {entry.base:#010x}-{entry.end - 1:#010x}  {_kib(entry.size):>9}"
        line += f"  room {_kib(book.room(entry))}"
        print(line + (f"  # {entry.comment}" if entry.comment else ""))


def _identity(path: str) -> Identity:
    """The identity of a target library. Raises FormatError if the file is not a target library."""
    header = read_image(read_file(path), path).library
    if header is None:
        raise FormatError(Diagnostic(path, "is not a target library: it has no NT_LIBRARY note"))
    return header.identity


def _check(book: Registry, libraries: list[str], as_json: bool) -> None:
    book.check()
    problems, rows = Diagnostics(), []
    for path in libraries:
        who = _identity(path)
        entry = book.find(who.name, who.version.major)
        shown = f"{who.name} {who.version.major}"
        if entry is None:
            problems.add(path, f"{shown} is not in {book.file}", remedy=f"uselib map add {who.name} {who.size:#x}")
        elif entry.base != who.base:
            problems.add(path, f"{shown} lies at {who.base:#x}; {book.file}:{entry.line} says {entry.base:#x}")
        elif who.size > entry.size:
            problems.add(path, f"{shown} takes {who.size:#x} bytes; {book.file}:{entry.line} reserves {entry.size:#x}")
        else:
            rows.append(
                {"file": path, "name": who.name, "base": who.base, "size": who.size, "spare": entry.size - who.size}
            )
    problems.raise_if_any()
    if as_json:
        print(
            json.dumps(
                {"file": book.file, "libraries": [_facts(book, e) for e in book.entries], "checked": rows}, indent=2
            )
        )
        return
    for row in rows:
        print(f"{row['file']}: {row['name']} at {row['base']:#x}, {row['spare']:#x} of its bytes are spare")
    count = len(book.entries)
    print(f"{book.file}: {count} {'library' if count == 1 else 'libraries'}, no overlap")


def _compare(book: Registry, library: Installed) -> str:
    """What the registry says against an installed library: empty if they agree."""
    assert library.header is not None
    who, entry = library.header.identity, book.find(library.name, library.version.major)
    if entry is None:
        owners = ", ".join(other.label for other in book.owners(who.base, who.size))
        return "is not registered" + (f", and its addresses belong to {owners}" if owners else "")
    if entry.base != who.base:
        return f"lies at {who.base:#x}; line {entry.line} says {entry.base:#x}"
    if who.size > entry.size:
        return f"takes {who.size:#x} bytes; line {entry.line} reserves {entry.size:#x}"
    return ""


def _scan(book: Registry, directories: list[str], as_json: bool) -> int:
    """Every installed library against the registry, and entries of which nothing is installed. Returns the exit status."""
    found = [library for name in directories for library in read_directory(name).libraries]
    rows: list[dict[str, object]] = []
    for library in found:
        problem = library.problem if library.header is None else _compare(book, library)
        base = library.header.identity.base if library.header is not None else None
        known = {"file": library.path, "name": library.name, "version": str(library.version)}
        rows.append({**known, "base": base, "problem": problem or None})
    present = {(library.name, library.version.major) for library in found}
    absent = [entry for entry in book.entries if (entry.name, entry.major) not in present]
    good = not any(row["problem"] for row in rows)
    if as_json:
        print(json.dumps({"file": book.file, "installed": rows, "absent": [_facts(book, e) for e in absent]}, indent=2))
        return 0 if good else 1
    for row in rows:
        place = "" if row["base"] is None else f" at {row['base']:#x}"
        print(printable(f"{row['file']}: {row['problem'] or f'as registered{place}'}"))
    for entry in absent:
        print(f"{entry.label}: registered at {entry.base:#x}, not installed")
    return 0 if good else 1


def run(argv: list[str]) -> int:
    """Runs `uselib map`. Returns the exit status. Raises ToolError."""
    options = _parser().parse_args(argv)
    if options.command in ("list", "check", "scan"):
        if not os.path.exists(options.file):
            raise UsageError(Diagnostic(options.file, "no such registry", remedy="name one with --file or SHLIB_MAP"))
        book = registry.read(options.file)
        if options.command == "scan":
            return _scan(book, options.directories, options.json)
        if options.command == "check":
            _check(book, options.libraries, options.json)
        else:
            _show(book, book.entries, options.json)
        return 0
    with registry.locked(options.file) as book:
        book.check()
        if options.command == "add":
            book, entry = book.add(options.name, options.major, options.size, options.base, options.comment)
        else:
            book, entry = book.remove(options.name, options.major)
        registry.write(book)
    if options.json or options.command == "add":
        _show(book, (entry,), options.json)
    return 0
