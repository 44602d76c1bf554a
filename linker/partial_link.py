"""ld -r: objects and archives -> one object, whose relocations and undefined symbols stay for a later link.

Input sections of one name and kind become one section of the output; members of a section group stay sections of their own, so that a
later link can leave out the group (GNU ld manual, "-r"; gABI, "Section Groups"). Nothing is merged, and nothing is relaxed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from uselib.linker.errors import error
from uselib.linker.formats import elf
from uselib.linker.formats.elf import (
    ET_REL,
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_GROUP,
    SHF_LINK_ORDER,
    SHN_ABS,
    SHN_COMMON,
    SHT_GROUP,
    SHT_NOBITS,
    SHT_PROGBITS,
    STB_GLOBAL,
    STB_WEAK,
    STT_COMMON,
    STT_SECTION,
)
from uselib.linker.image import Machine
from uselib.linker.options import Options
from uselib.linker.passes.eh_frame import drop_dead_frames
from uselib.linker.passes.gc import collect
from uselib.linker.passes.inputs import STACK_NOTE, excluded_sections
from uselib.linker.passes.kept_relocations import KeptRelocations, NumberedRow, number_symbols, used_locals
from uselib.linker.passes.layout import Layout, align, arrange, common_flags, common_type, is_debug, number, settle
from uselib.linker.passes.model import COMMON, UNDEFINED, InputSection, ObjectFile, OutputSection, Symbol
from uselib.linker.passes.output_symbols import OutputSymbol
from uselib.linker.passes.properties import NAME as PROPERTIES
from uselib.linker.passes.properties import property_section
from uselib.linker.passes.provided import Provided, provide_defsym, settle_symbols
from uselib.linker.passes.resolution import Resolution
from uselib.linker.passes.resolve import resolve
from uselib.linker.passes.synthetic import allocate_commons, build_id_section, seal
from uselib.linker.passes.writer import complete, contents
from uselib.linker.quick_dataclass import dataclass

_NAMES = {"COMMON": ".bss", ".tcommon": ".tbss"}  # of allocated commons
_ALIGNMENT = 1 << 12  # an object's sections are aligned in the file up to this


@dataclass(frozen=True)
class PartialLink:
    """What -r has made: the object's bytes, and what the map wants to know."""

    image: bytearray
    layout: Layout
    resolution: Resolution
    discarded: list[InputSection]  # by --gc-sections


@dataclass(frozen=True)
class _Group:
    """A section group of the output: the section that lists it, its members in the input, and the signature."""

    output: OutputSection
    flags: int
    members: tuple[InputSection, ...]
    file: ObjectFile
    signature: int  # number of the symbol in the file


def link_partially(options: Options) -> PartialLink:
    """Links. Raises LinkError or FormatError with every problem of the pass that failed."""
    resolution = resolve(options)
    provided = Provided()
    provide_defsym(resolution, options, provided)
    for file in resolution.files:
        excluded_sections(file)
    discarded = _collected(resolution, options) if options.gc_sections else []
    drop_dead_frames(resolution, discarded)
    commons = allocate_commons(resolution) if options.define_common else []
    groups = list(_groups(resolution.files))
    sections = [*_sections(resolution, options), *commons]
    if options.build_id:
        sections.append(build_id_section(options.build_id))
    outputs = _gathered(sections, options)
    kept = KeptRelocations(resolution.machine, outputs)
    layout = _laid_out(resolution.machine, [*(group.output for group in groups), *outputs, *kept.sections])
    settle(layout.sections)
    settle_symbols(resolution, provided, layout)
    image = bytearray()
    contents(image, layout)
    further = [*_signatures(groups), *_global_rows(resolution)]
    symbols = number_symbols(outputs, resolution.files, *_chosen(further, outputs, options))
    kept.fill(image, symbols, partial=True)
    _fill_groups(image, groups, kept, symbols.locals, symbols.globals, symbols.sections)
    complete(image, layout, 0, symbols.rows, ET_REL)
    seal(image, layout, options.build_id)
    return PartialLink(image, layout, resolution, discarded)


def _collected(resolution: Resolution, options: Options) -> list[InputSection]:
    names = [*([options.entry] if options.entry else []), *options.undefined, *options.require_defined]
    if not names:
        raise error("ld", "--gc-sections with -r needs a symbol to begin with", remedy="name it with -e or -u")
    symbols = resolution.symbols
    return collect(resolution, [symbols[name] for name in names if name in symbols])


# -- sections ------------------------------------------------------------------------------------------------------------


def _sections(resolution: Resolution, options: Options) -> Iterator[InputSection]:
    strip = options.strip_all or options.strip_debug
    for file in resolution.files:
        for section in file.sections:
            if section is None or section.name == PROPERTIES or not section.live or (strip and is_debug(section)):
                continue
            yield section
    if (properties := property_section(resolution.files, resolution.machine, options.keywords)) is not None:
        yield properties
    if any(STACK_NOTE in map(file.elf.section_name, range(len(file.elf.sections))) for file in resolution.files):
        flags = SHF_EXECINSTR if any(file.executable_stack for file in resolution.files) else 0
        yield InputSection(None, 0, STACK_NOTE, SHT_PROGBITS, flags, 0, 1)


def _gathered(sections: Iterable[InputSection], options: Options) -> list[OutputSection]:
    """Output sections with their sizes, in the order of their first inputs."""
    outputs: dict[object, OutputSection] = {}
    for section in sections:
        name = _NAMES.get(section.name, section.name)
        alone = bool(section.flags & SHF_GROUP) or bool(options.unique and section.file is not None)
        key = id(section) if alone else (name, section.flags & SHF_ALLOC, section.type == elf.SHT_NOTE)
        output = outputs.get(key)
        if output is None:
            output = outputs[key] = OutputSection(name, section.type, section.flags, entsize=section.entsize)
        else:
            output.flags = common_flags(output.flags, section.flags)
            if output.type != section.type:
                output.type = common_type(output.type, section.type)
            if output.entsize != section.entsize:
                output.entsize, output.flags = 0, output.flags & ~(elf.SHF_MERGE | elf.SHF_STRINGS)
        output.inputs.append(section)
    for output in outputs.values():
        arrange(output, [(0, section) for section in output.inputs])
    return list(outputs.values())


def _laid_out(machine: Machine, sections: list[OutputSection]) -> Layout:
    """File offsets; addresses are 0, so that a symbol's address is its offset in the section."""
    number(sections)
    position = elf.class_of(machine).header.size
    for section in sections:
        section.offset = position = align(position, min(section.alignment, _ALIGNMENT))
        position += section.size if section.type != SHT_NOBITS else 0
    for section in sections:
        if section.flags & SHF_LINK_ORDER and section.inputs and (file := section.inputs[0].file) is not None:
            about = file.sections[file.elf.sections[section.inputs[0].index].link]
            section.link_number = about.output.index if about is not None and about.output is not None else 0
    return Layout(machine, 0, tuple(sections), (), position, 0, 0)


# -- groups --------------------------------------------------------------------------------------------------------------


def _groups(files: Iterable[ObjectFile]) -> Iterator[_Group]:
    """The groups of which this file's copy stays."""
    for file in files:
        for index, header in enumerate(file.elf.sections):
            if header.type != SHT_GROUP:
                continue
            words = list(file.elf.records(index, 4).cast("I"))
            numbers = [elf.section_number(word) for word in words[1:]]
            if not words or header.info >= len(file.symbols) or any(n >= len(file.sections) for n in numbers):
                raise elf.bad(file.where, f"damaged section group {index}")
            members = [file.sections[n] for n in numbers if n not in file.discarded]
            there = tuple(member for member in members if member is not None and member.live)
            if there:
                size = 4 * (1 + len(there) + sum(bool(member.relocations()) for member in there))
                output = OutputSection(".group", SHT_GROUP, 0, 4, 4, size=size, link=".symtab")
                yield _Group(output, words[0], there, file, header.info)


def _signatures(groups: Iterable[_Group]) -> Iterator[NumberedRow]:
    """Local symbols that are signatures and nothing else: the assembler puts them into the group's own section."""
    for group in groups:
        file, index = group.file, group.signature
        record = file.symbols[index]
        own = record.section < len(file.elf.sections) and file.elf.sections[record.section].type == SHT_GROUP
        if index < file.first_global and record.type != STT_SECTION and own:
            row = OutputSymbol(file.strings[record.name], record.info, record.other, group.output.index, 0, 0)
            yield NumberedRow(row, (id(file), index))


def _fill_groups(
    image: bytearray,
    groups: Iterable[_Group],
    kept: KeptRelocations,
    local_numbers: dict[tuple[int, int], int],
    global_numbers: dict[int, int],
    section_numbers: dict[int, int],
) -> None:
    relocations = {id(target): section for section, target in zip(kept.sections, kept.targets, strict=True)}
    for group in groups:
        indices = []
        for member in group.members:
            assert member.output is not None
            indices.append(member.output.index)
            if (section := relocations.get(id(member.output))) is not None:
                indices.append(section.index)
        words = [group.flags, *map(elf.file_index, indices)]
        content = b"".join(word.to_bytes(4, "little") for word in words)
        image[group.output.offset : group.output.offset + len(content)] = content
        file, index = group.file, group.signature
        symbol, of_section = file.global_symbol(index), file.section_of(index)
        if symbol is not None:
            group.output.info = global_numbers.get(id(symbol), 0)
        elif (id(file), index) in local_numbers:
            group.output.info = local_numbers[id(file), index]
        elif of_section is not None and of_section.output is not None:
            group.output.info = section_numbers[of_section.output.index]


# -- symbols -------------------------------------------------------------------------------------------------------------


def _global_rows(resolution: Resolution) -> Iterator[NumberedRow]:
    for symbol in resolution.symbols.values():
        if (row := _global_row(symbol)) is not None:
            yield NumberedRow(row, id(symbol))


def _global_row(symbol: Symbol) -> OutputSymbol | None:
    name, section = symbol.name, symbol.section
    if symbol.rank == UNDEFINED:
        binding = STB_GLOBAL if symbol.strong_reference else STB_WEAK
        return OutputSymbol(name, binding << 4 | symbol.type, symbol.visibility, 0, 0, 0)
    info = (symbol.binding or STB_GLOBAL) << 4 | symbol.type
    if symbol.rank == COMMON:
        kind = info & ~15 | STT_COMMON if symbol.type == STT_COMMON else info
        return OutputSymbol(name, kind, symbol.visibility, SHN_COMMON, symbol.alignment, symbol.size)
    if section is None:
        return OutputSymbol(name, info, symbol.visibility, SHN_ABS, symbol.value, symbol.size)
    if section.output is None or not section.live:
        return None
    return OutputSymbol(name, info, symbol.visibility, section.output.index, symbol.location, symbol.size)


def _chosen(
    further: list[NumberedRow], outputs: Iterable[OutputSection], options: Options
) -> tuple[list[NumberedRow], Callable[[ObjectFile, int, str], bool]]:
    """The rows of global symbols that stay, and whether a local one does: -s keeps those that relocations are for, -x and -X no labels."""
    if options.strip_all:
        used = used_locals(outputs)
        return further, lambda file, index, _: (id(file), index) in used
    if options.discard_locals:
        return further, lambda *_: False
    if options.discard_labels:
        return further, lambda _file, _index, name: not name.startswith(".L")
    return further, lambda *_: True
