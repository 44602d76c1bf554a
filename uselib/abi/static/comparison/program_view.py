"""A library as one program knows it: what it was linked with, in the shape of a library's facts, so that the same rules compare it.

The program's view beats the old library's: it has only the names that the program uses, at the addresses that it was bound to, with the
types it was compiled with; a structure it only knows by name is opaque to it.
"""

from __future__ import annotations

from uselib.abi.static.model.facts import DataFact, Facts, FileKind, FunctionFact, ProgramFacts, Use
from uselib.abi.static.model.unqualified import size_of
from uselib.linker.c_types.types import Enumeration, FunctionType, Record, TypeId
from uselib.linker.image import Identity


def linked_with(program: ProgramFacts, library: Facts) -> Identity | None:
    """The identity that the program recorded for this library."""
    if library.identity is None:
        return None
    return next((need for need in program.needs if need.name == library.identity.name), None)


def uses_of(program: ProgramFacts, library: Facts) -> list[Use] | None:
    """What the program takes from this library; None if it is not recorded."""
    if program.uses is None:
        return None
    names = {library.soname, library.path.rsplit("/", 1)[-1]} - {""}
    if library.identity is not None:
        names.add(library.identity.name)
    found = []
    for use in program.uses:
        owner = use.library.rsplit("/", 1)[-1]
        stem = library.identity.name if library.identity else ""
        if not owner or owner in names or (stem and (owner == stem or owner.startswith(stem + "."))):
            if (
                not owner
                and use.name not in library.functions
                and use.name not in library.data
                and not _within(use, library)
            ):
                continue  # of another library
            found.append(use)
    return found


def _within(use: Use, library: Facts) -> bool:
    identity = library.identity
    return identity is not None and identity.base <= use.address < identity.end


def seen_by(program: ProgramFacts, library: Facts) -> Facts | None:
    """The facts of the old version of `library`, as far as the program was linked with them; None if that is not recorded."""
    uses = uses_of(program, library)
    if uses is None:
        return None
    functions: dict[str, FunctionFact] = {}
    data: dict[str, DataFact] = {}
    for use in uses:
        name = use.name
        kind = program.types[use.type] if use.type is not None else None
        if use.kind == "function" or (not use.kind and name not in library.data):
            typed = use.type if isinstance(kind, FunctionType) else None
            slot = _slot(library, use.address)
            functions[name] = FunctionFact(name, use.address, slot, type=typed, symbol_version=use.symbol_version)
        else:
            size = size_of(program.types, use.type) or 0 if use.type is not None else 0
            data[name] = DataFact(name, use.address, size, use.type, symbol_version=use.symbol_version)
    identity = linked_with(program, library) if library.fixed else None
    return Facts(
        program.path,
        FileKind.STUB if library.fixed else FileKind.SHARED_OBJECT,
        program.machine,
        identity,
        library.soname,
        fixed=library.fixed,
        functions=functions,
        data=data,
        types=program.types,
        typed=program.typed,
        record_names=frozenset(program.records) if program.typed else None,
    )


def _slot(library: Facts, address: int) -> int:
    """The number of the slot at an address, counted by the table of the library that is there now."""
    known = next(((f.slot, f.address) for f in library.functions.values() if f.slot and f.address), None)
    if known is None or not address:
        return 0
    offset = address - known[1]
    number = known[0] + offset // 8
    return number if offset % 8 == 0 and number > 0 else 0


def with_records(program: ProgramFacts, library: Facts) -> list[tuple[str, TypeId, TypeId]]:
    """Records that the program knows the contents of and the library has under the same name: (name, program's, library's)."""
    theirs: dict[str, TypeId] = {}
    for number, row in enumerate(library.types.rows):
        if isinstance(row, Record | Enumeration) and row.name and row.size is not None:
            theirs.setdefault(row.name, number)
    return [(name, number, theirs[name]) for name, number in program.records.items() if name in theirs]
