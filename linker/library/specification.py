"""The specification file of mkshlib, in the manner of System V Release 3.2 (docs/historical-systems.md).

    ## a comment
    #name libfoo_s                      the library's name: the file name without its version        (ours)
    #version 1.2.3                      (ours)
    #target /shlib/libfoo_s             a path; its last component, less a version, is the default of #name
    #address .text 0x60400000           the base: where the header page goes
    #address .data 0x60500000           where data goes; by default behind the text and a gap
    #branch                             slots: a function and its number, or numbers as a range
        open    1
        read    2-3                     slot 3 is the address of read, slot 2 leads to it as well
        .empty_slot 4 close             reserved, for a function to come if it is named: traps       (ours, after NeXT)
    #objects                            the library's objects or archives, one or more a line
        open.o read.o
    #objects noload                     stub libraries of other libraries that this one refers to
        -lc_s
    #init alloc.o                       pointers that the program's start-up sets, and their functions
        _foo_malloc malloc              if alloc.o's stub is linked: _foo_malloc = malloc
    #interposable malloc free           called through pointers that mkshlib makes                    (ours)
    #hide linker                        not exported, against the default: names or patterns (* ?); `*` is all but #branch
        _internal
    #export linker                      exceptions from #hide
        open
    #ident "text"                       goes to .comment
    #retire close                       functions or data of the release before (--previous) that are gone          (ours)
    #rename                             old = new: the new name has the old one's slot or address       (ours)
        shut = close_db
    #move-data table                    data that have grown and may move; older programs keep the old place        (ours)

#retire, #rename and #move-data may stay in the file in later releases: changes that were made already are skipped.

Names and patterns may stand on the directive's line or on lines of their own; lines of a section are those up to the next
directive. A directive of SVR3 that is not here is refused by name. Every error names FILE:LINE, and all are reported.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from uselib.linker.errors import Diagnostic, Diagnostics, FormatError, unprintable
from uselib.linker.image import PAGE, Version
from uselib.linker.quick_dataclass import NamedTuple, dataclass, field
from uselib.linker.reading import read_file

EMPTY_SLOT = ".empty_slot"
_LARGEST_SLOT = 0xFFFF


@dataclass(frozen=True)
class InitLine:
    """`#init member` with `pointer symbol`: start-up sets the pointer to the program's symbol."""

    member: str
    pointer: str
    symbol: str
    where: str  # FILE:LINE


class RenameLine(NamedTuple):
    """`#rename` with `old = new`."""

    old: str
    new: str
    where: str  # FILE:LINE


@dataclass(frozen=True)
class Specification:
    """The contents of a specification file. Entries that it leaves out are empty."""

    where: str = ""
    name: str = ""
    version: Version | None = None
    target: str = ""
    text_address: int | None = None
    data_address: int | None = None
    branch: dict[str, tuple[int, ...]] = field(default_factory=dict)  # ascending; the last is the function's address
    branch_where: dict[str, str] = field(default_factory=dict)
    empty: dict[int, str] = field(default_factory=dict)  # .empty_slot: the name it is reserved for, or an empty one
    slot_count: int = 0
    objects: tuple[str, ...] = ()
    noload: tuple[str, ...] = ()
    init: tuple[InitLine, ...] = ()
    interposable: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    export: tuple[str, ...] = ()
    ident: tuple[str, ...] = ()
    retire: tuple[str, ...] = ()
    rename: tuple[RenameLine, ...] = ()
    move_data: tuple[str, ...] = ()


def hidden(name: str, hide: Iterable[str], export: Iterable[str]) -> bool:
    """Whether a `#hide` pattern matches `name` and no `#export` pattern does."""
    return any(fnmatch.fnmatchcase(name, p) for p in hide) and not any(fnmatch.fnmatchcase(name, p) for p in export)


def parse_address(text: str) -> int:
    """A page-aligned address, hexadecimal with or without 0x. Raises ValueError with a message for the user."""
    if not re.fullmatch(r"(0[xX])?[0-9a-fA-F]{1,16}", text):
        raise ValueError(f"`{text}` is not an address: write it in hexadecimal, as 0x60400000")
    address = int(text, 16)
    if address % PAGE:
        raise ValueError(f"address {address:#x} is not on a page boundary ({PAGE:#x})")
    if address == 0:
        raise ValueError("address 0 cannot be mapped")
    return address


@dataclass
class _SpecificationParser:
    """The state of one parse: what has been read so far, and the section that plain lines belong to."""

    file: str
    line: int = 0
    errors: Diagnostics = field(default_factory=Diagnostics)
    values: dict[str, object] = field(default_factory=dict)
    first_line: dict[str, int] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    slots: dict[int, tuple[str, int]] = field(default_factory=dict)  # number -> (name, line)
    branch_where: dict[str, str] = field(default_factory=dict)
    empty: dict[int, str] = field(default_factory=dict)
    rename: list[RenameLine] = field(default_factory=list)
    init: list[InitLine] = field(default_factory=list)
    init_member: str = ""
    section: Callable[[_SpecificationParser, list[str]], None] | None = None

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"

    def complain(self, message: str, symbol: str = "", remedy: str = "") -> None:
        self.errors.add(self.where, message, symbol=symbol, remedy=remedy)

    def once(self, key: str, shown: str, value: object) -> None:
        """Sets a value, which may be given only once."""
        if key in self.values:
            self.complain(f"{shown} was given on line {self.first_line[key]} already")
            return
        self.values[key], self.first_line[key] = value, self.line

    def extend(self, key: str, words: list[str]) -> None:
        self.lists.setdefault(key, []).extend(words)


def _one(parser: _SpecificationParser, directive: str, words: list[str]) -> str | None:
    if len(words) != 1:
        parser.complain(f"{directive} takes one word, {len(words)} are given")
        return None
    return words[0]


def _name(parser: _SpecificationParser, words: list[str]) -> None:
    if (word := _one(parser, "#name", words)) is not None:
        if "/" in word or not word.isprintable():
            parser.complain(f"`{word}` cannot be the name of a library")
        parser.once("name", "#name", word)


def _version(parser: _SpecificationParser, words: list[str]) -> None:
    if (word := _one(parser, "#version", words)) is not None:
        try:
            parser.once("version", "#version", Version.parse(word))
        except ValueError as problem:
            parser.complain(str(problem))


def _target(parser: _SpecificationParser, words: list[str]) -> None:
    if (word := _one(parser, "#target", words)) is not None:
        parser.once("target", "#target", word)


def _address(parser: _SpecificationParser, words: list[str]) -> None:
    if len(words) != 2 or words[0] not in (".text", ".data"):
        parser.complain("write `#address .text ADDRESS` or `#address .data ADDRESS`")
        return
    try:
        parser.once("address " + words[0], f"#address {words[0]}", parse_address(words[1]))
    except ValueError as problem:
        parser.complain(str(problem))


def _branch(parser: _SpecificationParser, words: list[str]) -> None:
    if words:
        parser.complain("#branch takes no words; write `function slot` on the lines below it")
    parser.section = _branch_line


def _branch_line(parser: _SpecificationParser, words: list[str]) -> None:
    empty = words[0] == EMPTY_SLOT
    right_count = len(words) == 2 or (empty and len(words) == 3)
    match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", words[1]) if right_count else None
    if match is None:
        parser.complain("write `function slot` or `function first-last`")
        return
    name, first = words[0], int(match[1])
    last = int(match[2]) if match[2] else first
    if not 1 <= first <= last <= _LARGEST_SLOT:
        parser.complain(f"slots {words[1]} are not within 1 to {_LARGEST_SLOT}", symbol=name)
        return
    for number in range(first, last + 1):
        if number in parser.slots:
            other, line = parser.slots[number]
            parser.complain(f"slot {number} belongs to {other} already (line {line})", symbol=name)
            return
        parser.slots[number] = (name, parser.line)
        if empty:
            parser.empty[number] = words[2] if len(words) == 3 else ""
    if not empty:
        parser.branch_where.setdefault(name, parser.where)


def _objects(parser: _SpecificationParser, words: list[str]) -> None:
    noload = words[:1] == ["noload"]
    key = "noload" if noload else "objects"

    def line(p: _SpecificationParser, more: list[str]) -> None:
        p.extend(key, more)

    parser.section = line
    parser.extend(key, words[1:] if noload else words)


def _init(parser: _SpecificationParser, words: list[str]) -> None:
    parser.section = _init_line
    parser.init_member = _one(parser, "#init", words) or ""


def _init_line(parser: _SpecificationParser, words: list[str]) -> None:
    if len(words) != 2:
        parser.complain("write `pointer function`")
        return
    parser.init.append(InitLine(parser.init_member, words[0], words[1], parser.where))


def _names(key: str, linker_word: bool) -> Callable[[_SpecificationParser, list[str]], None]:
    """A directive that lists names, on its line and on those below."""

    def begin(parser: _SpecificationParser, words: list[str]) -> None:
        if linker_word:
            if words[:1] != ["linker"]:
                parser.complain(f"write `#{key} linker`")
                return
            words = words[1:]
        parser.extend(key, words)
        parser.section = lambda p, more: p.extend(key, more)

    return begin


def _rename(parser: _SpecificationParser, words: list[str]) -> None:
    parser.section = _rename_line
    if words:
        _rename_line(parser, words)


def _rename_line(parser: _SpecificationParser, words: list[str]) -> None:
    if len(words) != 3 or words[1] != "=":
        parser.complain("write `old = new`")
        return
    parser.rename.append(RenameLine(words[0], words[2], parser.where))


def _ident(parser: _SpecificationParser, words: list[str]) -> None:
    if (word := _one(parser, "#ident", words)) is not None:
        parser.extend("ident", [word])


_DIRECTIVES: dict[str, Callable[[_SpecificationParser, list[str]], None]] = {
    "#name": _name,
    "#version": _version,
    "#target": _target,
    "#address": _address,
    "#branch": _branch,
    "#objects": _objects,
    "#init": _init,
    "#interposable": _names("interposable", False),
    "#hide": _names("hide", True),
    "#export": _names("export", True),
    "#ident": _ident,
    "#retire": _names("retire", False),
    "#rename": _rename,
    "#move-data": _names("move-data", False),
}


def parse(text: str, file: str) -> Specification:
    """Reads a specification. Raises LinkError with every mistake found, each with FILE:LINE."""
    import shlex  # only where there is a specification

    parser = _SpecificationParser(file)
    for parser.line, raw in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if hidden_character := unprintable(raw):
            parser.complain(f"has the invisible character {hidden_character}", remedy="remove it")
            continue
        try:
            words = shlex.split(raw.partition("##")[0], comments=False)
        except ValueError:
            parser.complain("a quotation without an end")
            continue
        if not words:
            continue
        if words[0].startswith("#"):
            directive = _DIRECTIVES.get(words[0])
            parser.section = None
            if directive is None:
                parser.complain(
                    f"`{words[0]}` is not a directive",
                    remedy=f"there are {', '.join(_DIRECTIVES)}, and ## for comments",
                )
            else:
                directive(parser, words[1:])
        elif parser.section is not None:
            parser.section(parser, words)
        else:
            parser.complain(f"`{words[0]}` is under no directive that takes lines")
    _check_slots(parser)
    parser.errors.raise_if_any()

    branch: dict[str, list[int]] = {}
    for number in sorted(parser.slots):
        branch.setdefault(parser.slots[number][0], []).append(number)
    branch.pop(EMPTY_SLOT, None)
    values = parser.values
    version, target = values.get("version"), str(values.get("target", ""))
    text_address, data_address = values.get("address .text"), values.get("address .data")
    name = str(values.get("name", ""))
    if target and not (name and version):
        stem, from_target = split_file_name(os.path.basename(target))
        name, version = name or stem, version or from_target
    lists = {key: tuple(words) for key, words in parser.lists.items()}
    return Specification(
        where=file,
        name=name,
        version=version if isinstance(version, Version) else None,
        target=target,
        text_address=text_address if isinstance(text_address, int) else None,
        data_address=data_address if isinstance(data_address, int) else None,
        branch={key: tuple(numbers) for key, numbers in branch.items()},
        branch_where=parser.branch_where,
        empty=parser.empty,
        slot_count=max(parser.slots, default=0),
        objects=lists.get("objects", ()),
        noload=lists.get("noload", ()),
        init=tuple(parser.init),
        interposable=lists.get("interposable", ()),
        hide=lists.get("hide", ()),
        export=lists.get("export", ()),
        ident=lists.get("ident", ()),
        retire=lists.get("retire", ()),
        rename=tuple(parser.rename),
        move_data=lists.get("move-data", ()),
    )


def _check_slots(parser: _SpecificationParser) -> None:
    """Slots 1 to the highest must all be there (SVR3: the table has no holes; reserve one with .empty_slot)."""
    if not parser.slots:
        return
    missing = sorted(set(range(1, max(parser.slots))) - parser.slots.keys())
    if missing:
        shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        parser.errors.add(
            parser.file,
            f"#branch leaves out slot {shown}" if len(missing) == 1 else f"#branch leaves out slots {shown}",
            remedy=f"give them to a function or write `{EMPTY_SLOT} NUMBER`",
        )


def split_file_name(file_name: str) -> tuple[str, Version | None]:
    """`libc_s.4.0.0` -> ("libc_s", 4.0.0); a name without a version gives None."""
    match = re.fullmatch(r"(.+?)\.(\d{1,5}\.\d{1,5}\.\d{1,5})", file_name)
    if match is None:
        return file_name, None
    try:
        return match[1], Version.parse(match[2])
    except ValueError:
        return file_name, None


def read(path: str | Path) -> Specification:
    """Reads a specification file. Raises LinkError, FormatError (not text), OSError."""
    try:
        text = read_file(path).decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError(Diagnostic(str(path), "is not a specification file: it is not text")) from None
    return parse(text, str(path))
