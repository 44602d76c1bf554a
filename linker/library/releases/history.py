"""The history of a library: slots and places that programs linked with any earlier release rely on.

mkshlib writes it into every target library (section `.uselib.history`: not loaded, and left alone by strip) and into
every stub library (the same section in its member library.o), so that `--previous` may be given either. It is text with one fact a line, and
complete: a reader needs neither symbol tables nor notes.

    uselib-history 1
    library libgreet_s x86_64 uselib            name, machine, scheme of the file
    release 1.0.0                               the releases of this major version in the chain of --previous,
    release 1.1.0                               the oldest first; the last is the one that this file is
    base 0x0000000061000000                     addresses have all digits of the machine's word
    table 0x0000000061000800                    slot 1; absent if there are no slots
    data 0x0000000061008000 80                  start of section .exported and its bytes; absent if it is empty
    slot 1 function 1.0.0 add                   number, state, release since which it is so, name
    slot 2 retired 1.1.0 close_db               traps, and is never used for another name
    slot 3 empty 1.0.0 sync_db                  reserved (`%`: for no name in particular); a function may still come
    place 0x0000000061008000 4 4 data 1.0.0 calls    address, size in this release, bytes reserved, state, since, name
    place 0x0000000061008004 4 8 pointer 1.0.0 f$pointer    an address that programs' uselib_interpose triples hold
    place 0x000000006100800c 0 64 moved 1.1.0 table    where `table` was before it grew: programs linked before have it there
    place 0x000000006100804c 0 4 retired 1.1.0 level    where `level` was
    renamed 1.1.0 shut close_db                 release, old name, new name
    alias 1.1.0 shut close_db                   the stub offers the old name as well

A function with several slots has a line for each. In names, bytes other than 0x21-0x7e, and `%`, are written %XX; an empty
name is `%`. Slots come in order of number, places in order of address and then name.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from urllib.parse import quote_from_bytes, unquote_to_bytes

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.image import Machine, Version
from uselib.linker.quick_dataclass import dataclass, field

FORMAT = 1
SECTION = ".uselib.history"
_SAFE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) != "%")
_LARGEST = 1 << 32  # greatest size: a file is smaller than 2 GiB


class SlotState(enum.Enum):
    FUNCTION = "function"
    RETIRED = "retired"
    EMPTY = "empty"


class PlaceState(enum.Enum):
    DATA = "data"
    POINTER = "pointer"  # of an interposable function, or of an #init line
    MOVED = "moved"
    RETIRED = "retired"


@dataclass(frozen=True)
class SlotRecord:
    """Slot `number` (from 1): its state, and the release since which it has it."""

    number: int
    state: SlotState
    since: Version
    name: str


@dataclass(frozen=True)
class PlaceRecord:
    """`reserved` bytes at `address` that nothing else may use. `name` uses `size` of them in this release."""

    address: int
    size: int
    reserved: int
    state: PlaceState
    since: Version
    name: str

    @property
    def end(self) -> int:
        return self.address + self.reserved


@dataclass(frozen=True)
class Renaming:
    """`old` is called `new` since `release`. As an alias, the stub library offers `old` too."""

    release: Version
    old: str
    new: str


@dataclass(frozen=True)
class History:
    """The history of a library. Addresses are absolute; `table` and `data` are 0 where there is none.

    A place outside `.exported` (data, data + data_size) is one that mkshlib cannot place: data in code, in sections that are found by their
    names, absolute symbols. A release that moves it is refused.
    """

    name: str  # libN_s
    machine: Machine
    scheme: str
    releases: tuple[Version, ...]
    base: int
    table: int = 0
    data: int = 0
    data_size: int = 0
    slots: tuple[SlotRecord, ...] = ()
    places: tuple[PlaceRecord, ...] = ()
    renamed: tuple[Renaming, ...] = ()
    aliases: tuple[Renaming, ...] = field(default=())

    @property
    def version(self) -> Version:
        """The release that carries this history."""
        return self.releases[-1]

    @property
    def file_name(self) -> str:
        return f"{self.name}.{self.version}"

    def functions(self) -> dict[str, int]:
        """The functions that are offered, with the slot that is their address: the highest, if they have several."""
        return {slot.name: slot.number for slot in self.slots if slot.state is SlotState.FUNCTION}

    def data_places(self) -> dict[str, PlaceRecord]:
        """The data and pointers that are still offered, by name."""
        return {place.name: place for place in self.places if place.state in (PlaceState.DATA, PlaceState.POINTER)}


def _write_name(name: str) -> str:
    if name.isascii() and name.isidentifier():  # nearly all of thousands
        return name
    return quote_from_bytes(name.encode("utf-8", "surrogateescape"), safe=_SAFE) or "%"


def encode(history: History) -> bytes:
    """The text of a history."""
    lines = [f"uselib-history {FORMAT}"]
    lines.append(f"library {_write_name(history.name)} {history.machine.label} {history.scheme}")
    lines += [f"release {version}" for version in history.releases]
    width = 2 + 2 * history.machine.word  # so that the length of a history does not depend on where the library lies

    def shown(address: int) -> str:
        return f"{address:#0{width}x}"

    lines.append(f"base {shown(history.base)}")
    lines += [f"table {shown(history.table)}"] if history.slots else []
    lines += [f"data {shown(history.data)} {history.data_size}"] if history.data_size else []
    releases = {slot.since: str(slot.since) for slot in history.slots}  # few, and thousands of slots
    lines += [f"slot {s.number} {s.state.value} {releases[s.since]} {_write_name(s.name)}" for s in history.slots]
    lines += [
        f"place {shown(p.address)} {p.size} {p.reserved} {p.state.value} {p.since} {_write_name(p.name)}"
        for p in history.places
    ]
    for word, rows in (("renamed", history.renamed), ("alias", history.aliases)):
        lines += [f"{word} {r.release} {_write_name(r.old)} {_write_name(r.new)}" for r in rows]
    return "".join(line + "\n" for line in lines).encode("ascii")


def _number(text: str) -> int:
    if not re.fullmatch(r"\d{1,10}", text) or int(text) >= _LARGEST:
        raise ValueError(f"`{text}` is not a number")
    return int(text)


def _address(text: str) -> int:
    if not re.fullmatch(r"0x[0-9a-f]{1,16}", text):
        raise ValueError(f"`{text}` is not an address")
    return int(text, 16)


def _name(text: str) -> str:
    if text == "%":
        return ""
    if not re.fullmatch(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})+", text):
        raise ValueError(f"`{text}` is not a name")
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")


class _HistoryReader:
    """The lines read so far."""

    def __init__(self) -> None:
        self.identity: tuple[str, Machine, str] | None = None
        self.addresses: dict[str, int] = {}
        self.releases: list[Version] = []
        self.slots: list[SlotRecord] = []
        self.places: list[PlaceRecord] = []
        self.renamings: dict[str, list[Renaming]] = {"renamed": [], "alias": []}

    def line(self, words: list[str]) -> None:
        """Takes one line. Raises ValueError."""
        match words:
            case ["library", name, machine, ("uselib" | "mmap") as scheme] if self.identity is None:
                machines = {m.label: m for m in Machine}
                if machine not in machines:
                    raise ValueError(f"`{machine}` is not a machine")
                self.identity = _name(name), machines[machine], scheme
            case ["release", version]:
                self.releases.append(Version.parse(version))
            case [("base" | "table") as word, address] if word not in self.addresses:
                self.addresses[word] = _address(address)
            case ["data", address, size] if "data" not in self.addresses:
                self.addresses["data"], self.addresses["data size"] = _address(address), _number(size)
            case ["slot", number, state, since, name]:
                if _number(number) != len(self.slots) + 1:
                    raise ValueError(f"slot {number} where slot {len(self.slots) + 1} is expected")
                record = SlotRecord(len(self.slots) + 1, SlotState(state), Version.parse(since), _name(name))
                self.slots.append(record)
            case ["place", address, size, reserved, state, since, name]:
                place = PlaceRecord(
                    address=_address(address),
                    size=_number(size),
                    reserved=_number(reserved),
                    state=PlaceState(state),
                    since=Version.parse(since),
                    name=_name(name),
                )
                if place.size > place.reserved:
                    raise ValueError("more bytes are used than reserved")
                self.places.append(place)
            case [("renamed" | "alias") as word, release, old, new]:
                self.renamings[word].append(Renaming(Version.parse(release), _name(old), _name(new)))
            case _:
                raise ValueError("is not a line of a history")


def decode(data: bytes, where: str) -> History:
    """The inverse of `encode`. Raises FormatError naming `where` and the line."""

    def bad(number: int, message: str) -> FormatError:
        return FormatError(Diagnostic(where, f"its history is damaged in line {number}: {message}"))

    lines = data.decode("ascii", "replace").splitlines()
    first = lines[0].split() if lines else []
    if first[:1] != ["uselib-history"]:
        raise bad(1, "it does not begin with `uselib-history`")
    if first != ["uselib-history", str(FORMAT)]:
        shown = " ".join(first[1:])
        raise FormatError(
            Diagnostic(
                where,
                f"its history has format {shown}; this version reads format {FORMAT}",
                remedy="use the uselib that made it, or a newer one",
            )
        )
    reader = _HistoryReader()
    for number, line in enumerate(lines[1:], 2):
        try:
            reader.line(line.split(" "))
        except ValueError as problem:
            raise bad(number, str(problem)) from None
    if reader.identity is None or not reader.releases or "base" not in reader.addresses:
        raise bad(len(lines), "the library's name, its releases or its base are missing")
    if reader.slots and not reader.addresses.get("table"):
        raise bad(len(lines), "slots without a table")
    at, renamings = reader.addresses, reader.renamings
    found = History(
        *reader.identity,
        releases=tuple(reader.releases),
        base=at["base"],
        table=at.get("table", 0),
        data=at.get("data", 0),
        data_size=at.get("data size", 0),
        slots=tuple(reader.slots),
        places=tuple(reader.places),
        renamed=tuple(renamings["renamed"]),
        aliases=tuple(renamings["alias"]),
    )
    if contradiction := _contradiction(found):
        raise FormatError(Diagnostic(where, f"its history contradicts itself: {contradiction}"))
    return found


def _contradiction(history: History) -> str:
    """A contradiction in the history; empty if there is none."""
    functions, places = (
        history.functions(),
        [p for p in history.places if p.state in (PlaceState.DATA, PlaceState.POINTER)],
    )
    names = [place.name for place in places]
    if "" in functions or any(not place.name for place in history.places):
        return "a function or datum without a name"
    if both := functions.keys() & set(names):
        return f"{min(both)} is a function and a datum"
    if len(set(names)) < len(names):
        return f"{next(name for name in names if names.count(name) > 1)} has two places"
    end = history.data + history.data_size
    for place in history.places:
        if (
            place.state in (PlaceState.MOVED, PlaceState.RETIRED)
            and not history.data <= place.address <= place.end <= end
        ):
            return f"the reserved place of {place.name} is outside the exported data"
    return ""


def in_order(places: Iterable[PlaceRecord]) -> tuple[PlaceRecord, ...]:
    """Places in the order of a history."""
    return tuple(sorted(places, key=lambda p: (p.address, p.name, p.since, p.state.value)))
