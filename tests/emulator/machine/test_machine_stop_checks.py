"""Translated code without checks behind memory accesses: which engines get it, and that every stop stays exact."""

from __future__ import annotations

import os

import pytest

from uselib.emulator.machine import registers, stop_checks
from uselib.emulator.machine.counter import InstructionCounter
from uselib.emulator.machine.engine import HOOK_CODE, Engine, library
from uselib.emulator.machine.machine import VirtualMachine
from uselib.emulator.process.interfaces import AnswerTable, Fault, ProcessEnded
from uselib.loader.memory.address_space import PAGE, AddressSpace

CODE, DATA = 0x40_0000, 0x50_0000
X86_64 = os.uname().machine == "x86_64"
VERSION = library().uc_version(None, None)

# 40 stores in one block, then a jump back:  mov [rdi], eax / mov [edi], eax
STORES = b"\x89\x07" * 40 + b"\xeb\xae"


class Kernel:
    signal_pending = False

    def offer(self, calls: AnswerTable) -> None:
        calls.refuse()

    def system_call(self, number: int, arguments: list[int]) -> int:
        raise ProcessEnded(0)

    legacy_system_call = None

    def exception(self, fault: Fault) -> None:
        raise ProcessEnded(signal=fault.signal, fault=fault)

    def deliver_pending(self) -> None: ...


def machine(bits: int, code: bytes = STORES) -> VirtualMachine:
    space = AddressSpace(bits)
    space.map(CODE, PAGE, 5, placement="fixed")
    space.map(DATA, PAGE, 3, placement="fixed")
    space.poke(CODE, code)
    made = VirtualMachine(space)
    made.cpu.reset(CODE, DATA + PAGE - 64)
    values = made.cpu.general()
    values[registers.INDEX[bits][f"{'re'[bits == 32]}di"]] = DATA
    made.cpu.set_general(values)
    return made


def unchecked(engine: Engine) -> int | None:
    return None if engine._unchecked is None else engine._unchecked.value


@pytest.mark.skipif(not X86_64 or VERSION >> 24 != 2, reason="another host or release: all accesses are checked")
@pytest.mark.parametrize("bits", [32, 64])
def test_found(bits: int) -> None:
    engine = Engine(bits)
    engine.use_virtual_tlb()
    assert unchecked(engine) is None
    found = stop_checks.locate(engine.lib, engine.handle or 0)
    assert found is not None and found.value == 0
    engine.check_blocks_only()
    assert unchecked(engine) == 1
    # it is set already, so the bytes are not what they were: left alone rather than guessed
    assert stop_checks.locate(engine.lib, engine.handle or 0) is None
    engine.close()


def test_unknown_release_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(64)
    engine.use_virtual_tlb()
    monkeypatch.setattr(stop_checks, "KNOWN", ((2, 0, 0), (2, 0, 1)))
    assert stop_checks.locate(engine.lib, engine.handle or 0) is None
    engine.check_blocks_only()
    assert unchecked(engine) is None
    engine.close()


def test_other_code_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(64)
    engine.use_virtual_tlb()
    monkeypatch.setattr(stop_checks, "_FUNCTIONS", ("uc_emu_stop", "uc_version"))  # uc_version tests nothing
    assert stop_checks.locate(engine.lib, engine.handle or 0) is None
    engine.close()


@pytest.mark.parametrize("bits", [32, 64])
def test_the_instruction_limit_is_exact_within_a_block(bits: int) -> None:
    """The counter's hook stops the CPU in the middle of a block of stores."""
    made = machine(bits)
    made.set_counter(InstructionCounter(17))
    with pytest.raises(ProcessEnded) as end:
        made.run(Kernel())  # type: ignore[arg-type]
    assert "17 instructions" in str(end.value.reason)
    assert made.cpu.pc == CODE + 2 * 17


def test_hooks_that_stop_bring_the_checks_back() -> None:
    made = machine(64)
    engine = made.engine
    fast = unchecked(engine)
    hook = engine.hook(HOOK_CODE, engine.stop_function, CODE + 20, CODE + 20)
    engine.flush_translations()
    assert unchecked(engine) in (0, None)
    assert engine.start(CODE) == 0 and made.cpu.pc == CODE + 20
    engine.unhook(hook)
    engine.flush_translations()
    assert unchecked(engine) == fast


@pytest.mark.parametrize("bits", [32, 64])
def test_a_fault_within_a_block_is_exact(bits: int) -> None:
    # inc ecx (ff c1) before each store; the 4th store is to a page that may not be written
    code = b"\xff\xc1\x89\x07" * 3 + b"\xff\xc1\x89\x06" + b"\xff\xc1\x89\x07" * 3
    made = machine(bits, code)
    values = made.cpu.general()
    values[registers.INDEX[bits][f"{'re'[bits == 32]}si"]] = CODE
    made.cpu.set_general(values)
    with pytest.raises(ProcessEnded) as end:
        made.run(Kernel())  # type: ignore[arg-type]
    assert end.value.signal == 11 and made.cpu.pc == CODE + 14
    assert made.cpu.general()[registers.INDEX[bits][f"{'re'[bits == 32]}cx"]] == 4
