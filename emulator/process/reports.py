"""What the user reads when a signal has killed the guest: one line, and with `--fault-report` all that is known."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from uselib.emulator.kernel.signals.numbers import NAMES
from uselib.emulator.machine.registers import NAMES as REGISTER_NAMES
from uselib.emulator.process.interfaces import CpuState, Deadlock, Fault, ProcessEnded, ThreadWait
from uselib.emulator.trace.symbols import SymbolMap, SymbolOffset
from uselib.linker.errors import ToolError
from uselib.linker.formats.library_names import EMPTY_SUFFIX
from uselib.linker.image import LibraryHeader
from uselib.linker.quick_dataclass import replace
from uselib.loader.memory.address_space import PAGE, PROT_EXEC, AddressSpace, MemoryFault
from uselib.loader.memory.vma import MappedFile
from uselib.loader.programs.headers import library_header
from uselib.loader.programs.images import image_of, load_bias

SIGILL, SIGTRAP, SIGSEGV = 4, 5, 11
_CALLS = (b"\xe8",)  # call rel32, 5 bytes; indirect calls (ff /2) are 2, 3, 6 or 7 bytes
_DISASSEMBLED = 6  # instructions from the program counter on
_CALLERS, _SEARCHED = 6, 512  # callers of a wait, and bytes of its stack where they are looked for
_BEFORE = 64  # bytes of code shown before it, from the start of the function


def death_report(
    program: str, end: ProcessEnded, space: AddressSpace, cpu: CpuState, *, long: bool, last_calls: Sequence[str] = ()
) -> list[str]:
    """The lines for stderr, the first one complete in itself."""
    name = NAMES.get(end.signal, f"signal {end.signal}")
    first = f"uselib: {program}: " + (f"ended: {end.reason}" if end.reason else f"killed by {name}")
    registers = cpu.general()
    symbols = SymbolMap(space)
    if end.fault is not None:
        first += f": {_cause(end.fault, registers, symbols, space, cpu.bits)}"
    elif not end.reason:
        first += f" at {_where(symbols, registers[-2])}"
    if not end.reason:
        first += source_line(space, registers[-2]) + _from_program(program, registers, symbols, space, cpu.bits)
    waits = [] if not isinstance(end, Deadlock) else [_wait(wait, symbols, space, cpu.bits) for wait in end.waits]
    if not long:
        return [first, *waits]
    sections = (
        waits,
        _registers(registers, cpu.bits),
        _code(registers[-2], symbols, space, cpu.bits),
        _stack(registers[7], symbols, space, cpu.bits),
        _calls(last_calls),
        _mappings(space),
    )
    return [first, *(line for section in sections for line in section)]


def _where(symbols: SymbolMap, address: int) -> str:
    place = symbols.place(address)
    return f"{place} [{address:#x}]" if place is not None else f"{address:#x}"


def _from_program(program: str, registers: list[int], symbols: SymbolMap, space: AddressSpace, bits: int) -> str:
    """Of an end in a shared object: where in the program the stack leads to."""
    vma = space.find(registers[-2])
    if (
        vma is None
        or vma.known is None
        or vma.name == program
        or library_header(_first_page(vma.known), vma.name) is not None
    ):
        return ""
    for address in _callers(registers[7], space, bits):
        caller = space.find(address)
        if caller is not None and caller.name == program:
            place = symbols.place(address - 1)  # a call that does not return may be the last of its function
            where = address if place is None else replace(place, offset=place.offset + 1)
            return f"; the stack leads to {where} [{address:#x}]{source_line(space, address - 1)}"
    return ""


def _first_page(file: MappedFile) -> bytes:
    try:
        return os.pread(file.fd, PAGE, 0)
    except OSError:
        return b""


def source_line(space: AddressSpace, address: int) -> str:
    """`, sort.c:12` for an address of code, where its file has debug information; else empty."""
    vma = space.find(address)
    if vma is None or vma.known is None or not vma.prot & PROT_EXEC:
        return ""
    from uselib.linker.dwarf import sections
    from uselib.linker.dwarf.line_programs import LineTables
    from uselib.linker.formats import elf

    file = vma.known
    image = image_of(file)
    try:
        debug = sections.own(elf.ElfFile(memoryview(os.pread(file.fd, file.size(), 0)), file.name), file.name)
        found = None if debug is None or image is None else LineTables(debug).find(address - load_bias(image, vma))
    except (ToolError, OSError):
        return ""
    return "" if found is None else f", {os.path.basename(found.file)}:{found.line}"


def _wait(wait: ThreadWait, symbols: SymbolMap, space: AddressSpace, bits: int) -> str:
    """What a thread waits for, and who called the wait."""
    what = f"for the end of thread {wait.ends}" if wait.ends else f"on {_where(symbols, wait.futex)}"
    owner = f", which thread {wait.owner} has locked" if wait.owner else ""
    calls = [str(symbols.place(address)) for address in _callers(wait.sp, space, bits)][:_CALLERS]
    return f"  thread {wait.thread} waits {what}{owner}, at {_where(symbols, wait.pc)}" + "".join(
        f" < {call}" for call in calls
    )


def _callers(sp: int, space: AddressSpace, bits: int) -> Iterator[int]:
    """Words of the stack that look like return addresses, from the top."""
    for position in range(sp, sp + _SEARCHED, bits // 8):
        address = _caller(position, space, bits)
        if address:
            yield address


def _cause(fault: Fault, registers: list[int], symbols: SymbolMap, space: AddressSpace, bits: int) -> str:
    """What happened, and where."""
    pc = registers[-2]
    if fault.access == "execute" and fault.address == pc:
        kind = "address" if space.find(pc) is None else "data at"
        caller = _caller(registers[7], space, bits)
        return f"jump to {'unmapped ' if kind == 'address' else ''}{kind} {pc:#x}" + (
            f", called from {_where(symbols, caller)}" if caller else ""
        )
    slot = _empty_slot(fault, pc, symbols, space)
    if slot is not None:
        caller = _caller(registers[7], space, bits)
        return slot + (f", called from {_where(symbols, caller)}" if caller else "")
    where = f" at {_where(symbols, pc)}"
    if fault.note == "stack overflow":
        return f"stack overflow{where}"
    if fault.access:
        kind = {"read": "read of", "write": "write to", "execute": "execution of"}[fault.access]
        state = "unmapped" if space.find(fault.address) is None else "protected"
        if fault.note:
            return f"{kind} {fault.address:#x}, {fault.note}{where}"
        return f"{kind} {state} address {fault.address:#x}{where}"
    what = {0: "integer division", 3: "breakpoint", 6: "illegal instruction", 16: "x87 exception", 19: "SSE exception"}
    return (fault.note or what.get(fault.trap, f"exception {fault.trap}")) + where


def _header_at(address: int, space: AddressSpace) -> LibraryHeader | None:
    """The header of the target library that an address lies in."""
    vma = space.find(address)
    if vma is None or vma.file is None:
        return None
    header = library_header(os.pread(vma.file.fd, PAGE, 0), vma.name)
    return header if header is not None and header.identity.base <= address < header.identity.end else None


def _empty_slot(fault: Fault, pc: int, symbols: SymbolMap, space: AddressSpace) -> str | None:
    """An illegal or breakpoint instruction in a jump table, or behind its end: a slot that leads nowhere.

    An empty slot is ud2 (0F 0B); int3 is its padding and what fills the page behind the last slot.
    """
    if fault.signal not in (SIGILL, SIGTRAP):
        return None
    address = pc if fault.signal == SIGILL else pc - 1  # int3 has been passed
    header = _header_at(address, space)
    if header is None or address < header.jump_table:
        return None
    who = header.identity
    number = (address - header.jump_table) // header.slot_size + 1
    if number > who.slot_count + 4096 // header.slot_size:
        return None
    known = "" if number <= who.slot_count else f" (it has {who.slot_count})"
    place = symbols.place(address)
    if place is not None and place.symbol.endswith(EMPTY_SUFFIX) and not place.symbol.startswith(f"slot{number}$"):
        known = f" ({place.symbol.removesuffix(EMPTY_SUFFIX)})"  # the name that the slot is reserved for, or had
    return f"call of empty slot {number} of {who.name} {who.version}{known}"


def _caller(sp: int, space: AddressSpace, bits: int) -> int:
    """The address after the call that led here, if the stack top looks like its return address; else 0."""
    try:
        address = int.from_bytes(space.read(sp, bits // 8), "little")
        before = space.read(address - 7, 7)
        space.check(address, 1, "execute")
    except MemoryFault:
        return 0
    indirect = any(before[-size] == 0xFF and before[1 - size] >> 3 & 7 == 2 for size in (2, 3, 6, 7))
    return address if before[-5:-4] in _CALLS or indirect else 0


def _registers(registers: list[int], bits: int) -> Iterator[str]:
    width = bits // 4
    cells = [f"{name:>8} {value:0{width}x}" for name, value in zip(REGISTER_NAMES[bits], registers, strict=True)]
    for start in range(0, len(cells), 4):
        yield "  " + "".join(cells[start : start + 4])


def _code(pc: int, symbols: SymbolMap, space: AddressSpace, bits: int) -> Iterator[str]:
    """Instructions from the start of the function, if that is near, to a few behind the program counter."""
    import capstone

    place = symbols.place(pc)
    if place is None:
        return
    start = pc - place.offset if place.symbol and place.offset <= _BEFORE else pc
    vma = space.find(pc)
    assert vma is not None
    try:
        data = space.read(start, min(vma.end - start, pc - start + 15 * _DISASSEMBLED))
    except MemoryFault:
        return
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64 if bits == 64 else capstone.CS_MODE_32)
    yield f"  code: {place}"
    after = 0
    for address, size, mnemonic, operands in decoder.disasm_lite(data, start):
        if address >= pc:
            after += 1
        if after > _DISASSEMBLED:
            break
        mark = ">" if address == pc else " "
        code = data[address - start : address - start + size].hex(" ")
        yield f"  {mark} {address:#x}  {code:<30} {mnemonic} {operands}".rstrip()


def _stack(sp: int, symbols: SymbolMap, space: AddressSpace, bits: int) -> Iterator[str]:
    """Words near the stack pointer that are addresses of code: most often the callers."""
    word = bits // 8
    try:
        vma = space.find(sp)
        data = space.read(sp, min(64 * word, vma.end - sp)) if vma is not None else b""
    except MemoryFault:
        return
    found: list[tuple[int, SymbolOffset]] = []
    for offset in range(0, len(data) - word + 1, word):
        value = int.from_bytes(data[offset : offset + word], "little")
        target = space.find(value)
        place = symbols.place(value) if target is not None and target.prot & 4 else None
        if place is not None and place.symbol:
            found.append((offset, place))
    if found:
        yield "  code addresses on the stack:"
        for offset, place in found[:12]:
            yield f"    sp+{offset:#x}  {place}"


def _calls(last_calls: Sequence[str]) -> Iterator[str]:
    if last_calls:
        yield "  last calls through jump tables:"
        for call in last_calls:
            yield f"    {call}"


def _mappings(space: AddressSpace) -> Iterator[str]:
    yield "  mappings:"
    for vma in space:
        flags = "".join(letter if vma.prot & bit else "-" for letter, bit in (("r", 1), ("w", 2), ("x", 4)))
        yield f"    {vma.start:#x}-{vma.end:#x} {flags}{'s' if vma.shared else 'p'} {vma.offset:#x} {vma.name}".rstrip()
