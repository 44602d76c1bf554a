"""`uselib inspect`: what a file says of itself. Target libraries, programs, stub libraries, archives, objects.

Each kind of file gives one dictionary of facts (that is what `--json` prints); the text is made from the same facts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from uselib.commands import inspect_historical
from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats import elf, elf_image
from uselib.linker.formats.ar import MAGIC, THIN_MAGIC, Archive
from uselib.linker.formats.library_names import EMPTY_SUFFIX, IMPLEMENTATION_SUFFIX, LIBRARY_NAME, RETIRED_SUFFIX
from uselib.linker.image import (
    EXEC,
    READ,
    WRITE,
    Export,
    ExportKind,
    Identity,
    Image,
    LibraryHeader,
    Machine,
    Segment,
)
from uselib.linker.library import digest, jump_table, stub
from uselib.linker.library.releases import previous
from uselib.linker.library.releases.history import History, PlaceState
from uselib.linker.reading import read_file

Facts = dict[str, Any]

_ARRAY_LIMIT = 4096  # entries of an init array that are shown


def _flags(flags: int) -> str:
    return "".join(letter if flags & flag else "-" for letter, flag in (("R", READ), ("W", WRITE), ("X", EXEC)))


def _segments(segments: Iterable[Segment]) -> list[Facts]:
    return [
        {"address": s.address, "memory_size": s.memory_size, "offset": s.offset, "file_size": s.file_size, "flags": _flags(s.flags)}
        for s in segments
    ]  # fmt: skip


def _identity(who: Identity) -> Facts:
    return {
        "name": who.name, "version": str(who.version), "base": who.base, "size": who.size, "digest": who.digest.hex(),
        "slots": who.slot_count,
    }  # fmt: skip


def _bytes_at(data: bytes, segments: Iterable[Segment], address: int, size: int) -> bytes:
    """The file's bytes for a range of memory, as far as they are in the file."""
    for segment in segments:
        if segment.address <= address < segment.address + segment.file_size:
            start = segment.offset + address - segment.address
            return data[start : min(start + size, segment.offset + segment.file_size)]
    return b""


def _words(data: bytes, header: LibraryHeader, where: tuple[int, int]) -> list[int]:
    """The pointers of an init or fini array: (address, count)."""
    address, count = where
    word = header.machine.word
    raw = _bytes_at(data, header.segments, address, min(count, _ARRAY_LIMIT) * word)
    return [int.from_bytes(raw[i : i + word], "little") for i in range(0, len(raw) - word + 1, word)]


def _disassemble(machine: Machine, raw: bytes, address: int) -> str:
    """The first instruction of `raw`, in Intel's notation."""
    import capstone

    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32 if machine is Machine.I386 else capstone.CS_MODE_64)
    for instruction in engine.disasm(raw, address, 1):
        return f"{instruction.mnemonic} {instruction.op_str}".strip()
    return "(bad)"


def _leads_to(target: int | None, export: Export | None, at: dict[int, str]) -> str:
    """The name at a slot's target; of several, the function's own."""
    if target is None:
        return ""
    if export is not None and target == export.implementation:
        return export.name + IMPLEMENTATION_SUFFIX
    return at.get(target, "")


def _unfilled(slot: jump_table.JumpSlot, known: History | None, at: dict[int, str]) -> str:
    """The name that an empty or retired slot had or is reserved for."""
    if known is not None and slot.number <= len(known.slots):
        return known.slots[slot.number - 1].name or f"slot{slot.number}"
    return at.get(slot.address, "").removesuffix(EMPTY_SUFFIX).removesuffix(RETIRED_SUFFIX)


def _reserved(known: History | None) -> list[Facts]:
    """Places that hold nothing any more, and are kept for programs linked with earlier releases."""
    return [
        {"name": p.name, "address": p.address, "size": p.reserved, "state": p.state.value, "since": str(p.since)}
        for p in (known.places if known is not None else ())
        if p.state in (PlaceState.MOVED, PlaceState.RETIRED)
    ]


def _slots(data: bytes, image: Image, header: LibraryHeader, known: History | None) -> list[Facts]:
    count = header.identity.slot_count
    raw = _bytes_at(data, header.segments, header.jump_table, count * jump_table.SLOT_SIZE)
    functions = [export for export in image.exports if export.kind is ExportKind.FUNCTION]
    by_slot: dict[int, Export] = {export.slot: export for export in functions}
    by_target: dict[int, Export] = {export.implementation: export for export in functions}
    at = {symbol.address: symbol.name for symbol in reversed(image.symbols) if symbol.function}
    rows = []
    for slot in jump_table.decode(raw, header.jump_table, count, (1 << 8 * header.machine.word) - 1):
        export = by_slot.get(slot.number)
        if export is None and slot.target is not None:  # a lower slot of a function that has several
            export = by_target.get(slot.target)
        name = export.name if export else _unfilled(slot, known, at) if slot.empty or slot.retired else ""
        rows.append({
            "slot": slot.number,
            "address": slot.address,
            "bytes": slot.raw.hex(" "),
            "instruction": _disassemble(header.machine, slot.raw, slot.address),
            "symbol": name,
            "target": slot.target,
"target_symbol": _leads_to(slot.target, export, at),
            "empty": slot.empty,
            "retired": slot.retired,
            "since": str(known.slots[slot.number - 1].since) if known is not None and slot.number <= len(known.slots) else "",
        })  # fmt: skip
    return rows


def _library(data: bytes, path: str, image: Image, header: LibraryHeader) -> Facts:
    known = previous.history_of(elf.ElfFile(memoryview(data), path))
    return {
        "file": path,
        "kind": "target library",
        "machine": header.machine.label,
        "library": _identity(header.identity),
        "digest_valid": digest.digest(data, path) == header.identity.digest,
        "bootstrap": header.bootstrap,
        "continuation": header.continuation or None,
        "interpreter_entry": image.entry if image.entry != header.bootstrap else None,
        "segments": _segments(header.segments),
        "loaded_by_kernel": _segments(image.segments),
        "releases": [str(release) for release in known.releases] if known is not None else [],
        "slots": _slots(data, image, header, known),
        "data": [
            {"name": e.name, "address": e.address, "size": e.size} for e in image.exports if e.kind is ExportKind.DATA
        ],
        "reserved": _reserved(known),
        "renamed": [
            {"old": r.old, "new": r.new, "release": str(r.release)}
            for r in (known.renamed if known is not None else ())
        ],
        "init_array": _words(data, header, header.init_array),
        "fini_array": _words(data, header, header.fini_array),
        "dependencies": list(header.dependencies),
        "needs": [_identity(who) for who in image.needs],
    }


def _program(path: str, image: Image) -> Facts:
    return {
        "file": path,
        "kind": "program",
        "machine": image.machine.label,
        "entry": image.entry,
        "segments": _segments(image.segments),
        "libraries": list(image.library_names),
        "interpreter": image.interpreter or None,
        "library_path": image.library_path,
        "version_rule": image.version_rule,
        "needs": [_identity(who) for who in image.needs],
        "bindings": [
            {"library": b.library, "symbol": b.symbol, "address": b.address, "kind": b.kind.value}
            for b in image.bindings
        ],
    }


_TYPES = {elf.STT_FUNC: "function", elf.STT_OBJECT: "data", elf.STT_TLS: "tls", elf.STT_GNU_IFUNC: "ifunc"}
_BINDINGS = {elf.STB_LOCAL: "local", elf.STB_GLOBAL: "global", elf.STB_WEAK: "weak"}


def _object(data: bytes | memoryview, where: str) -> Facts:
    """An ET_REL object: allocated sections and global symbols."""
    file = elf.ElfFile(memoryview(data), where)
    if file.kind != elf.ET_REL:
        raise elf.bad(where, "is not a relocatable object")
    symbols = []
    for index, section in enumerate(file.sections):
        if section.type != elf.SHT_SYMTAB:
            continue
        names = file.strings(section.link)
        for name, info, other, shndx, value, size in file.symbols(index):
            if info >> 4 == elf.STB_LOCAL or not name:
                continue
            place = {elf.SHN_UNDEF: "undefined", elf.SHN_ABS: "absolute", elf.SHN_COMMON: "common"}.get(
                shndx, "defined"
            )
            symbols.append({
                "name": names[name], "binding": _BINDINGS.get(info >> 4, str(info >> 4)),
                "type": _TYPES.get(info & 15, ""), "place": place, "value": value, "size": size, "hidden": other & 3 in (1, 2),
            })  # fmt: skip
    return {
        "file": where,
        "kind": "object",
        "machine": file.machine.label,
        "sections": [
            {"name": file.names[s[0]], "size": s[5], "alignment": s[8]} for s in file.sections if s[2] & elf.SHF_ALLOC
        ],
        "symbols": symbols,
    }


def _members(path: str) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the members of an archive or of a library in directory format."""
    if os.path.isdir(path):
        for name in sorted(os.listdir(path)):
            yield name, read_file(os.path.join(path, name))
        return
    data = read_file(path)
    for member in Archive(data, path).members():
        if member.path:
            yield member.name, read_file(member.path)
        else:
            yield member.name, data[member.start : member.start + member.size]


def _archive(path: str) -> Facts:
    facts: Facts = {"file": path, "kind": "archive"}
    if stub.is_stub(path):
        who = stub.read_identity(path)
        facts |= {
            "kind": "stub library",
            "machine": who.machine.label,
            "library": _identity(who.identity),
            "file_name": who.file_name,
            "dependencies": list(who.dependencies),
            "releases": [],
        }
        with contextlib.suppress(FormatError):  # one without a history is a stub library all the same
            facts["releases"] = [str(release) for release in previous.read(path).history.releases]
    members = []
    for name, content in _members(path):
        if content[:4] == elf.MAGIC:
            symbols = _object(content, f"{path}({name})")["symbols"]
            members.append({"name": name, "size": len(content), "symbols": symbols})
        else:
            members.append({"name": name, "size": len(content), "symbols": []})
    return facts | {"members": members}


def facts_of(path: str) -> Facts:
    """All facts of a file. Raises FormatError, OSError."""
    if os.path.isdir(path):
        if not stub.is_stub(path):
            raise FormatError(Diagnostic(path, f"is a directory without a `{LIBRARY_NAME}`"))
        return _archive(path)
    data = read_file(path)
    historical = inspect_historical.facts_of(data, path)
    if historical is not None:
        return historical
    if data[:8] in (MAGIC, THIN_MAGIC):
        return _archive(path)
    if data[:4] != elf.MAGIC:
        raise FormatError(
            Diagnostic(path, "is neither an archive nor a file of a format that is known here (ELF, a.out, COFF, LINK)")
        )
    if elf.ElfFile(memoryview(data), path).kind == elf.ET_REL:
        return _object(data, path)
    image = elf_image.read_image(data, path)
    return _program(path, image) if image.library is None else _library(data, path, image, image.library)


# Text


def _show_identity(who: Facts) -> list[str]:
    return [
        f"  name     {who['name']} {who['version']}",
        f"  place    {who['base']:#x}-{who['base'] + who['size'] - 1:#x}  ({who['size'] >> 10} KiB)",
        f"  digest   {who['digest']}",
    ]


def _show_segments(title: str, segments: list[Facts]) -> list[str]:
    lines = [f"{title}:"]
    for s in segments:
        end = s["address"] + s["memory_size"]
        lines.append(f"  {s['flags']}  {s['address']:#010x}-{end:#010x}  file {s['offset']:#x}+{s['file_size']:#x}")
    return lines


def _show_needs(facts: Facts) -> list[str]:
    rows = [
        f"  {who['name']} {who['version']}  {who['base']:#x}  {who['slots']} slots  {who['digest'][:16]}"
        for who in facts["needs"]
    ]
    return ["linked with:", *rows] if rows else []


def _show_library(facts: Facts) -> list[str]:
    lines = [f"{facts['file']}: target library, {facts['machine']}", *_show_identity(facts["library"])]
    if not facts["digest_valid"]:
        lines.append("           which is not the digest of this file: it was changed after it was made")
    lines += [f"  boot     {facts['bootstrap']:#x}"] if facts["bootstrap"] else []
    if facts["continuation"]:
        lines.append(f"  boot all {facts['continuation']:#x}  (and the libraries of the program's table)")
    if facts["interpreter_entry"]:
        lines.append(f"  entry    {facts['interpreter_entry']:#x}  (as PT_INTERP of a program)")
    lines += [f"  follows  {' '.join(facts['releases'][:-1])}"] if len(facts["releases"]) > 1 else []
    lines += _show_segments("segments", facts["segments"])
    lines.append(f"jump table: {len(facts['slots'])} slots")
    width = max((len(row["instruction"]) for row in facts["slots"]), default=0)
    for row in facts["slots"]:
        name = row["symbol"] or "?"
        if row["empty"]:
            name = f"(empty: {name})"
        elif row["retired"]:
            name = f"(retired{' in ' + row['since'] if row['since'] else ''}: {name})"
        plain = row["target_symbol"] in ("", name, name + IMPLEMENTATION_SUFFIX)
        target = "" if plain else f" -> {row['target_symbol']}"
        lines.append(
            f"  {row['slot']:>5}  {row['address']:#010x}  {row['bytes']}  {row['instruction']:<{width}}  {name}{target}"
        )
    if facts["data"]:
        lines.append(f"exported data: {len(facts['data'])}")
        lines += [f"  {row['address']:#010x}  {row['size']:>7}  {row['name']}" for row in facts["data"]]
    if facts["reserved"]:
        lines.append(f"reserved for programs linked with earlier releases: {len(facts['reserved'])}")
        lines += [
            f"  {row['address']:#010x}  {row['size']:>7}  ({row['state']} in {row['since']}: {row['name']})"
            for row in facts["reserved"]
        ]
    if facts["renamed"]:
        lines.append(
            "renamed: " + ", ".join(f"{row['old']} -> {row['new']} in {row['release']}" for row in facts["renamed"])
        )
    for key, title in (("init_array", "initialisers"), ("fini_array", "finalisers")):
        if facts[key]:
            lines.append(f"{title}: " + " ".join(f"{address:#x}" for address in facts[key]))
    if facts["dependencies"]:
        lines.append("depends on: " + " ".join(facts["dependencies"]))
    return lines + _show_needs(facts)


def _show_program(facts: Facts) -> list[str]:
    lines = [f"{facts['file']}: program, {facts['machine']}, entry {facts['entry']:#x}"]
    lines += _show_segments("segments", facts["segments"])
    if facts["libraries"]:
        lines.append(".lib: " + " ".join(facts["libraries"]))
    if facts["interpreter"]:
        lines.append(f"interpreter: {facts['interpreter']}")
    if facts["library_path"]:
        lines.append(f"library path: {facts['library_path']}")
    if facts["version_rule"]:
        lines.append(f"version rule: {facts['version_rule']}")
    lines += _show_needs(facts)
    if facts["bindings"]:
        lines.append(f"bindings: {len(facts['bindings'])}")
        lines += [
            f"  {row['address']:#010x}  {row['kind']:<8}  {row['library']}  {row['symbol']}"
            for row in facts["bindings"]
        ]
    return lines


def _show_symbol(row: Facts) -> str:
    letter = {"undefined": "w" if row["binding"] == "weak" else "U", "absolute": "A", "common": "C"}.get(
        row["place"], "T"
    )
    value = f"{row['value']:#010x}" if row["place"] in ("absolute", "defined") else " " * 10
    return f"  {value}  {letter}  {row['name']}" + ("  (hidden)" if row["hidden"] else "")


def _show_object(facts: Facts) -> list[str]:
    lines = [f"{facts['file']}: object, {facts['machine']}"]
    lines += [f"  {row['name']:<24} {row['size']:>8}" for row in facts["sections"]]
    return lines + [_show_symbol(row) for row in facts["symbols"]]


def _show_archive(facts: Facts) -> list[str]:
    lines = [f"{facts['file']}: {facts['kind']}" + (f", {facts['machine']}" if "machine" in facts else "")]
    if "library" in facts:
        lines += [*_show_identity(facts["library"]), f"  file     {facts['file_name']}"]
        lines += [f"  follows  {' '.join(facts['releases'][:-1])}"] if len(facts["releases"]) > 1 else []
        if facts["dependencies"]:
            lines.append("depends on: " + " ".join(facts["dependencies"]))
    lines.append(f"members: {len(facts['members'])}")
    for member in facts["members"]:
        lines.append(f"{member['name']}  {member['size']}")
        lines += [_show_symbol(row) for row in member["symbols"]]
    return lines


_SHOW: dict[str, Callable[[Facts], list[str]]] = {
    "target library": _show_library,
    "program": _show_program,
    "object": _show_object,
    "archive": _show_archive,
    "stub library": _show_archive,
    **inspect_historical.SHOW,
}


def run(argv: list[str]) -> int:
    """Runs `uselib inspect`. Returns the exit status. Raises ToolError."""
    parser = argparse.ArgumentParser(
        prog="uselib inspect", description="Header, jump table, exports, libraries and bindings of a file."
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="target library, program, stub library, archive or object"
    )
    parser.add_argument("--json", action="store_true", help="print JSON: an object for each file, a line each")
    options = parser.parse_args(argv)
    for number, path in enumerate(options.files):
        facts = facts_of(path)
        if options.json:
            print(json.dumps(facts))
        else:
            text = ("\n" if number else "") + "\n".join(_SHOW[facts["kind"]](facts))
            print(text.encode("utf-8", "backslashreplace").decode())  # names from damaged files
    return 0
