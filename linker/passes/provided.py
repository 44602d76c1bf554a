"""Symbols that the linker itself defines: of the layout, `__start_X` and `__stop_X`, --defsym."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from uselib.linker.errors import Diagnostic, LinkError, error
from uselib.linker.formats.elf import (
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_TLS,
    SHF_WRITE,
    SHT_NOBITS,
    STT_OBJECT,
    STT_TLS,
    STV_DEFAULT,
    STV_HIDDEN,
    STV_INTERNAL,
    STV_PROTECTED,
)
from uselib.linker.options import Options
from uselib.linker.passes.definitions import define
from uselib.linker.passes.eh_frame import HEADER
from uselib.linker.passes.layout import Layout
from uselib.linker.passes.model import UNDEFINED, OutputSection, Symbol
from uselib.linker.passes.resolution import Resolution
from uselib.linker.quick_dataclass import dataclass, field


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


def _got(layout: Layout) -> int:
    """.got.plt of dynamic outputs, else .got."""
    return _start_of(".got.plt" if layout.find(".got.plt") is not None else ".got")(layout)


# Defined if referred to and not defined otherwise (PROVIDE in GNU ld's script).
PROVIDED: dict[str, Callable[[Layout], int]] = {
    "__executable_start": _base,
    "__ehdr_start": _base,
    "etext": _etext,
    "_etext": _etext,
    "__etext": _etext,
    "edata": _edata,
    "_edata": _edata,
    "__bss_start": _bss_start,
    "end": _end,
    "_end": _end,
    "__preinit_array_start": _start_of(".preinit_array"),
    "__preinit_array_end": _end_of(".preinit_array"),
    "__init_array_start": _start_of(".init_array"),
    "__init_array_end": _end_of(".init_array"),
    "__fini_array_start": _start_of(".fini_array"),
    "__fini_array_end": _end_of(".fini_array"),
    "__rela_iplt_start": _start_of(".rela.plt"),
    "__rela_iplt_end": _end_of(".rela.plt"),
    "__rel_iplt_start": _start_of(".rel.plt"),
    "__rel_iplt_end": _end_of(".rel.plt"),
    "__tdata_start": _start_of(".tdata"),
    "_GLOBAL_OFFSET_TABLE_": _got,
    "__GNU_EH_FRAME_HDR": _start_of(HEADER),
}
# For local-dynamic descriptors: in a shared object the start of its thread-local data. In a program these have become local-exec, where
# offsets count from the thread pointer.
TLS_BASE = "_TLS_MODULE_BASE_"
PROVIDED[TLS_BASE] = lambda layout: layout.thread_pointer
# of -z start-stop-visibility
VISIBILITIES = {"default": STV_DEFAULT, "internal": STV_INTERNAL, "hidden": STV_HIDDEN, "protected": STV_PROTECTED}
_TABLES = ("_GLOBAL_OFFSET_TABLE_", "_DYNAMIC")  # local symbols of the output
ALWAYS = ("_edata", "__bss_start", "_end")  # in programs
ENDS = frozenset(
    {"etext", "_etext", "__etext", "edata", "_edata", "end", "_end"}
)  # each lies in the section that ends there
# What GNU ld's script defines for other objects too; the rest is hidden there (PROVIDE_HIDDEN) or local.
EXECUTABLE = "__executable_start"  # of programs
VISIBLE = ENDS | {EXECUTABLE, "__bss_start"}


def is_bound(name: str) -> bool:
    """Whether the name is __start_X or __stop_X."""
    return name.startswith(("__start_", "__stop_"))


@dataclass
class Provided:
    """The linker's own symbols, and how to compute their values once there is a layout."""

    values: list[tuple[Symbol, Callable[[Layout], int]]] = field(default_factory=list)
    defsym: list[tuple[Symbol, str]] = field(default_factory=list)


def provide(resolution: Resolution, options: Options, further: Mapping[str, Callable[[Layout], int]]) -> Provided:
    """Defines the symbols of the layout that are referred to, those of the kind of output, `__start_X`/`__stop_X`, and --defsym's."""
    result = Provided()
    symbols = resolution.symbols
    if options.shape != "shared":
        for name in ALWAYS:
            if name not in symbols:
                symbols[name] = Symbol(name)
    for name, value in {**PROVIDED, **further}.items():
        symbol = symbols.get(name)
        if symbol is not None and symbol.rank == UNDEFINED:
            define(symbol, None, 0)
            if name == TLS_BASE:
                symbol.type, symbol.visibility = STT_TLS, STV_HIDDEN
            elif name in _TABLES:
                symbol.type, symbol.visibility = STT_OBJECT, STV_HIDDEN
            result.values.append((symbol, value))
    wanted = [s for s in symbols.values() if s.rank == UNDEFINED and is_bound(s.name)]
    if wanted:
        # of every section that an input has, also of an empty one, which has no `InputSection`
        headers = [(f.elf.names, header) for f in resolution.files for header in f.elf.sections]
        names = {names[header.name] for names, header in headers if header.flags & SHF_ALLOC}
        for symbol in wanted:
            section = symbol.name.removeprefix("__start_").removeprefix("__stop_")
            if section in names and section.isidentifier():
                start = symbol.name.startswith("__start_")
                define(symbol, None, 0)
                if not symbol.visibility:
                    symbol.visibility = VISIBILITIES[options.start_stop_visibility]
                result.values.append((symbol, _start_of(section) if start else _end_of(section)))
    provide_defsym(resolution, options, result)
    return result


def provide_defsym(resolution: Resolution, options: Options, provided: Provided) -> None:
    """Defines the symbols of --defsym: another name of a place in a section, or a number that comes later."""
    for name, expression in resolution.defsym:
        symbol = resolution.symbols[name]
        define(symbol, None, 0)
        match = _SUM.fullmatch(expression)
        target = resolution.symbols.get(match[1]) if match is not None else None
        if match is None or target is None or target is symbol or target.section is None:
            provided.defsym.append((symbol, expression))
            continue
        define(symbol, target.section, target.value + _amount(match))
        if not match[2]:
            symbol.type, symbol.size = target.type, target.size


_SUM = re.compile(r"\s*([A-Za-z_.$][\w.$]*|0[xX][0-9a-fA-F]+|\d+)\s*(?:([-+])\s*(0[xX][0-9a-fA-F]+|\d+)\s*)?")


def _amount(match: re.Match[str]) -> int:
    """What is added to the first operand."""
    _, sign, text = match.groups()
    if not text:
        return 0
    amount = int(text, 0) if text.lower().startswith("0x") else int(text)
    return amount if sign == "+" else -amount


def evaluate(expression: str, resolution: Resolution) -> int:
    """The value of a --defsym expression: NUMBER, SYMBOL, SYMBOL+NUMBER or SYMBOL-NUMBER. Raises LinkError."""
    match = _SUM.fullmatch(expression)
    if match is None:
        raise error(
            "--defsym",
            f"`{expression}` is not understood",
            remedy="write NUMBER, SYMBOL, SYMBOL+NUMBER or SYMBOL-NUMBER",
        )
    first = match[1]
    if first[0].isdigit():
        value = int(first, 0) if first.lower().startswith("0x") else int(first)
    else:
        symbol = resolution.symbols.get(first)
        if symbol is None or symbol.rank == UNDEFINED:
            raise error("--defsym", "undefined symbol", symbol=first)
        value = symbol.address
    return value + _amount(match)


def settle_symbols(resolution: Resolution, provided: Provided, layout: Layout) -> None:
    """Final addresses of all global symbols. --defsym last, since it may name any other."""
    for symbol in resolution.symbols.values():
        section = symbol.section
        if section is None:
            symbol.address = symbol.value
        elif section.pieces is None:
            symbol.address = section.address + symbol.value
        else:
            symbol.address = section.pieces.address(symbol.value)
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
