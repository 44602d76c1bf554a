"""Undefined symbols: an error for each symbol with a strong reference, with the places that refer to it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from uselib.linker.errors import Diagnostic, LinkError
from uselib.linker.formats.library_names import NEEDS_PREFIX
from uselib.linker.options import Options
from uselib.linker.passes.model import UNDEFINED, InputSection, ObjectFile, Symbol
from uselib.linker.passes.relocations import MachineRelocations
from uselib.linker.passes.resolution import Resolution

MOST_PLACES = 3


def report_undefined(resolution: Resolution, options: Options, machine: MachineRelocations) -> None:
    """Raises LinkError for every strong reference to an undefined symbol, grouped by symbol, with up to three places each; only warns with
    --warn-unresolved-symbols."""
    required = [name for name in options.require_defined if resolution.symbols[name].rank == UNDEFINED]
    if required:
        raise LinkError(*(Diagnostic("--require-defined", f"undefined symbol: {name}", name) for name in required))
    if options.unresolved in ("ignore-all", "ignore-in-object-files"):
        return
    if options.shape == "shared" and not options.no_undefined:  # whoever uses it may define them
        return
    missing = [s for s in resolution.symbols.values() if _is_missing(s) and s.name not in options.ignored_symbols]
    if not missing:
        return
    found = references(resolution.files, missing, machine)
    problems = [_diagnostic(symbol, found[symbol]) for symbol in missing if symbol in found]
    if options.unresolved_are_errors and problems:
        raise LinkError(*problems)
    resolution.warnings += problems


Reference = tuple[ObjectFile, InputSection, int]
"""A relocation for a symbol: its file, section and offset."""


def references(
    files: Iterable[ObjectFile], symbols: Iterable[Symbol], machine: MachineRelocations
) -> dict[Symbol, list[Reference]]:
    """The references of live sections to each of these symbols that has any. Not the calls that TLS sequences consume."""
    keys = {id(symbol): symbol for symbol in symbols}
    result: dict[Symbol, list[Reference]] = {}
    for file in files:
        wanted = {i: keys[id(s)] for i, s in enumerate(file.globals, file.first_global) if id(s) in keys}
        if wanted:
            for index, section, offset in _references(file, wanted, machine.tls_sequences):
                result.setdefault(wanted[index], []).append((file, section, offset))
    return result


def _is_missing(symbol: Symbol) -> bool:
    if symbol.rank != UNDEFINED or not symbol.strong_reference:
        return False
    return symbol.dynamic is None or symbol.dynamic.definition is None


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


def _diagnostic(symbol: Symbol, found: list[Reference]) -> Diagnostic:
    lines = [f"referenced by {file.place(section, offset)}" for file, section, offset in found[:MOST_PLACES]]
    if len(found) > MOST_PLACES:
        lines.append(f"and {len(found) - MOST_PLACES} more")
    text = f"undefined symbol: {symbol.name}"
    return Diagnostic(found[0][0].where, text, symbol.name, remedy(symbol.name), tuple(lines))


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
