"""Variables of shared objects that a program makes its own: their places, which copy relocations fill at start-up."""

from __future__ import annotations

from uselib.linker.formats.elf import SHF_ALLOC, SHF_WRITE, SHT_NOBITS, SHT_PROGBITS, STB_GLOBAL, STT_OBJECT
from uselib.linker.passes.dynamic_scan import DynamicNeeds
from uselib.linker.passes.dynamic_symbols import DynamicPlan
from uselib.linker.passes.model import STRONG, DynamicBinding, InputSection, Symbol
from uselib.linker.passes.resolution import Resolution


def place_copies(needs: DynamicNeeds, resolution: Resolution, plan: DynamicPlan, relro: bool) -> None:
    """Gives each copied variable a place, for all the names that its shared object has for it: in .bss, or, if it is read-only there and
    relro, in .data.rel.ro."""
    wanted, needs.copies = needs.copies, []
    exports = dict.fromkeys(plan.exports)
    for symbol in wanted:
        if symbol.section is not None:  # it is another name of one that has a place
            continue
        needs.copies.append(symbol)
        assert (
            symbol.dynamic is not None and symbol.dynamic.definition is not None and symbol.dynamic.library is not None
        )
        definition, library = symbol.dynamic.definition, symbol.dynamic.library
        alignment, size = library.file.alignment_of(definition), definition.size
        number = definition.section
        constant = relro and number < len(library.file.read_only) and library.file.read_only[number]
        name, kind, content = (".bss.copy", SHT_NOBITS, b"")
        if constant:
            name, kind, content = (".data.rel.ro.copy", SHT_PROGBITS, bytes(size))
        section = InputSection(None, 0, name, kind, SHF_ALLOC | SHF_WRITE, size, alignment, 0, content)
        for other in library.file.defined:
            if (other.section, other.value) != (definition.section, definition.value) or not other.default:
                continue
            alias = resolution.symbols.get(other.name)
            if alias is None:
                alias = resolution.symbols[other.name] = Symbol(other.name)
            elif alias.rank and alias is not symbol:
                continue
            alias.section, alias.value, alias.size = section, 0, other.size
            alias.type, alias.binding = other.type or STT_OBJECT, other.binding or STB_GLOBAL
            dynamic = alias.dynamic = alias.dynamic or DynamicBinding(library, other)
            dynamic.copied = dynamic.exported = True
            exports[alias] = None
            if not alias.rank and alias is not symbol and not alias.referenced:
                alias.rank = STRONG
    plan.exports = list(exports)
