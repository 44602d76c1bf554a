"""Words of the output that are left to the dynamic linker, in packed rows: a large shared object has hundreds of thousands.

A row is found by the scan: offset in the section, relocation type, index of a symbol of the file (of a symbolic relocation, else 0), addend.
`placed` makes another of it once addresses are final: address, type, number in .dynsym, addend; `sorted_rows` the records of the output.
What is done here row by row is done in C where that was built (linker/native/dynamic_rows.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from struct import Struct

from uselib.linker.formats.elf import ElfClass, ElfRelocation
from uselib.linker.passes import native
from uselib.linker.passes.model import InputSection, Symbol
from uselib.linker.passes.relocations import IPLT_SIZE
from uselib.linker.quick_dataclass import dataclass

ROW = Struct("<QIIq")
_TYPE = 8  # where a row has the type; it is below 256


@dataclass
class Placing:
    """What rows are placed with. rela: addends are in the records; else in the fields of the image. symbolic: the type of a word with a
    symbol. A field of a row of type irelative has the address of an entry, `entries` that of the first; `resolvers` theirs."""

    image: bytearray
    elf_class: ElfClass
    rela: bool
    symbolic: int
    irelative: int
    entries: int
    resolvers: list[int]


class DynamicWords:
    """The rows of each section, in the order of the scan. symbolic: the relocation type of a word with a symbol."""

    def __init__(self, symbolic: int) -> None:
        self._symbolic = symbolic
        self._chunks: list[tuple[InputSection, bytearray]] = []

    def add(self, section: InputSection, offset: int, kind: int, symbol: int = 0, addend: int = 0) -> None:
        """Adds a row. symbol: an index of the section's file."""
        self.extend(section, ROW.pack(offset, kind, symbol, addend))

    def extend(self, section: InputSection, rows: bytes | bytearray) -> None:
        if not self._chunks or self._chunks[-1][0] is not section:
            self._chunks.append((section, bytearray()))
        self._chunks[-1][1].extend(rows)

    def __len__(self) -> int:
        return sum(len(rows) for _, rows in self._chunks) // ROW.size

    def count(self, kind: int) -> int:
        """How many rows are of a type."""
        return sum(rows[_TYPE :: ROW.size].count(kind) for _, rows in self._chunks)

    def take_out(self, kind: int, wanted: Callable[[InputSection], bool]) -> DynamicWords:
        """Takes the rows out that are of a type and at an even offset in a section that is wanted."""
        found, kept = DynamicWords(self._symbolic), DynamicWords(self._symbolic)
        for section, rows in self._chunks:
            if not wanted(section):
                kept.extend(section, rows)
            elif rows[_TYPE :: ROW.size].count(kind) * ROW.size == len(rows) and not any(
                b & 1 for b in rows[:: ROW.size]
            ):
                found.extend(section, rows)
            else:
                for row in ROW.iter_unpack(rows):
                    (kept if row[0] & 1 or row[1] != kind else found).add(section, *row)
        self._chunks = kept._chunks
        return found

    def addresses(self) -> Iterator[int]:
        """The addresses of the words, none of which are in sections that were cut into pieces."""
        for section, rows in self._chunks:
            if section.output is not None:
                base = section.address
                yield from [base + offset for offset in memoryview(rows).cast("Q")[:: ROW.size // 8]]

    def settle(self, relative: int | None) -> None:
        """Words that refer to what the program has made its own (copies, canonical PLT entries) are final; relative: they move with it,
        and are of that type."""
        owned: dict[int, frozenset[int]] = {}
        for number, (section, rows) in enumerate(self._chunks):
            file = section.file
            assert file is not None
            if id(file) not in owned:
                symbols = enumerate(file.globals, file.first_global)
                owned[id(file)] = frozenset(index for index, symbol in symbols if _is_own(symbol))
            if own := owned[id(file)]:
                self._chunks[number] = section, self._settled(rows, own, relative)

    def _settled(self, rows: bytearray, own: frozenset[int], relative: int | None) -> bytearray:
        result = bytearray()
        for offset, kind, symbol, addend in ROW.iter_unpack(rows):
            if kind != self._symbolic or symbol not in own:
                result += ROW.pack(offset, kind, symbol, addend)
            elif relative is not None:
                result += ROW.pack(offset, relative, 0, 0)
        return result

    def placed(self, how: Placing) -> bytearray:
        """The rows with addresses, numbers in .dynsym and addends; here none are left. Fields of the image get what the dynamic linker
        expects in them."""
        result, chunks = bytearray(), self._chunks
        chunks.reverse()
        while chunks:
            section, rows = chunks.pop()
            if section.output is not None:
                result += _place(section, _moved(section, rows), how)
        return result


def _is_own(symbol: Symbol) -> bool:
    dynamic = symbol.dynamic
    return dynamic is not None and (dynamic.copied or dynamic.canonical)


def _moved(section: InputSection, rows: bytearray) -> bytes | bytearray:
    """The rows of a section that was cut into pieces: offsets from where it would begin."""
    pieces = section.pieces
    if pieces is None:
        return rows
    found = ROW.iter_unpack(rows)
    return b"".join(ROW.pack(pieces.address(offset) - section.address, *rest) for offset, *rest in found)


def _place(section: InputSection, rows: bytes | bytearray, how: Placing) -> bytes:
    file, output = section.file, section.output
    assert file is not None and output is not None
    at = output.offset + section.address - output.address
    if native.AVAILABLE:
        from uselib.linker import _native
        from uselib.linker.passes.native_take import LAYOUT

        return _native.place(
            LAYOUT,
            rows,
            how.image,
            at,
            section.address,
            how.elf_class.word,
            how.rela,
            how.symbolic,
            how.irelative,
            how.entries,
            how.resolvers,
            file.globals,
            file.first_global,
        )
    image, word, result = how.image, how.elf_class.word, []
    for offset, kind, index, addend in ROW.iter_unpack(rows):
        field, number = slice(at + offset, at + offset + word), 0
        if kind == how.symbolic:
            dynamic = file.globals[index - file.first_global].dynamic
            assert dynamic is not None
            number, kept = dynamic.number, 0 if how.rela else addend
            image[field] = (kept & ((1 << 8 * word) - 1)).to_bytes(word, "little")
        else:
            addend = int.from_bytes(image[field], "little", signed=True)
            if kind == how.irelative:
                addend = how.resolvers[(addend - how.entries) // IPLT_SIZE]
                image[field] = addend.to_bytes(word, "little")
        result.append(ROW.pack(section.address + offset, kind, number, addend))
    return b"".join(result)


def packed_rows(rows: Iterable[ElfRelocation]) -> bytes:
    """Rows of single relocations."""
    return b"".join(ROW.pack(row.offset, row.type, row.symbol, row.addend or 0) for row in rows)


def sorted_rows(rows: bytearray, relative: int, irelative: int, elf_class: ElfClass, rela: bool) -> bytes:
    """The records of a relocation section: of type relative first, irelative last, the others by symbol; then by offset. The rows are in
    disorder afterwards."""
    if native.AVAILABLE:
        from uselib.linker import _native

        return _native.sorted_rows(rows, relative, irelative, elf_class.word, rela)
    found = sorted(ROW.iter_unpack(rows), key=lambda row: (row[1] == irelative, row[1] != relative, row[2], row[0]))
    pack = elf_class.pack_relocation
    return b"".join(pack(ElfRelocation(o, kind, number, addend if rela else None)) for o, kind, number, addend in found)
