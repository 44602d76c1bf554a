"""Undefined symbols: an error for each symbol with a strong reference, with the places that refer to it."""

from __future__ import annotations

from collections.abc import Container, Iterator

from uselib.linker.errors import Diagnostic, LinkError
from uselib.linker.formats.library_names import NEEDS_PREFIX
from uselib.linker.options import Options
from uselib.linker.passes.model import UNDEFINED, InputSection, ObjectFile, Symbol
from uselib.linker.passes.relocations import MachineRelocations
from uselib.linker.passes.resolve import Resolution

_MOST_PLACES = 3


def report_undefined(resolution: Resolution, options: Options, machine: MachineRelocations) -> None:
    """Raises LinkError for every strong reference to an undefined symbol, grouped by symbol, with up to three places each."""
    if not options.unresolved_are_errors:
        return
    missing = {id(s): s for s in resolution.symbols.values() if s.rank == UNDEFINED and s.strong_reference}
    if not missing:
        return
    references: dict[int, list[tuple[ObjectFile, InputSection, int]]] = {}
    for file in resolution.files:
        wanted = {i: key for i, key in enumerate(map(id, file.globals), file.first_global) if key in missing}
        if wanted:
            for index, section, offset in _references(file, wanted, machine.tls_sequences):
                references.setdefault(wanted[index], []).append((file, section, offset))
    problems = [_diagnostic(symbol, references[key]) for key, symbol in missing.items() if key in references]
    if problems:
        raise LinkError(*problems)


def _references(
    file: ObjectFile, wanted: Container[int], tls_sequences: frozenset[int]
) -> Iterator[tuple[int, InputSection, int]]:
    """References of live sections to these symbols: index, section, offset. Not the calls that TLS sequences consume."""
    for section in file.sections:
        if section is not None and section.live:
            before = -1
            for offset, kind, index, _ in section.relocation_rows():
                if index in wanted and before not in tls_sequences:
                    yield index, section, offset
                before = kind


def _diagnostic(symbol: Symbol, references: list[tuple[ObjectFile, InputSection, int]]) -> Diagnostic:
    lines = [f"referenced by {file.place(section, offset)}" for file, section, offset in references[:_MOST_PLACES]]
    if len(references) > _MOST_PLACES:
        lines.append(f"and {len(references) - _MOST_PLACES} more")
    where = references[0][0].where
    return Diagnostic(where, "undefined symbol", symbol.name, remedy(symbol.name), tuple(lines))


# The compiler's own helpers, by how their names begin: they are in libgcc.a or compiler-rt, not in the C library.
_HELPERS = tuple(
    "__div __mod __udiv __umod __mul __ashl __ashr __lshr __fix __float __popcount __clz __ctz __parity __add __sub __neg "
    "__cmp __ucmp __extend __trunc".split()
)


def remedy(name: str) -> str:
    """What to do about an undefined symbol of that name; empty if nothing is known."""
    if name.startswith(NEEDS_PREFIX):
        return f"the output requires the shared library {name.removeprefix(NEEDS_PREFIX)}: name its stub library"
    if name == "main":
        return "name the object file with the program's main function"
    if name.startswith(_HELPERS):
        return "it is a helper of the compiler: link libgcc.a too (`gcc -print-libgcc-file-name`)"
    if name.startswith("_Z"):
        return "it is C++: link with g++, or name its library"
    return ""
