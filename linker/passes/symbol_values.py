"""The values of references to symbols: of all symbol indices of a file, once addresses are final."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

from uselib.linker.formats.elf import RESERVED, SHN_ABS, SymbolTable
from uselib.linker.passes import native
from uselib.linker.passes.model import ObjectFile, Symbol
from uselib.linker.quick_dataclass import NamedTuple
from uselib.linker.quick_typing import Protocol


class SymbolPolicy(Protocol):
    """The value of a reference to a global symbol. Target libraries and programs have different policies.

    One of which branches go to the PLT entry, where there is one, and all else to the symbol's address has a method `plt_places` as well,
    without arguments, whose result is a PltPlaces, or None."""

    def reference(self, symbol: Symbol) -> int:
        """The address that all but branches get."""

    def branch(self, symbol: Symbol) -> int:
        """The address that calls and jumps get."""

    @property
    def distinguishes_branches(self) -> bool:
        """False if the two are always the same."""


class PltPlaces(NamedTuple):
    """Where calls go of symbols that have an entry in a PLT (DynamicBinding.plt): addresses of the first entries, bytes of an entry."""

    lazy: int
    lazy_step: int
    through_got: int
    through_got_step: int


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


class SymbolValues(NamedTuple):
    """The values of every symbol index of a file: as referred to, and as branched to. None: a local symbol without an address."""

    references: Sequence[int | None]
    branches: Sequence[int | None]


def symbol_values(
    file: ObjectFile, policy: SymbolPolicy, overrides: Mapping[tuple[int, int], int] | None = None
) -> SymbolValues:
    """The values that a policy gives. overrides: of local symbols, by (id of the file, index)."""
    own = {index: address for (owner, index), address in overrides.items() if owner == id(file)} if overrides else {}
    branch = policy.branch if policy.distinguishes_branches else None
    if native.AVAILABLE and isinstance(file.symbols, SymbolTable):
        from uselib.linker.passes.native_values import packed_values

        places: Callable[[], PltPlaces | None] | None = getattr(policy, "plt_places", None)
        plt = places() if places is not None else None
        return SymbolValues(*packed_values(file, file.symbols.data, policy.reference, branch, own, plt))
    local = _local_values(file)
    for index, address in own.items():
        local[index] = address
    references = local + [policy.reference(symbol) for symbol in file.globals]
    return SymbolValues(references, references if branch is None else local + list(map(branch, file.globals)))
