"""Seccomp: calls that a program has forbidden itself (prctl(PR_SET_SECCOMP), seccomp(2)): the strict mode, and filters in classic BPF.

A filter's program is checked when it is set, and interpreted for each call. If it does not read the arguments, its answer depends on the
number alone and is cached. Of several filters the strictest answer counts. Source: kernel/seccomp.c, net/core/filter.c (bpf_check_classic) of
Linux, include/uapi/linux/{seccomp,bpf_common}.h.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Sequence

from uselib.emulator.kernel.errors import GuestError
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import NamedTuple

STRICT, FILTER = 1, 2  # modes, as PR_GET_SECCOMP tells them
KILL_PROCESS, KILL_THREAD, TRAP, ERRNO, NOTIFY, TRACE, LOG, ALLOW = (
    *(0x8000_0000, 0, 0x3_0000, 0x5_0000, 0x7FC0_0000, 0x7FF0_0000, 0x7FFC_0000, 0x7FFF_0000),
)
ACTIONS = frozenset({KILL_PROCESS, KILL_THREAD, TRAP, ERRNO, TRACE, LOG, ALLOW})
ARCHITECTURE = {Machine.X86_64: 0xC000003E, Machine.I386: 0x40000003}  # AUDIT_ARCH_*
_ALLOWED = {
    Machine.X86_64: frozenset({0, 1, 15, 60}),
    Machine.I386: frozenset({1, 3, 4, 119, 173}),
}  # of the strict mode
_DATA = struct.Struct("<iIQ6Q")  # struct seccomp_data: number, architecture, address, arguments
_INSTRUCTION = struct.Struct("<HBBI")  # struct sock_filter: code, jt, jf, k
_LENGTH_MOST, _SCRATCH, _WORD = 4096, 16, 0xFFFF_FFFF
_ACTION, _VALUE = 0xFFFF_0000, 0xFFFF

_LD, _LDX, _ST, _STX, _ALU, _JMP, _RET, _MISC = range(8)
_IMM, _ABS, _MEM, _LEN = 0x00, 0x20, 0x60, 0x80
_X = 8  # the operand is X, not k
_ARITHMETIC: dict[int, Callable[[int, int], int]] = {
    0x00: lambda a, b: a + b,
    0x10: lambda a, b: a - b,
    0x20: lambda a, b: a * b,
    0x30: lambda a, b: a // b,
    0x40: lambda a, b: a | b,
    0x50: lambda a, b: a & b,
    0x60: lambda a, b: a << b if b < 32 else 0,
    0x70: lambda a, b: a >> b if b < 32 else 0,
    0x80: lambda a, b: -a,
    0xA0: lambda a, b: a ^ b,
}
_TESTS: dict[int, Callable[[int, int], bool]] = {
    0x10: lambda a, b: a == b,
    0x20: lambda a, b: a > b,
    0x30: lambda a, b: a >= b,
    0x40: lambda a, b: bool(a & b),
}
_LOADS = frozenset({_LD | _ABS, _LD | _LEN, _LDX | _LEN, _LD | _IMM, _LDX | _IMM, _LD | _MEM, _LDX | _MEM})
_RETURNS = frozenset({_RET, _RET | 0x10})
_MOVES = frozenset({_MISC, _MISC | 0x80})  # TAX, TXA

Program = tuple[tuple[int, int, int, int], ...]


def read_program(data: bytes) -> Program:
    """The instructions of a filter. Raises GuestError(EINVAL) for what a kernel would refuse."""
    program = tuple(_INSTRUCTION.iter_unpack(data))
    if not 0 < len(program) <= _LENGTH_MOST or any(
        not _valid(row, len(program) - at - 1) for at, row in enumerate(program)
    ):
        raise GuestError(errno.EINVAL)
    if program[-1][0] not in _RETURNS:
        raise GuestError(errno.EINVAL)
    return program


def _valid(row: tuple[int, int, int, int], left: int) -> bool:
    """left: instructions behind this one."""
    code, on_true, on_false, k = row
    kind, operation = code & 7, code & 0xF0
    if kind == _JMP:
        if operation == 0:
            return code == _JMP and k < left
        return operation in _TESTS and max(on_true, on_false) < left
    if kind == _ALU:
        return operation in _ARITHMETIC and not (code == _ALU | 0x30 and not k)
    if kind in (_ST, _STX):
        return code in (_ST, _STX) and k < _SCRATCH
    if code == _LD | _ABS:
        return not k & 3 and k < _DATA.size
    if code in (_LD | _MEM, _LDX | _MEM):
        return k < _SCRATCH
    return code in _LOADS or code in _RETURNS or code in _MOVES


def _run(program: Program, data: bytes) -> tuple[int, bool]:
    """The answer of a filter, and whether it has read more than number and architecture."""
    a = x = at = 0
    scratch = [0] * _SCRATCH
    looked = False
    while True:
        code, on_true, on_false, k = program[at]
        at += 1
        kind, operation = code & 7, code & 0xF0
        operand = x if code & _X else k
        if code == _LD | _ABS:
            a = int.from_bytes(data[k : k + 4], "little")
            looked |= k >= 8
        elif kind == _JMP:
            at += k if not operation else on_true if _TESTS[operation](a, operand) else on_false
        elif kind == _RET:
            return (a if operation else k), looked
        elif kind == _ALU:
            if operation == 0x30 and not operand:
                return 0, looked  # a division by zero ends the filter
            a = _ARITHMETIC[operation](a, operand) & _WORD
        elif kind in (_LD, _LDX):
            value = {_IMM: k, _LEN: _DATA.size}.get(code & 0xE0, scratch[k % _SCRATCH])
            a, x = (value, x) if kind == _LD else (a, value)
        elif kind in (_ST, _STX):
            scratch[k] = a if kind == _ST else x
        elif operation:
            a = x
        else:
            x = a


class SeccompAnswer(NamedTuple):
    """action: one of the constants above; value: what goes with it."""

    action: int
    value: int


class Seccomp:
    """The calls that a process has forbidden itself. A child inherits this, and execve keeps it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.mode = 0
        self._filters: list[Program] = []
        self._remembered: dict[int, SeccompAnswer] = {}

    def be_strict(self) -> None:
        """Raises GuestError(EINVAL) when there are filters."""
        if self.mode == FILTER:
            raise GuestError(errno.EINVAL)
        self.mode = STRICT

    def add(self, program: Program) -> None:
        """Raises GuestError(EINVAL) in the strict mode."""
        if self.mode == STRICT:
            raise GuestError(errno.EINVAL)
        self.mode = FILTER
        self._filters = [program, *self._filters]  # a child's list is its own
        self._remembered = {}

    def verdict(self, number: int, arguments: Sequence[int], address: int) -> SeccompAnswer:
        """Of a system call."""
        if self.mode == STRICT:
            return SeccompAnswer(ALLOW if number in _ALLOWED[self._machine] else KILL_THREAD, 0)
        if (known := self._remembered.get(number)) is not None:
            return known
        data = _DATA.pack(number, ARCHITECTURE[self._machine], address, *arguments[:6])
        found, looked = SeccompAnswer(ALLOW, 0), False
        for program in self._filters:
            said, more = _run(program, data)
            looked |= more
            action = said & _ACTION
            if action not in ACTIONS and action != NOTIFY:
                action = KILL_PROCESS
            if _strictness(action) < _strictness(found.action):
                found = SeccompAnswer(action, said & _VALUE)
        if not looked:
            self._remembered[number] = found
        return found


def _strictness(action: int) -> int:
    """Less is stricter: actions compare as signed numbers."""
    return action - (action >> 31 << 32)
