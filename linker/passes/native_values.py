"""The values of all symbols of a file as 64-bit words, made in C (linker/native/relocations.c): what SymbolValues has as lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from struct import pack_into

from uselib.linker import _native
from uselib.linker.formats.elf import RESERVED, SHN_ABS
from uselib.linker.passes.model import ObjectFile, Symbol
from uselib.linker.passes.native_take import LAYOUT
from uselib.linker.quick_typing import overload

UNKNOWN = -(1 << 63)  # in place of a value that does not fit, or of a local symbol without an address


class PackedValues(Sequence[int | None]):
    """By symbol index. None: a local symbol whose section was discarded or cut into pieces."""

    __slots__ = ("_file", "_policy", "_words", "packed")

    def __init__(self, packed: bytes | bytearray, file: ObjectFile, policy: Callable[[Symbol], int]) -> None:
        self.packed = packed
        self._words = memoryview(packed).cast("q")
        self._file, self._policy = file, policy

    def __len__(self) -> int:
        return len(self._words)

    @overload
    def __getitem__(self, index: int) -> int | None: ...

    @overload
    def __getitem__(self, index: slice) -> list[int | None]: ...

    def __getitem__(self, index: int | slice) -> int | list[int | None] | None:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        value = self._words[index]
        return value if value != UNKNOWN else self._exact(index)

    def __iter__(self) -> Iterator[int | None]:
        return map(self.__getitem__, range(len(self)))

    def _exact(self, index: int) -> int | None:
        """A value that does not fit into a word."""
        file = self._file
        if (symbol := file.global_symbol(index)) is not None:
            return self._policy(symbol)
        record = file.symbols[index]
        if record.section in RESERVED:
            return record.value if record.section == SHN_ABS else None
        section = file.sections[record.section] if record.section else None
        if section is None:
            return None if record.section else record.value
        return section.address + record.value if section.live and section.pieces is None else None


def packed_values(
    file: ObjectFile,
    table: memoryview,
    reference: Callable[[Symbol], int],
    branch: Callable[[Symbol], int] | None,
    overrides: dict[int, int],
    plt: tuple[int, int, int, int] | None = None,
) -> tuple[PackedValues, PackedValues]:
    """References and branches. table: the file's symbols. branch None: the same. overrides: values of local symbols by their index. plt: a
    PltPlaces, by which branches differ from references."""
    addresses = [
        None if section is None or section.pieces is not None or not section.live else section.address
        for section in file.sections
    ]

    def packed(policy: Callable[[Symbol], int]) -> PackedValues:
        words: bytes | bytearray = _native.values(
            table, file.elf.elf_class.word, file.first_global, addresses, list(map(policy, file.globals))
        )
        if overrides:
            words = bytearray(words)
            for index, address in overrides.items():
                pack_into("<q", words, 8 * index, address)
        return PackedValues(words, file, policy)

    references = packed(reference)
    if branch is None:
        return references, references
    if plt is None:
        return references, packed(branch)
    return references, PackedValues(
        _native.branches(LAYOUT, references.packed, file.first_global, file.globals, *plt), file, branch
    )
