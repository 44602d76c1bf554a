"""The facts of a target library or a program."""

from __future__ import annotations

from collections.abc import Iterable

from uselib.commands.inspect.records import Facts, identity_facts, segment_facts
from uselib.linker.formats import elf
from uselib.linker.formats.library_names import EMPTY_SUFFIX, IMPLEMENTATION_SUFFIX, RETIRED_SUFFIX
from uselib.linker.image import Export, ExportKind, Image, LibraryHeader, Machine, Segment
from uselib.linker.library import digest, jump_table
from uselib.linker.library.releases import previous
from uselib.linker.library.releases.history import History, PlaceState

_ARRAY_LIMIT = 4096  # entries of an init array that are shown


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
    """Empty places that are kept for programs linked with earlier releases."""
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
        rows.append(
            {
                "slot": slot.number,
                "address": slot.address,
                "bytes": slot.raw.hex(" "),
                "instruction": _disassemble(header.machine, slot.raw, slot.address),
                "symbol": name,
                "target": slot.target,
                "target_symbol": _leads_to(slot.target, export, at),
                "empty": slot.empty,
                "retired": slot.retired,
                "since": str(known.slots[slot.number - 1].since)
                if known is not None and slot.number <= len(known.slots)
                else "",
            }
        )
    return rows


def library_facts(data: bytes, path: str, image: Image, header: LibraryHeader) -> Facts:
    known = previous.history_of(elf.ElfFile(memoryview(data), path))
    return {
        "file": path,
        "kind": "target library",
        "machine": header.machine.label,
        "library": identity_facts(header.identity),
        "digest_valid": digest.digest(data, path) == header.identity.digest,
        "bootstrap": header.bootstrap,
        "continuation": header.continuation or None,
        "interpreter_entry": image.entry if image.entry != header.bootstrap else None,
        "segments": segment_facts(header.segments),
        "loaded_by_kernel": segment_facts(image.segments),
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
        "needs": [identity_facts(who) for who in image.needs],
    }


def program_facts(path: str, image: Image) -> Facts:
    return {
        "file": path,
        "kind": "program",
        "machine": image.machine.label,
        "entry": image.entry,
        "segments": segment_facts(image.segments),
        "libraries": list(image.library_names),
        "interpreter": image.interpreter or None,
        "library_path": image.library_path,
        "version_rule": image.version_rule,
        "needs": [identity_facts(who) for who in image.needs],
        "bindings": [
            {"library": b.library, "symbol": b.symbol, "address": b.address, "kind": b.kind.value}
            for b in image.bindings
        ],
    }
