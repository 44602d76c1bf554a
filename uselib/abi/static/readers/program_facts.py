"""What a program, or a library as a user of other libraries, takes from them: names, addresses, and the types it was compiled with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from uselib.abi.static.model.facts import ProgramFacts, Use
from uselib.abi.static.readers import elf_dynamic
from uselib.linker.dwarf import sections as debug_sections
from uselib.linker.dwarf.interface import Interface, WantedSymbol, read_interface
from uselib.linker.errors import some
from uselib.linker.formats import elf, elf_image
from uselib.linker.image import Binding, ExportKind, Identity, Image


def program_facts(data: bytes, path: str) -> ProgramFacts:
    """The facts of an ET_EXEC or ET_DYN file as a user of libraries. Raises FormatError."""
    file = elf.ElfFile(memoryview(data), path)
    facts = ProgramFacts(path, file.machine)
    if any(section.type == elf.SHT_DYNSYM for section in file.sections):
        facts = _ordinary(file, facts)
    if file.kind == elf.ET_EXEC:
        facts = _fixed(elf_image.read_image(data, path), facts)
    elif file.kind != elf.ET_DYN:
        raise elf.bad(path, f"neither a program nor a library (ELF type {file.kind})", "link it first")
    return _with_types(facts, file)


def _ordinary(file: elf.ElfFile, facts: ProgramFacts) -> ProgramFacts:
    """Names bound when the program starts: the undefined symbols of .dynsym."""
    dynamic = elf_dynamic.read(file)
    uses = tuple(
        Use(s.name, "function" if s.function else "data" if s.thread_local else "", s.library, 0, s.version)
        for s in dynamic.imports
        if not s.weak or s.version or s.name not in _OPTIONAL
    )
    copies = set(dynamic.relocated)
    copied = tuple(
        Use(s.name, "data", "", 0, s.version)
        for s in dynamic.exports
        if not s.function and s.address in copies and not dynamic.soname
    )
    return replace(facts, sonames=dynamic.needed, uses=uses + copied)


# Weak references of every program's start-up code, which may stay undefined.
_OPTIONAL = frozenset(
    ("__gmon_start__", "_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "_Jv_RegisterClasses")
)


def _fixed(image: Image, facts: ProgramFacts) -> ProgramFacts:
    """Names bound to addresses when the program was linked: from the binding note, else from absolute symbols."""
    needs = image.needs
    uses: tuple[Use, ...] | None
    unknown = facts.unknown
    if image.bindings:
        uses = tuple(_use(binding, needs) for binding in image.bindings)
    else:
        uses = _absolute(image, needs)
        if uses is None and needs:
            unknown += (
                f"{facts.path}: it has neither a binding note nor symbols: which names it takes from libraries is not known",
            )
    if uses is None and facts.uses is None and not needs:
        uses = ()
    return replace(
        facts,
        needs=needs,
        uses=(facts.uses or ()) + uses if uses is not None else facts.uses,
        bindings=image.bindings,
        unknown=unknown,
        defines=_defines(image),
    )


def _defines(image: Image) -> frozenset[str] | None:
    """The functions that the program itself defines; None without a symbol table."""
    if not image.symbols:
        return None
    return frozenset(symbol.name for symbol in image.symbols if symbol.function and not symbol.absolute)


def _use(binding: Binding, needs: Iterable[Identity]) -> Use:
    kind = "function" if binding.kind is ExportKind.FUNCTION else "data"
    file_name = next((n.file_name for n in needs if n.name == binding.library), binding.library)
    return Use(binding.symbol, kind, file_name, binding.address)


def _absolute(image: Image, needs: Iterable[Identity]) -> tuple[Use, ...] | None:
    """Another linker leaves a stub's absolute symbols in the symbol table, used or not: those of the members it took."""
    if not image.symbols:
        return None
    uses = []
    for symbol in image.symbols:
        owner = next((n for n in needs if n.base <= symbol.address < n.end), None) if symbol.absolute else None
        if owner is not None:
            uses.append(Use(symbol.name, "function" if symbol.function else "data", owner.file_name, symbol.address))
    return tuple(uses)


def _with_types(facts: ProgramFacts, file: elf.ElfFile) -> ProgramFacts:
    """The types with which the program declares the names, and the structures whose members it knows."""
    found = debug_sections.find(file, facts.path)
    if found is None or not (found.info or found.types):
        missing = f"{facts.path}: it has no debug information: which structures it knows is not recorded"
        said = found.problems if found is not None else (missing,)
        return replace(facts, unknown=facts.unknown + said)
    uses = facts.uses or ()
    functions = {use.name: WantedSymbol(use.name) for use in uses if use.kind != "data"}
    data = {use.name: WantedSymbol(use.name) for use in uses if use.kind != "function"}
    interface = read_interface(found, facts.machine.word, functions, data, records=True)
    typed = tuple(_typed(use, interface) for use in uses)
    said = interface.unknown
    undeclared = [use.name for use in typed if use.type is None and not use.name.startswith("__")]
    if undeclared:  # clang describes no data of others, and functions only if it optimises
        said += (f"{facts.path}: its debug information has no declaration of: {some(undeclared)}",)
    return replace(
        facts,
        uses=typed if facts.uses is not None else None,
        types=interface.types,
        typed=interface.typed,
        records=dict(interface.records),
        unknown=facts.unknown + said,
    )


def _typed(use: Use, interface: Interface) -> Use:
    """The use with its kind and its type, as the program declares the name."""
    is_data = use.kind == "data" or (
        not use.kind and use.name in interface.data and use.name not in interface.functions
    )
    row = (interface.data if is_data else interface.functions).get(use.name)
    return replace(use, kind="data" if is_data else "function", type=row.type if row is not None else None)
