"""Deduces the calling conventions of i386 functions: GCC leaves regparm, stdcall, fastcall and thiscall out of debug information.

What it does record is where each parameter is when the function is entered: on the stack (DW_OP_fbreg N, N >= 0, the
frame's base being the address behind the return address), or in a register (DW_OP_regN, or at -O0 a local variable
that the first instructions store a register to). The function's code says whether it removes its arguments from the stack: `ret` or `ret N`.

    registers in order      removed      convention
    none                    nothing      the standard one (System V psABI, i386); a hidden pointer for the result is removed
    none                    all          stdcall
    eax, edx, ecx           nothing      regparm(number of registers)
    ecx, then edx           all          fastcall
    ecx                     all          thiscall, if an int that would have fitted edx is on the stack
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from uselib.linker.dwarf import constants as dw
from uselib.linker.dwarf.abbreviations import Abbreviation, Damage, sleb, uleb
from uselib.linker.dwarf.index import EntryPlace
from uselib.linker.dwarf.units import DAMAGE, AttributeValues, Information, Unit

EAX, ECX, EDX = 0, 1, 2  # DWARF's numbers of i386 registers
_OP_REG0, _OP_XMM0, _OP_FBREG, _OP_PIECE, _OP_CALL_FRAME_CFA = 0x50, 0x65, 0x91, 0x93, 0x9C
_CFA = (bytes([_OP_CALL_FRAME_CFA]), b"\x74\x04")  # or DW_OP_breg4 (%esp) 4, which is the same at the entry
_PARAMETER = frozenset((dw.FORMAL_PARAMETER,))
# The instructions with which -O0 moves parameters to local variables.
_MOVES = re.compile(
    rb"\x8b(?P<loaded>[\x45\x4d\x55\x5d])(?P<from>.)"  # mov disp8(%ebp), %eax or ecx, edx, ebx
    rb"|\x89(?P<moved>[\xc0-\xff])"  # mov reg, reg
    rb"|[\x88\x89](?P<stored>[\x45\x4d\x55\x5d])(?P<to>.)"  # mov %al, %ax or %eax (...), disp8(%ebp)
    rb"|(?:[\xd9\xdd]\x45|\xdb\x6d)(?P<pushed>.)"  # flds, fldl, fldt disp8(%ebp)
    rb"|(?:[\xd9\xdd]\x5d|\xdb\x7d)(?P<popped>.)",  # fstps, fstpl, fstpt disp8(%ebp)
    re.DOTALL,
)
_PROLOGUE = 64  # bytes in which parameters are stored at -O0


@dataclass(frozen=True, slots=True)
class _Where:
    """Where a parameter is: registers, or (offset, size) on the stack."""

    registers: tuple[int, ...] = ()
    stack: tuple[int, int] | None = None


def deduce(
    information: Information, place: EntryPlace, code: bytes, size_of: Callable[[Unit, AttributeValues], int]
) -> str | None:
    """The convention of the function whose body (DW_TAG_subprogram with DW_AT_low_pc) is at `place`; "" for the standard one,
    None if it cannot be told. code: its bytes. size_of: of the type of a parameter."""
    try:
        return _deduce(information, place, code, size_of)
    except DAMAGE:
        return None


def by_options(producer: str) -> str:
    """The convention that compiler options give every function. GCC records the options in DW_AT_producer."""
    for word in producer.split():
        if word.startswith("-mregparm=") and word != "-mregparm=0":
            return f"regparm({word.partition('=')[2]})"
        if word == "-mrtd":
            return "stdcall"
    return ""


def _deduce(
    information: Information, place: EntryPlace, code: bytes, size_of: Callable[[Unit, AttributeValues], int]
) -> str | None:
    unit = place.unit
    abbreviation, values, body = information.entry(unit, place.offset)
    if abbreviation is None or not abbreviation.children:
        return ""
    parameters: list[_Where] = []
    stores = _stores(code)
    base = values.get(dw.FRAME_BASE)
    if isinstance(base, int):  # DWARF 2, which has no DW_OP_call_frame_cfa
        base = _first(information, unit, base, values.get(dw.LOW_PC, 0))
    if base not in _CFA:
        return None
    for _, below, found, _ in information.chosen(unit, body, _PARAMETER):
        where = _where(information, unit, values, below, found, stores, size_of)
        if where is None:
            return None
        parameters.append(where)
    registers = [register for where in parameters for register in where.registers]
    stack = [where.stack for where in parameters if where.stack is not None]
    return _named(registers, stack, code)


def _named(registers: list[int], stack: list[tuple[int, int]], code: bytes) -> str | None:
    end = max((at + (size + 3 & ~3) for at, size in stack), default=0)
    hidden = 4 if stack and min(at for at, _ in stack) == 4 else 0  # pointer to the result
    taken = _taken(code, end)
    if not registers:
        if not stack or taken == hidden:
            return ""
        return "stdcall" if taken == end else None
    if registers[0] == ECX and registers in ([ECX], [ECX, EDX]):
        first = min(stack, default=(0, 8))
        return "thiscall" if registers == [ECX] and first[1] <= 4 else "fastcall"
    if registers == [EAX, EDX, ECX][: len(registers)]:
        words = f"regparm({len(registers)})"
        return f"{words}, stdcall" if end and taken == end else words
    return None  # at -O0, registers that were moved before they were stored


def _taken(code: bytes, expected: int) -> int | None:
    """How many bytes of arguments the function removes from the stack: by the `ret` at its end, or by the only kind of `ret` that it has."""
    if code[-1:] == b"\xc3":
        return 0
    if code[-3:-2] == b"\xc2":
        return int.from_bytes(code[-2:], "little")
    if expected and b"\xc2" + expected.to_bytes(2, "little") in code:
        return expected
    return 0 if b"\xc3" in code else None


def _where(
    information: Information,
    unit: Unit,
    function: AttributeValues,
    abbreviation: Abbreviation,
    values: AttributeValues,
    stores: dict[int, _Where],
    size_of: Callable[[Unit, AttributeValues], int],
) -> _Where | None:
    location = values.get(dw.LOCATION)
    if isinstance(location, int):
        form = next(form for attribute, form, _ in abbreviation.attributes if attribute == dw.LOCATION)
        if form not in (dw.F_SEC_OFFSET, dw.F_DATA4):
            return None
        location = _first(information, unit, location, function.get(dw.LOW_PC, 0))
    if not location:
        return None
    registers: list[int] = []
    at = 0
    while at < len(location):
        operation = location[at]
        if _OP_REG0 <= operation < _OP_REG0 + 8:
            registers.append(operation - _OP_REG0)
            at += 1
        elif operation == _OP_FBREG:
            offset, at = sleb(location, at + 1)
            size = size_of(unit, values)
            if offset >= 0:
                return None if registers else _Where(stack=(offset, size))
            # a local variable; %ebp is 8 below the frame's base
            for word in range(0, min(max(size, 4), 8), 4):
                stored = stores.get(offset + 8 + word)
                if stored is None or (stored.stack is not None and word):
                    break
                if stored.stack is not None:
                    return _Where(stack=(stored.stack[0] - 8, size))
                registers += stored.registers
            else:
                continue
            return None
        elif _OP_XMM0 <= operation < _OP_XMM0 + 8:
            at += 1  # vectors go there in every convention
        elif operation == _OP_PIECE:
            _, at = uleb(location, at + 1)
        else:
            return None
    return _Where(tuple(registers))


def _stores(code: bytes) -> dict[int, _Where]:
    """The stores of the function's first instructions to local variables, by the offset from %ebp: an argument register, or a place on the
    stack (its offset from %ebp). The first store to a place counts.
    """

    def signed(text: bytes) -> int:
        return int.from_bytes(text, "little", signed=True)

    registers: dict[int, _Where] = {number: _Where((number,)) for number in (EAX, ECX, EDX)}
    top: _Where | None = None  # of the x87 stack
    stores: dict[int, _Where] = {}
    for move in _MOVES.finditer(code[:_PROLOGUE]):
        match move.lastgroup:
            case "from":
                registers[move["loaded"][0] >> 3 & 7] = _Where(stack=(signed(move["from"]), 4))
            case "moved":
                source, target = move["moved"][0] >> 3 & 7, move["moved"][0] & 7
                if source in registers:
                    registers[target] = registers[source]
            case "to":
                value = registers.get(move["stored"][0] >> 3 & 7)
                if value is not None:
                    stores.setdefault(signed(move["to"]), value)
            case "pushed":
                top = _Where(stack=(signed(move["pushed"]), 4))
            case "popped":
                if top is not None:
                    stores.setdefault(signed(move["popped"]), top)
    return stores


def _first(information: Information, unit: Unit, at: int, entry: int) -> bytes | None:
    """The first expression of a location list, if it holds from the function's entry on."""
    base = unit.top.get(dw.LOW_PC, 0)
    size = unit.forms.address
    if unit.forms.version < 5:  # .debug_loc: start, end, u16 length
        data = information.sections.loc
        while True:
            start, end = (int.from_bytes(data[at + n * size : at + (n + 1) * size], "little") for n in range(2))
            at += 2 * size
            if start != (1 << 8 * size) - 1:
                break
            base = end
        length = int.from_bytes(data[at : at + 2], "little")
        return data[at + 2 : at + 2 + length] if (start or end) and base + start == entry else None
    data = information.sections.loclists
    while True:
        kind = data[at]
        at += 1
        if kind == 6:  # DW_LLE_base_address
            base = int.from_bytes(data[at : at + size], "little")
            at += size
        elif kind == 9:  # DW_LLE_GNU_view_pair
            _, at = uleb(data, at)
            _, at = uleb(data, at)
        elif kind == 4:  # DW_LLE_offset_pair
            start, at = uleb(data, at)
            _, at = uleb(data, at)
            break
        elif kind in (7, 8):  # DW_LLE_start_end, DW_LLE_start_length
            start, at = int.from_bytes(data[at : at + size], "little") - base, at + size
            at = at + size if kind == 7 else uleb(data, at)[1]
            break
        else:
            return None
    length, at = uleb(data, at)
    if at + length > len(data):
        raise Damage("a location runs over the end of its section")
    return data[at : at + length] if base + start == entry else None
