"""From a finished link to the library's stub: the exports, references and triples of each member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from uselib.linker.errors import Diagnostic, LinkError
from uselib.linker.formats import elf, notes
from uselib.linker.image import Export, Identity
from uselib.linker.library import stub
from uselib.linker.library.exports import member_name
from uselib.linker.library.interpose import Interposition
from uselib.linker.passes.model import InputStub, ObjectFile, Symbol
from uselib.linker.quick_dataclass import replace


def members(files: Sequence[ObjectFile], exports: Mapping[str, Export]) -> tuple[stub.StubMember, ...]:
    """The stub's members, one for each of the library's own files, in link order.

    A definition that another member's has replaced (weak, common) is left out: each symbol has one member. References
    are mirrored if this library exports the symbol or another stub library has it.
    """
    result = []
    for file in files:
        defined: list[Export] = []
        weak: list[str] = []
        references: dict[str, bool] = {}
        for (_, info, _, section, _, _), symbol in zip(file.symbol_rows(file.first_global), file.globals, strict=True):
            owner = symbol.file
            if owner is file:
                export = exports.get(symbol.name)
                if export is not None and section:
                    defined.append(export)
                    if symbol.binding == elf.STB_WEAK:
                        weak.append(symbol.name)
            elif owner is not None and (symbol.name in exports or owner.stub is not None):
                is_weak = info >> 4 == elf.STB_WEAK
                references[symbol.name] = references.get(symbol.name, True) and is_weak
        result.append(
            stub.StubMember(
                member_name(file.where),
                tuple(dict.fromkeys(defined)),
                frozenset(weak),
                tuple(stub.Reference(name, is_weak) for name, is_weak in references.items()),
            )
        )
    return tuple(result)


def with_old_names(members: Sequence[stub.StubMember], old_names: Mapping[str, str]) -> tuple[stub.StubMember, ...]:
    """The members with the old names (old -> new) of renamed symbols beside the new ones."""
    if not old_names:
        return tuple(members)
    result = []
    for member in members:
        more = [replace(e, name=old) for old, new in old_names.items() for e in member.exports if e.name == new]
        weak = {old for old, new in old_names.items() if new in member.weak}
        result.append(replace(member, exports=(*member.exports, *more), weak=member.weak | weak))
    return tuple(result)


def dependencies(stubs: Sequence[InputStub], files: Sequence[ObjectFile]) -> tuple[tuple[InputStub, Identity], ...]:
    """The libraries that `files` refer to, in link order, with their identities.

    Raises LinkError if a stub library has not exactly one identity for this machine.
    """
    if not stubs:
        return ()
    used: set[int] = set()
    for file in files:
        used.update(id(s.file.stub) for s in file.globals if s.file is not None and s.file.stub is not None)
    result = []
    for library in stubs:
        if id(library) not in used:
            continue
        found = [identity for member in library.objects for identity in notes.needs_of_object(member.elf)]
        if len(set(found)) != 1:
            raise LinkError(
                Diagnostic(
                    library.where,
                    f"has {len(set(found))} identities (notes NT_NEEDS) where a stub library has one",
                    remedy="make it again with `uselib mkshlib`",
                )
            )
        result.append((library, found[0]))
    return tuple(result)


def interpositions(
    made: Mapping[str, int], declared: Sequence[tuple[str, Symbol, str]], exports: Mapping[str, Export]
) -> tuple[Interposition, ...]:
    """The triples: `made` pointers by function name, and `declared` ones: (import, pointer variable, member)."""

    def slot(name: str) -> int:
        return exports[name].address if name in exports else 0

    rows = [Interposition(name, pointer, slot(name)) for name, pointer in made.items()]
    rows += [Interposition(name, pointer.address, slot(name), member) for name, pointer, member in declared]
    return tuple(rows)
