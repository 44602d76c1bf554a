"""The values of references to symbols: of all symbol indices of a file, once addresses are final."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Protocol

from uselib.linker.formats.elf import RESERVED, SHN_ABS
from uselib.linker.passes.model import ObjectFile, Symbol


class SymbolPolicy(Protocol):
    """The value of a reference to a global symbol. Target libraries and programs have different policies."""

    def reference(self, symbol: Symbol) -> int:
        """The address that all but branches get."""

    def branch(self, symbol: Symbol) -> int:
        """The address that calls and jumps get."""

    @property
    def distinguishes_branches(self) -> bool:
        """False if the two are always the same."""


class PlainSymbols:
    """Programs: a symbol has one address."""

    distinguishes_branches = False

    reference = branch = staticmethod(attrgetter("address"))  # no call of Python: it is asked for each symbol


def _local_values(file: ObjectFile) -> list[int | None]:
    """Final addresses of the file's local symbols; None where the section was discarded or cut into pieces."""
    addresses: list[int | None] = [
        None if section is None or section.pieces is not None or not section.live else section.address
        for section in file.sections
    ]
    result: list[int | None] = []
    for _, _, _, shndx, value, _ in file.symbol_rows(0, file.first_global):
        if shndx not in RESERVED:
            base = addresses[shndx] if shndx else 0
            result.append(None if base is None else base + value)
        else:
            result.append(value if shndx == SHN_ABS else None)
    return result


class SymbolValues:
    """The values of every symbol index of a file: as referred to, and as branched to."""

    __slots__ = ("branches", "references")

    def __init__(
        self, file: ObjectFile, policy: SymbolPolicy, overrides: Mapping[tuple[int, int], int] | None = None
    ) -> None:
        local = _local_values(file)
        if overrides:
            for (owner, index), address in overrides.items():
                if owner == id(file):
                    local[index] = address
        self.references: list[int | None] = local + [policy.reference(symbol) for symbol in file.globals]
        self.branches = (
            local + [policy.branch(symbol) for symbol in file.globals]
            if policy.distinguishes_branches
            else self.references
        )
