"""The second look at relocations: they are applied to the contents, which lie in the output at their final addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from struct import Struct

from uselib.linker.formats.elf import SHF_EXECINSTR, ElfRelocation
from uselib.linker.passes.got import Tables
from uselib.linker.passes.layout import Layout
from uselib.linker.passes.model import InputSection, ObjectFile
from uselib.linker.passes.relocations import Applying, Site
from uselib.linker.passes.scan import following
from uselib.linker.passes.symbol_values import SymbolPolicy

_put_word = Struct("<I").pack_into
CALL, JMP = 0xE8, 0xE9
JCC = range(0x80, 0x90)  # behind 0F


def applying(symbols: SymbolPolicy, tables: Tables, layout: Layout, overrides: dict[tuple[int, int], int]) -> Applying:
    """What relocations are applied with: the final addresses. overrides: of local symbols, by (id of the file, index)."""
    return Applying(
        tables.machine,
        symbols,
        got=tables.got_address,
        tls_start=layout.tls_start,
        thread_pointer=layout.thread_pointer,
        got_entries=tables.got_entries(),
        got_tp_entries=tables.got_tp_entries(),
        got_tp_positive_entries=tables.got_tp_positive_entries(),
        local_overrides=overrides,
    )


def is_branch(content: bytes | memoryview, offset: int) -> bool:
    """Whether the field at `offset` is the rel32 of `E8 call`, `E9 jmp` or `0F 80..8F jcc`."""
    if offset < 1:
        return False
    opcode = content[offset - 1]
    return opcode in (CALL, JMP) or (opcode in JCC and offset >= 2 and content[offset - 2] == 0x0F)


RelocateAll = Callable[[Applying, Sequence[tuple[InputSection, int]]], None]
"""What relocates sections whose contents were copied to these places in the output. Problems are collected in `Applying`."""


def relocate_all(run: Applying, places: Iterable[tuple[InputSection, int]]) -> None:
    """The RelocateAll of links that are not large."""
    for section, at in places:
        relocate(run, section, at, enumerate(section.relocation_rows()))


def relocate(
    run: Applying, section: InputSection, at: int, rows: Iterable[tuple[int, tuple[int, int, int, int | None]]]
) -> int:
    """Applies relocations of a section whose content was copied to `at` in the output: (number in the section, its fields).

    Result: the number of the last that was consumed with the one before it, or -1."""
    file = section.file
    if file is None:
        return -1
    records = section.relocations()
    values = run.values(file)
    references, branches = values.references, values.branches
    # only code has branches: a relative pointer in data takes an address, whatever byte stands before it
    distinguish = branches is not references and bool(section.flags & SHF_EXECINSTR)
    linear, none, branch_like, got = run.linear, run.machine.none, run.machine.branch_like, run.got
    out, base, size, content = run.out, section.address, section.size, section.content
    run.at, run.place = at, base
    skip = -1
    for number, (offset, kind, index, addend) in rows:
        if number == skip:
            continue
        row = linear.get(kind)
        if row is None:
            if kind not in none and _special(run, section, file, records[number], following(records, number)):
                skip = number + 1
            continue
        name, width, s, p, g, low, high, branch = row
        if offset + width > size or index >= len(references):
            run.damaged(section, file, records[number])
            continue
        place = at + offset
        if addend is None:
            addend = int.from_bytes(out[place : place + width], "little", signed=True)
        is_call = distinguish and (branch or (kind in branch_like and is_branch(content, offset)))
        value = branches[index] if is_call else references[index]
        if value is None:
            value, addend = run.cut(section, file, offset, index, addend)
        value = s * value + addend - p * (base + offset) + g * got
        if low != high and not low <= value <= high:
            run.overflow(section, file, offset, index, name, value, low, high)
            continue
        if width == 4:
            _put_word(out, place, value & 0xFFFFFFFF)
        else:
            out[place : place + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
    return skip


def _special(
    run: Applying, section: InputSection, file: ObjectFile, record: ElfRelocation, after: ElfRelocation | None
) -> bool:
    """Applies a relocation that is not linear. Whether the next one, the call behind a TLS sequence, is consumed with it."""
    machine = run.machine
    entry = machine.special.get(record.type)
    if entry is None or record.offset + 4 > section.size:
        run.damaged(section, file, record)
        return False
    site = Site(section, file, record, after)
    consumed = record.type in machine.tls_sequences and site.calls_tls(machine.tls_call)
    try:
        entry.apply(run, site)
    except IndexError:
        run.damaged(section, file, record)
    return consumed
