"""What the linker itself adds: symbols of the layout, common variables, the GOT, IRELATIVE entries, build-id, .eh_frame_hdr."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from uselib.linker.errors import Diagnostic, LinkError, error
from uselib.linker.formats import elf
from uselib.linker.formats.elf import (
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_TLS,
    SHF_WRITE,
    SHT_NOBITS,
    SHT_NOTE,
    SHT_PROGBITS,
    SHT_REL,
    SHT_RELA,
    STT_TLS,
)
from uselib.linker.image import Machine
from uselib.linker.options import Options
from uselib.linker.passes import eh_frame, i386, x86_64
from uselib.linker.passes.inputs import COMMON, MAX_ALIGNMENT, STRONG, UNDEFINED, InputSection, Symbol
from uselib.linker.passes.layout import Layout, OutputSection
from uselib.linker.passes.relocations import Applying, MachineRelocations, Needs, SymbolKey
from uselib.linker.passes.resolve import Resolution, define

RELOCATIONS: dict[Machine, MachineRelocations] = {
    Machine.I386: i386.RELOCATIONS, Machine.X86_64: x86_64.RELOCATIONS,
}  # fmt: skip
_IPLT = {Machine.I386: i386.iplt_entry, Machine.X86_64: x86_64.iplt_entry}
_IPLT_SIZE = 16


# -- symbols of the layout ---------------------------------------------------------------------------------------------


def _start_of(*names: str) -> Callable[[Layout], int]:
    def address(layout: Layout) -> int:
        found = [s.address for s in layout.sections if s.name in names and s.flags & SHF_ALLOC]
        return min(found) if found else layout.base  # empty: start and end are equal

    return address


def _end_of(*names: str) -> Callable[[Layout], int]:
    def address(layout: Layout) -> int:
        found = [s.end for s in layout.sections if s.name in names and s.flags & SHF_ALLOC]
        return max(found) if found else layout.base

    return address


def _loaded(layout: Layout) -> list[OutputSection]:
    return [s for s in layout.sections if s.flags & SHF_ALLOC and not (s.flags & SHF_TLS and s.type == SHT_NOBITS)]


def _end(layout: Layout) -> int:
    return max((s.end for s in _loaded(layout)), default=layout.base)


def _etext(layout: Layout) -> int:
    return max((s.end for s in _loaded(layout) if s.flags & SHF_EXECINSTR), default=layout.base)


def _edata(layout: Layout) -> int:
    data = [s.end for s in _loaded(layout) if s.flags & SHF_WRITE and s.type != SHT_NOBITS]
    return max(data, default=_bss_start(layout))


def _bss_start(layout: Layout) -> int:
    bss = [s.address for s in _loaded(layout) if s.flags & SHF_WRITE and s.type == SHT_NOBITS]
    data = [s.end for s in _loaded(layout) if s.flags & SHF_WRITE and s.type != SHT_NOBITS]
    return min(bss) if bss else max(data, default=_end(layout))


def _base(layout: Layout) -> int:
    return layout.base


# Defined if referred to and not defined otherwise (PROVIDE in GNU ld's script).
PROVIDED: dict[str, Callable[[Layout], int]] = {
    "__executable_start": _base, "__ehdr_start": _base,
    "etext": _etext, "_etext": _etext, "__etext": _etext,
    "edata": _edata, "_edata": _edata, "__bss_start": _bss_start, "end": _end, "_end": _end,
    "__preinit_array_start": _start_of(".preinit_array"), "__preinit_array_end": _end_of(".preinit_array"),
    "__init_array_start": _start_of(".init_array"), "__init_array_end": _end_of(".init_array"),
    "__fini_array_start": _start_of(".fini_array"), "__fini_array_end": _end_of(".fini_array"),
    "__rela_iplt_start": _start_of(".rela.plt"), "__rela_iplt_end": _end_of(".rela.plt"),
    "__rel_iplt_start": _start_of(".rel.plt"), "__rel_iplt_end": _end_of(".rel.plt"),
    "__tdata_start": _start_of(".tdata"), "_GLOBAL_OFFSET_TABLE_": _start_of(".got"),
    "__GNU_EH_FRAME_HDR": _start_of(eh_frame.HEADER),
}  # fmt: skip
ALWAYS = ("_edata", "__bss_start", "_end")


@dataclass
class Provided:
    """The linker's own symbols, and how to compute their values once there is a layout."""

    values: list[tuple[Symbol, Callable[[Layout], int]]] = field(default_factory=list)
    defsym: list[tuple[Symbol, str]] = field(default_factory=list)


def provide(resolution: Resolution, options: Options) -> Provided:
    """Defines the symbols of the layout that are referred to, `__start_X`/`__stop_X`, and --defsym's."""
    result = Provided()
    symbols = resolution.symbols
    for name in ALWAYS:
        if name not in symbols:
            symbols[name] = Symbol(name)
    for name, value in PROVIDED.items():
        symbol = symbols.get(name)
        if symbol is not None and symbol.rank == UNDEFINED:
            define(symbol, None, 0)
            result.values.append((symbol, value))
    wanted = [s for s in symbols.values() if s.rank == UNDEFINED and s.name.startswith(("__start_", "__stop_"))]
    if wanted:
        names = {s.name for f in resolution.files for s in f.sections if s is not None and s.flags & SHF_ALLOC}
        for symbol in wanted:
            section = symbol.name.removeprefix("__start_").removeprefix("__stop_")
            if section in names and section.isidentifier():
                start = symbol.name.startswith("__start_")
                define(symbol, None, 0)
                if not symbol.visibility:
                    symbol.visibility = elf.STV_PROTECTED
                result.values.append((symbol, _start_of(section) if start else _end_of(section)))
    for name, expression in options.defsym:
        symbol = symbols[name]
        define(symbol, None, 0)
        result.defsym.append((symbol, expression))
    return result


def evaluate(expression: str, resolution: Resolution) -> int:
    """The value of a --defsym expression: NUMBER, SYMBOL, SYMBOL+NUMBER or SYMBOL-NUMBER. Raises LinkError."""
    match = re.fullmatch(
        r"\s*([A-Za-z_.$][\w.$]*|0[xX][0-9a-fA-F]+|\d+)\s*(?:([-+])\s*(0[xX][0-9a-fA-F]+|\d+)\s*)?", expression
    )
    if match is None:
        raise error(
            "--defsym",
            f"`{expression}` is not understood",
            remedy="write NUMBER, SYMBOL, SYMBOL+NUMBER or SYMBOL-NUMBER",
        )
    first, sign, second = match.groups()
    if first[0].isdigit():
        value = int(first, 0) if first.lower().startswith("0x") else int(first)
    else:
        symbol = resolution.symbols.get(first)
        if symbol is None or symbol.rank == UNDEFINED:
            raise error("--defsym", "undefined symbol", symbol=first)
        value = symbol.address
    if second:
        amount = int(second, 0) if second.lower().startswith("0x") else int(second)
        value += amount if sign == "+" else -amount
    return value


# -- sections ----------------------------------------------------------------------------------------------------------


def allocate_commons(resolution: Resolution) -> list[InputSection]:
    """Gives every common symbol a place of its own in .bss (or .tbss)."""
    result = []
    for symbol in resolution.symbols.values():
        if symbol.rank != COMMON:
            continue
        thread = symbol.type == STT_TLS
        flags = SHF_ALLOC | SHF_WRITE | (SHF_TLS if thread else 0)
        alignment = symbol.alignment
        if alignment & (alignment - 1) or alignment > MAX_ALIGNMENT:
            where = symbol.file.where if symbol.file else ""
            raise error(
                where, f"a common symbol has alignment {alignment}, not a power of two up to 64 MiB", symbol=symbol.name
            )
        name = ".tcommon" if thread else "COMMON"
        section = InputSection(symbol.file, 0, name, SHT_NOBITS, flags, symbol.size, alignment)
        symbol.section, symbol.value, symbol.rank = section, 0, STRONG
        if symbol.type == elf.STT_COMMON or not symbol.type:
            symbol.type = elf.STT_OBJECT
        result.append(section)
    return result


@dataclass
class Tables:
    """The GOT and the entries for functions resolved at start-up. `sections` go to the layout."""

    sections: list[InputSection] = field(default_factory=list)
    got: InputSection | None = None
    iplt: InputSection | None = None
    needs: Needs = field(default_factory=Needs)
    machine: Machine = Machine.X86_64

    @property
    def got_address(self) -> int:
        return self.got.address if self.got is not None else 0

    def _entries(self, keys: Mapping[SymbolKey, object], skip: int) -> dict[SymbolKey, int]:
        word = self.machine.word
        return {key: self.got_address + (skip + n) * word for n, key in enumerate(keys)}

    def got_entries(self) -> dict[SymbolKey, int]:
        return self._entries(self.needs.got, 0)

    def got_tp_entries(self) -> dict[SymbolKey, int]:
        return self._entries(self.needs.got_tp, len(self.needs.got))

    def got_tp_positive_entries(self) -> dict[SymbolKey, int]:
        return self._entries(self.needs.got_tp_positive, len(self.needs.got) + len(self.needs.got_tp))

    def ifunc_slots(self) -> list[int]:
        """Addresses of the GOT words that IRELATIVE fills in."""
        needs = self.needs
        first = len(needs.got) + len(needs.got_tp) + len(needs.got_tp_positive)
        return [self.got_address + (first + n) * self.machine.word for n in range(len(needs.ifuncs))]

    def iplt_address(self, number: int) -> int:
        assert self.iplt is not None
        return self.iplt.address + number * _IPLT_SIZE


def make_tables(needs: Needs, machine: Machine, resolvers: Callable[[], list[int]]) -> Tables:
    """Creates .got and, for STT_GNU_IFUNC, .plt and .rela.plt. `resolvers` gives the resolver addresses at the end."""
    tables = Tables(needs=needs, machine=machine)
    word = machine.word
    count = len(needs.got) + len(needs.got_tp) + len(needs.got_tp_positive) + len(needs.ifuncs)
    mask = (1 << 8 * word) - 1

    def build_got(run: Applying) -> bytes:
        values = []
        for file, index in needs.got.values():
            values.append(run.values(file).references[index] or 0)
        for sign, rows in ((1, needs.got_tp), (-1, needs.got_tp_positive)):
            for file, index in rows.values():
                values.append(sign * ((run.values(file).references[index] or 0) - run.thread_pointer))
        values += resolvers() if word == 4 else [tables.iplt_address(n) for n in range(len(needs.ifuncs))]
        return b"".join((v & mask).to_bytes(word, "little") for v in values).ljust(size, b"\0")

    if count or needs.uses_got:
        size = max(count, 1) * word
        tables.got = InputSection(None, 0, ".got", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, size, word, word)
        tables.got.build = build_got
        tables.sections.append(tables.got)
    if needs.ifuncs:
        number = len(needs.ifuncs)
        tables.iplt = InputSection(None, 0, ".plt", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, number * _IPLT_SIZE, 16)
        tables.iplt.build = lambda _: b"".join(
            _IPLT[machine](tables.iplt_address(n), slot) for n, slot in enumerate(tables.ifunc_slots())
        )
        if word == 8:  # Elf64_Rela: r_offset, r_info (R_X86_64_IRELATIVE), r_addend = resolver
            relocations = InputSection(None, 0, ".rela.plt", SHT_RELA, SHF_ALLOC, number * 24, 8, 24)
            relocations.build = lambda _: b"".join(
                struct.pack("<QQQ", slot, x86_64.IRELATIVE, resolver)
                for slot, resolver in zip(tables.ifunc_slots(), resolvers(), strict=True)
            )
        else:  # Elf32_Rel: the resolver is in the slot
            relocations = InputSection(None, 0, ".rel.plt", SHT_REL, SHF_ALLOC, number * 8, 4, 8)
            relocations.build = lambda _: b"".join(
                struct.pack("<II", slot, i386.IRELATIVE) for slot in tables.ifunc_slots()
            )
        tables.sections += [tables.iplt, relocations]
    return tables


def settle_symbols(resolution: Resolution, provided: Provided, layout: Layout) -> None:
    """Final addresses of all global symbols. --defsym last, since it may name any other."""
    for symbol in resolution.symbols.values():
        symbol.address = address_of(symbol)
    for symbol, value in provided.values:
        symbol.value = symbol.address = value(layout)
    problems: list[Diagnostic] = []
    for symbol, expression in provided.defsym:
        try:
            symbol.value = symbol.address = evaluate(expression, resolution)
        except LinkError as failure:
            problems += failure.diagnostics
    if problems:
        raise LinkError(*problems)


def address_of(symbol: Symbol) -> int:
    """Where the definition lies (0 if undefined): for a function resolved at start-up, its resolver."""
    section = symbol.section
    if section is None:
        return symbol.value
    if section.pieces is not None:
        return section.pieces.address(symbol.value)
    return section.address + symbol.value


# -- build-id and unwind index -----------------------------------------------------------------------------------------


def build_id_section(style: str) -> InputSection:
    """NT_GNU_BUILD_ID (type 3): name "GNU", descriptor filled in by `seal`."""
    size = {"sha1": 20, "md5": 16}.get(style, len(style) // 2)
    descriptor = b"\0" * size if style in ("sha1", "md5") else bytes.fromhex(style)
    content = struct.pack("<III", 4, size, 3) + b"GNU\0" + descriptor + b"\0" * (-size % 4)
    return InputSection(None, 0, ".note.gnu.build-id", SHT_NOTE, SHF_ALLOC, len(content), 4, 0, content)


def seal(image: bytearray, layout: Layout, style: str) -> None:
    """Writes the digest of the whole output, its own field zero, into the build-id note."""
    section = layout.find(".note.gnu.build-id")
    if section is not None and style in ("sha1", "md5"):
        import hashlib  # only where it is asked for: it loads OpenSSL

        digest = hashlib.new(style, image, usedforsecurity=False).digest()
        image[section.offset + 16 : section.offset + 16 + len(digest)] = digest


def eh_frame_header(frames: list[InputSection]) -> InputSection:
    """.eh_frame_hdr of the right size; `finish_eh_frame` fills it after relocation."""
    size = 12 + 8 * eh_frame.count(frames)
    return InputSection(None, 0, eh_frame.HEADER, SHT_PROGBITS, SHF_ALLOC, size, 4, 0, b"\0" * size)


def finish_eh_frame(image: bytearray, layout: Layout) -> None:
    index, frames = layout.find(eh_frame.HEADER), layout.find(eh_frame.NAME)
    if index is None or frames is None:
        return
    data = bytes(image[frames.offset : frames.offset + frames.size])
    image[index.offset : index.offset + index.size] = eh_frame.header(
        data, frames.address, index.address, index.size, layout.machine.word
    )


__all__ = [
    "PROVIDED", "RELOCATIONS", "Diagnostic", "Provided", "Tables", "address_of", "allocate_commons", "build_id_section",
    "eh_frame_header", "evaluate", "finish_eh_frame", "make_tables", "provide", "seal", "settle_symbols",
]  # fmt: skip
