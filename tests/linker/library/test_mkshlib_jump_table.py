"""Jump table and interposition thunks: their bytes as a disassembler reads them, numbering, and any bytes at all."""

from __future__ import annotations

import struct

import capstone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uselib.linker.image import Machine
from uselib.linker.library import jump_table
from uselib.linker.library.interpose import THUNK_SIZE, thunk

TABLE = 0x60000800
near = st.integers(TABLE - 0x10000000, TABLE + 0x10000000)


def disassemble(machine: Machine, code: bytes, address: int) -> list[tuple[str, str]]:
    mode = capstone.CS_MODE_32 if machine is Machine.I386 else capstone.CS_MODE_64
    return [(i.mnemonic, i.op_str) for i in capstone.Cs(capstone.CS_ARCH_X86, mode).disasm(code, address)]


@given(st.lists(st.one_of(near, st.none()), max_size=30))
def test_round_trip(targets: list[int | None]) -> None:
    data = jump_table.encode(TABLE, targets)
    slots = jump_table.decode(data, TABLE)
    assert [slot.target for slot in slots] == targets
    assert [slot.empty for slot in slots] == [target is None for target in targets]
    assert [(slot.number, slot.address) for slot in slots] == [(n + 1, TABLE + 8 * n) for n in range(len(targets))]


@pytest.mark.parametrize("machine", Machine)
def test_disassembly(machine: Machine) -> None:
    data = jump_table.encode(TABLE, [TABLE + 0x1234, None])
    assert disassemble(machine, data, TABLE) == [
        ("jmp", f"{TABLE + 0x1234:#x}"),
        *[("int3", "")] * 3,
        ("ud2", ""),
        *[("int3", "")] * 6,
    ]


def test_out_of_reach() -> None:
    with pytest.raises(OverflowError, match="slot 2 cannot reach"):
        jump_table.encode(TABLE, [TABLE, TABLE + (1 << 32)])


@given(st.binary(max_size=100), st.integers(0, 1 << 48))
def test_any_bytes(data: bytes, table: int) -> None:
    slots = jump_table.decode(data, table, mask=0xFFFFFFFF)
    assert len(slots) == len(data) // 8
    assert all(slot.target is None or 0 <= slot.target < 1 << 32 for slot in slots)


@pytest.mark.parametrize(
    ("names", "branch", "reserved", "filled", "count"),
    [
        (["b", "a", "B", "_"], None, 0, ["B", "_", "a", "b"], 4),
        (["é", "z"], None, 0, ["z", "é"], 2),  # bytes, not letters
        (["a", "b", "c"], {"c": (1,)}, 0, ["c", "a", "b"], 3),
        (["a", "b"], {"b": (1, 3), "a": (2,)}, 0, ["b", "a", "b"], 3),
        (["a", "b"], {"b": (1,)}, 3, ["b", None, None, "a"], 4),
        ([], None, 0, [], 0),
    ],
)
def test_numbering(
    names: list[str], branch: dict[str, tuple[int, ...]] | None, reserved: int, filled: list[str | None], count: int
) -> None:
    number_of, slots, total = jump_table.numbering(names, branch, reserved)
    assert [slots.get(n + 1) for n in range(total)] == filled
    assert total == count
    assert number_of == {name: max(n for n, other in slots.items() if other == name) for name in names}


def test_thunks() -> None:
    code = thunk(Machine.I386, 0x61000000, 0x61008000)
    assert len(code) == THUNK_SIZE
    assert disassemble(Machine.I386, code, 0x61000000)[0] == ("jmp", "dword ptr [0x61008000]")
    code = thunk(Machine.X86_64, 0x61000000, 0x61008000)
    assert disassemble(Machine.X86_64, code, 0x61000000)[0] == ("jmp", "qword ptr [rip + 0x7ffa]")
    assert struct.unpack_from("<i", code, 2)[0] + 0x61000006 == 0x61008000
    with pytest.raises(OverflowError):
        thunk(Machine.X86_64, 0x61000000, 0x161008000)
