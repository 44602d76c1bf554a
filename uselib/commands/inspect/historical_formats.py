"""`uselib inspect` for the historical formats: a.out, COFF of System V, the textbook's; and their stub archives."""

from __future__ import annotations

from collections.abc import Callable

from uselib.commands.inspect.records import Facts
from uselib.linker.errors import FormatError
from uselib.linker.formats.ar import MAGIC, Archive
from uselib.linker.formats.library_names import NEEDS_PREFIX
from uselib.linker.historical.aout import format as aout
from uselib.linker.historical.aout import image as aout_image
from uselib.linker.historical.aout import stub as aout_stub
from uselib.linker.historical.coff import format as coff
from uselib.linker.historical.textbook import format as textbook
from uselib.linker.image import Image
from uselib.loader.programs.aout_names import slot_names


def facts_of(data: bytes, path: str) -> Facts | None:
    """The facts of a file of one of these formats; None for others. Raises FormatError."""
    for recognise, read in _READERS:
        if recognise(data):
            return read(data, path)
    return None


# -- a.out ---------------------------------------------------------------------------------------------------------------------


def _aout(data: bytes, path: str) -> Facts:
    header = aout.decode_header(data, path)
    library = aout_image.is_library(header)
    names = slot_names(path, header.library_base()) if library else {}
    image = aout_image.read_image(data, path, names)
    file = aout.decode(data, path)
    facts: Facts = {
        "kind": "a.out",
        "path": path,
        "magic": header.magic.name,
        "what": _what(file, library),
        "entry": header.entry,
        "sizes": {"text": header.text, "data": header.data, "bss": header.bss},
        "relocations": len(file.text_relocations) + len(file.data_relocations),
        "symbols": _aout_symbols(file),
    }
    if image.library is not None:
        facts |= _library(image)
    return facts


def _what(file: aout.Aout, library: bool) -> str:
    if library:
        return "library"
    linked = not file.text_relocations and not file.data_relocations
    return "program" if file.header.magic is not aout.Magic.OMAGIC or (linked and file.header.text) else "object"


_KINDS = {aout.N_UNDF: "U", aout.N_ABS: "A", aout.N_TEXT: "T", aout.N_DATA: "D", aout.N_BSS: "B", aout.N_INDR: "I"}


def _aout_symbols(file: aout.Aout) -> list[Facts]:
    rows = []
    for symbol in file.symbols:
        if symbol.stab or not symbol.name:
            continue
        kind = (
            "C"
            if symbol.common
            else "set"
            if symbol.set_element or symbol.kind == aout.N_SETV
            else _KINDS.get(symbol.kind, "?")
        )
        rows.append(
            {
                "name": symbol.name,
                "value": symbol.value,
                "type": kind if symbol.external or kind == "set" else kind.lower(),
            }
        )
    return rows


def _library(image: Image) -> Facts:
    header = image.library
    assert header is not None
    who = header.identity
    by_number = {export.slot: export for export in image.exports}
    slots = []
    for number in range(1, who.slot_count + 1):
        export = by_number.get(number)
        name, target = (export.name, export.implementation) if export else ("", None)
        slots.append({"slot": number, "address": header.slot_address(number), "name": name, "target": target})
    return {"name": who.name, "version": str(who.version), "base": who.base, "end": who.end, "slots": slots}


def _show_aout(facts: Facts) -> list[str]:
    lines = [f"{facts['path']}: a.out {facts['what']} ({facts['magic']}), entry {facts['entry']:#x}"]
    lines.append("  " + ", ".join(f"{name} {size:#x}" for name, size in facts["sizes"].items()))
    if "slots" in facts:
        lines.append(
            f"  {facts['name']} {facts['version']} at {facts['base']:#x}-{facts['end'] - 1:#x}, {len(facts['slots'])} slots"
        )
        for row in facts["slots"]:
            target = "" if row["target"] is None else f" -> {row['target']:#x}"
            lines.append(f"  {row['slot']:>5} {row['address']:#010x} {row['name'] or '?'}{target}")
    return [*lines, *_show_symbols(facts["symbols"])]


def _show_symbols(rows: list[Facts]) -> list[str]:
    if not rows:
        return []
    return ["  symbols:", *(f"    {row['value']:08x} {row['type']:>3} {row['name']}" for row in rows)]


# -- stub archives of a.out ------------------------------------------------------------------------------------------------------


def _is_aout_stub(data: bytes) -> bool:
    if data[:8] != MAGIC:
        return False
    try:
        for member in Archive(data, "").members()[:2]:
            content = data[member.start : member.start + member.size]
            if aout.is_aout(content):
                return any(s.name.startswith(NEEDS_PREFIX) for s in aout.decode(content, "").symbols)
    except FormatError:
        pass  # the reader of archives reports what is wrong, and where
    return False


def _aout_stub(data: bytes, path: str) -> Facts:
    stub = aout_stub.read_archive(data, path)
    return {
        "kind": "a.out stub archive",
        "path": path,
        "library": stub.name,
        "text": stub.version_text,
        "base": stub.base,
        "version": str(aout_stub.version_of(stub.version & ~aout_stub.CLASSIC)),
        "classic": bool(stub.version & aout_stub.CLASSIC),
        "functions": stub.functions,
        "data": stub.data,
        "cells": stub.cells,
    }


def _show_aout_stub(facts: Facts) -> list[str]:
    rule = ", classic: only this very version will do" if facts["classic"] else ""
    lines = [
        f"{facts['path']}: stub archive of {facts['library']} ({facts['text']}), version {facts['version']}{rule}, at {facts['base']:#x}"
    ]
    for title, key in (("functions", "functions"), ("variables", "data"), ("cells of variables", "cells")):
        rows = sorted(facts[key].items(), key=lambda item: (item[1], item[0]))
        lines.append(f"  {len(rows)} {title}:")
        lines += [f"    {address:#010x} {name}" for name, address in rows]
    return lines


# -- COFF ------------------------------------------------------------------------------------------------------------------------


def _coff(data: bytes, path: str) -> Facts:
    file = coff.decode(data, path)
    magic = file.optional.magic if file.optional is not None else 0
    what = "target library" if magic == coff.LIBMAGIC else "program" if file.flags & coff.F_EXEC else "object"
    libraries = [
        r.path for s in file.sections if s.flags & coff.STYP_LIB for r in coff.decode_libraries(s.content, path)
    ]
    return {
        "kind": "COFF",
        "path": path,
        "what": what,
        "entry": file.optional.entry if file.optional is not None else None,
        "sections": [
            {"name": s.name, "address": s.address, "size": s.size, "flags": s.flags, "relocations": len(s.relocations)}
            for s in file.sections
        ],
        "libraries": libraries,
        "symbols": [
            {"name": s.name, "value": s.value, "type": "ext" if s.storage == coff.C_EXT else "stat"}
            for s in file.symbols
            if s.section != coff.N_DEBUG and s.storage in (coff.C_EXT, coff.C_STAT) and not s.auxiliary
        ],
    }


def _show_coff(facts: Facts) -> list[str]:
    entry = "" if facts["entry"] is None else f", entry {facts['entry']:#x}"
    lines = [f"{facts['path']}: COFF {facts['what']} (System V Release 3, i386){entry}"]
    for row in facts["sections"]:
        more = f", {row['relocations']} relocations" if row["relocations"] else ""
        lines.append(f"  {row['name']:<10} {row['address']:#010x} {row['size']:#8x}  flags {row['flags']:#x}{more}")
    if facts["libraries"]:
        lines += ["  the kernel maps:", *(f"    {path}" for path in facts["libraries"])]
    return [*lines, *_show_symbols(facts["symbols"])]


# -- the textbook's ---------------------------------------------------------------------------------------------------------------


def _textbook(data: bytes, path: str) -> Facts:
    file = textbook.decode(data, path)
    undefined = any(symbol.type == "U" for symbol in file.symbols)
    return {
        "kind": "LINK",
        "path": path,
        "what": "object" if file.relocations or undefined else "linked file",
        "segments": [{"name": s.name, "start": s.start, "length": s.length, "flags": s.flags} for s in file.segments],
        "symbols": [{"name": s.name, "value": s.value, "type": s.type} for s in file.symbols],
        "relocations": len(file.relocations),
    }


def _show_textbook(facts: Facts) -> list[str]:
    lines = [f"{facts['path']}: {facts['what']} in the textbook's format, {facts['relocations']} relocations"]
    lines += [
        f"  {row['name']:<10} {row['start']:#010x} {row['length']:#8x}  {row['flags']}" for row in facts["segments"]
    ]
    return [*lines, *_show_symbols(facts["symbols"])]


def _textbook_library(data: bytes, path: str) -> Facts:
    library = textbook.decode_library(data, path)
    return {
        "kind": "LIBRARY",
        "path": path,
        "shared": library.shared,
        "dependencies": list(library.dependencies),
        "modules": [{"name": m.name, "size": len(m.content), "defines": list(m.defines)} for m in library.modules],
    }


def _show_textbook_library(facts: Facts) -> list[str]:
    what = f"stub library of {facts['shared']}" if facts["shared"] else "library"
    lines = [f"{facts['path']}: {what} in the textbook's file format, {len(facts['modules'])} modules"]
    lines += [f"  depends on {name}" for name in facts["dependencies"]]
    return [*lines, *(f"  {row['name']:<10} {row['size']:>6}  {' '.join(row['defines'])}" for row in facts["modules"])]


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes, str], Facts]], ...] = (
    (aout.is_aout, _aout),
    (_is_aout_stub, _aout_stub),
    (coff.is_coff, _coff),
    (textbook.is_textbook, _textbook),
    (textbook.is_textbook_library, _textbook_library),
)
SHOW: dict[str, Callable[[Facts], list[str]]] = {
    "a.out": _show_aout,
    "a.out stub archive": _show_aout_stub,
    "COFF": _show_coff,
    "LINK": _show_textbook,
    "LIBRARY": _show_textbook_library,
}
