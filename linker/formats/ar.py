"""Archives: the System V / GNU format of ar(5), thin archives included.

"!<arch>\\n" (thin: "!<thin>\\n"), then members, each at an even offset:
header of 60 bytes: name[16] date[12] uid[6] gid[6] mode[8] size[10] "`\\n", all text padded with spaces
"/"        symbol index: u32 big-endian count, count offsets of member headers, names with NUL after each
"/SYM64/"  the same with u64
"//"       long names, each ended by "/\\n"; a member called "/N" has its name at offset N there
"NAME/"    a short name (BSD "#1/N": the name's N bytes open the content)
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.quick_dataclass import dataclass

MAGIC = b"!<arch>\n"
THIN_MAGIC = b"!<thin>\n"
_HEADER = struct.Struct("16s12s6s6s8s10s2s")


@dataclass(frozen=True, slots=True)
class Member:
    """A member: name, offset of its header, and where its content lies (in a thin archive: in the file `path`)."""

    name: str
    header: int
    start: int
    size: int
    path: str = ""


@dataclass(frozen=True, slots=True)
class NewMember:
    """A member to be written. `symbols` are the names the index shall list for it."""

    name: str
    content: bytes
    symbols: tuple[str, ...] = ()


def _bad(where: str, message: str) -> FormatError:
    return FormatError(Diagnostic(where, message))


class Archive:
    """An archive's members and symbol index, read on demand: a link usually needs few of them."""

    def __init__(self, data: bytes, where: str) -> None:
        """Raises FormatError if `data` is not an archive or its special members are damaged."""
        self.data = data
        self.where = where
        if data[:8] not in (MAGIC, THIN_MAGIC):
            raise _bad(where, "not an archive")
        self.thin = data[:8] == THIN_MAGIC
        self._long_names = b""
        self._index_at: tuple[int, int, int] | None = None  # start, size, bytes in a word
        self._first = 8  # header of the first ordinary member
        self._known: dict[int, Member] = {}
        while self._first < len(data):
            raw, start, size = self._header(self._first)
            if raw == b"//":
                self._long_names = data[start : start + size]
            elif raw in (b"/", b"/SYM64/"):
                self._index_at = (start, size, 4 if raw == b"/" else 8)
            else:
                break
            if start + size > len(data):
                raise _bad(where, f"truncated: the archive's special member {raw.decode()} runs over the end")
            self._first = start + size + (size & 1)

    def _header(self, at: int) -> tuple[bytes, int, int]:
        if at + 60 > len(self.data):
            raise _bad(self.where, f"truncated: a member header at offset {at:#x} runs over the end of the archive")
        name, _, _, _, _, size, end = _HEADER.unpack_from(self.data, at)
        size = size.rstrip()
        if end != b"`\n" or not size.isdigit():
            raise _bad(self.where, f"damaged member header at offset {at:#x}")
        return name.rstrip(), at + 60, int(size)

    def member(self, at: int) -> Member:
        """The member whose header is at offset `at`."""
        if at in self._known:
            return self._known[at]
        raw, start, size = self._header(at)
        if raw.startswith(b"#1/") and raw[3:].isdigit():
            length = int(raw[3:])
            name = self.data[start : start + length].rstrip(b"\0")
            start, size = start + length, size - length
        elif raw[:1] == b"/" and raw[1:].isdigit():
            offset = int(raw[1:])
            end = self._long_names.find(b"\n", offset)
            if end < 0:
                raise _bad(self.where, f"the long name of the member at offset {at:#x} is missing")
            name = self._long_names[offset:end].removesuffix(b"/")
        else:
            name = raw.removesuffix(b"/")
        text = name.decode("utf-8", "surrogateescape")
        if self.thin:
            path = os.path.join(os.path.dirname(self.where), text)
            member = Member(os.path.basename(text), at, 0, size, path)
        elif size < 0 or start + size > len(self.data):
            raise _bad(self.where, f"truncated: member {text!r} runs over the end of the archive")
        else:
            member = Member(text, at, start, size)
        self._known[at] = member
        return member

    def first(self) -> Member | None:
        """The first ordinary member: in a stub library, `LIBRARY NAME`."""
        return self.member(self._first) if self._first < len(self.data) else None

    def members(self) -> list[Member]:
        """All ordinary members, in order."""
        result, at = [], self._first
        while at < len(self.data):
            member = self.member(at)
            result.append(member)
            end = at + _HEADER.size if self.thin else member.start + member.size
            at = end + (end & 1)
        return result

    def index(self) -> list[tuple[str, int]] | None:
        """The symbol index as (name, offset of the member's header), or None if the archive has none."""
        if self._index_at is None:
            return None
        start, size, word = self._index_at
        count = int.from_bytes(self.data[start : start + word], "big")
        if size < word or count > (size - word) // word:
            raise _bad(self.where, f"damaged symbol index: it has no room for its {count} symbols")
        offsets = struct.unpack_from(f">{count}{'I' if word == 4 else 'Q'}", self.data, start + word)
        names = self.data[start + word + count * word : start + size].split(b"\0", count)
        if len(names) <= count:
            raise _bad(self.where, "damaged symbol index: names are missing")
        return [(n.decode("utf-8", "surrogateescape"), o) for n, o in zip(names, offsets, strict=False)]


BSD_INDEX = "__.SYMDEF"


def write_bsd_archive(members: Iterable[NewMember]) -> bytes:
    """An archive with the index that linkers of a.out read: a first member `__.SYMDEF` of struct ranlib (ranlib(5)): u32 bytes of pairs
    (offset of the name in the strings, offset of the member's header), u32 bytes of strings, strings. Little-endian; deterministic."""
    listed = list(members)
    names = bytearray()
    pairs: list[tuple[int, int]] = []
    count = sum(len(member.symbols) for member in listed)
    size = 8 + 8 * count + sum(len(s.encode()) + 1 for m in listed for s in m.symbols)
    size += -size % 4
    position = 8 + 60 + size
    for member in listed:
        for symbol in member.symbols:
            pairs.append((len(names), position))
            names += symbol.encode() + b"\0"
        position += 60 + len(member.content) + (len(member.content) & 1)
    names += bytes(-len(names) % 4)
    table = b"".join(struct.pack("<II", *pair) for pair in pairs)
    index = struct.pack("<I", len(table)) + table + struct.pack("<I", len(names)) + bytes(names)
    out = [MAGIC]
    for name, content in ((BSD_INDEX, index), *((member.name, member.content) for member in listed)):
        # linkers of that time take an index older than the archive for stale: its date is one second later than the members'
        date = b"1" if name == BSD_INDEX else b"0"
        out += [
            b"%-16s%-12s%-6s%-6s%-8s%-10d`\n" % (name[:15].encode(), date, b"0", b"0", b"100644", len(content)),
            content,
        ]
        out += [b"\n"] if len(content) & 1 else []
    return b"".join(out)


def write_archive(members: Iterable[NewMember]) -> bytes:
    """A GNU archive with symbol index; deterministic (dates, owners 0, mode 644 as `ar D` writes them)."""
    listed = list(members)
    long_names = bytearray()
    raw_names = []
    for member in listed:
        name = member.name.encode("utf-8", "surrogateescape")
        if len(name) < 16 and b"/" not in name:
            raw_names.append(name + b"/")
        else:
            raw_names.append(b"/%d" % len(long_names))
            long_names += name + b"/\n"
    if len(long_names) & 1:
        long_names += b"\n"
    names = b"".join(s.encode("utf-8", "surrogateescape") + b"\0" for m in listed for s in m.symbols)
    count = sum(len(m.symbols) for m in listed)
    index_size = 4 + 4 * count + len(names)
    index_size += index_size & 1
    position = 8 + 60 + index_size + (60 + len(long_names) if long_names else 0)
    offsets: list[int] = []
    for member in listed:
        offsets += [position] * len(member.symbols)
        position += 60 + len(member.content) + (len(member.content) & 1)
    if position > 0xFFFFFFFF:
        raise FormatError(Diagnostic("archive", "more than 4 GiB does not fit into an archive with a 32-bit index"))

    def header(name: bytes, size: int, mode: bytes = b"644") -> bytes:
        return b"%-16s%-12s%-6s%-6s%-8s%-10d`\n" % (name, b"0", b"0", b"0", mode, size)

    out = [MAGIC, header(b"/", index_size, b"0")]
    out.append((struct.pack(f">I{count}I", count, *offsets) + names).ljust(index_size, b"\0"))
    if long_names:
        out += [header(b"//", len(long_names)), bytes(long_names)]
    for raw, member in zip(raw_names, listed, strict=True):
        out += [header(raw, len(member.content)), member.content, b"\n" if len(member.content) & 1 else b""]
    return b"".join(out)
