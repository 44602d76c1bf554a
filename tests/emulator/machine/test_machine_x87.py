"""The x87 instructions that the host carries out: equal to native ones on random and special operands; code that changes."""

from __future__ import annotations

from pathlib import Path

import capstone
import pytest
from unicorn import unicorn_const

from support.paths import GUEST
from support.programs import build, run
from support.tools import NATIVE
from uselib.emulator.machine import x87
from uselib.emulator.machine.counter import InstructionCounter
from uselib.emulator.machine.machine import VirtualMachine
from uselib.emulator.process.interfaces import AnswerTable, Fault, ProcessEnded
from uselib.loader.memory.address_space import PAGE, AddressSpace

pytestmark = pytest.mark.skipif(not x87.available(), reason="Unicorn's own x87 is used on this host")

CODE, DATA = 0x40_0000, 0x50_0000
ROUNDS = "4000"
# Unicorn's own, of which the registers are right (not the exceptions)
RIGHT = {
    "fsqrt",
    "fmulp",
    "fdivp",
    "fcompp",
    "fucompp",
    "ftst",
    "fabs",
    "fchs",
    "fistp16",
    "fistp32",
    "fistp64",
    "fst80",
}


def test_machine_code_is_what_its_rows_say() -> None:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    code = b"".join(bytes.fromhex(text) for text, _ in x87.HOOK)
    shown = [f"{instruction.mnemonic} {instruction.op_str}".strip() for instruction in decoder.disasm(code, 0)]
    assert shown == [text for _, text in x87.HOOK]
    for second, name in x87.INSTRUCTIONS.items():
        assert next(decoder.disasm(bytes((0xD9, second)), 0)).mnemonic == name
    assert x87._Context.image.offset == 0x50 and x87._Context.pending.offset == 0x38
    assert x87._Context.mask.offset == 0x40 and x87._Context.host_control.offset == 0x48
    assert (len(x87._LOADED), len(x87._STORED)) == (11, 5)
    assert unicorn_const.UC_VERSION_MAJOR == 2


@pytest.fixture(params=["0", "1"], ids=["hooks", "core"])
def way_of_x87(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hooks on single instructions (x87.py), or by the replaced parts of the CPU."""
    monkeypatch.setenv("USELIB_CORE", request.param)


@pytest.mark.usefixtures("way_of_x87")
def test_operands(arch: str, tmp_path: Path) -> None:
    """Registers, tags, condition codes and exceptions of the host's instructions; registers of the others."""
    program = build(tmp_path / "x87", arch, "static", "-w", "-O1", GUEST / "x87.c", libc="musl")
    native, emulated = (
        {line.split()[0]: line.split()[1:] for line in run(way, program, [ROUNDS]).stdout.decode().splitlines()}
        for way in ("native", "emulated")
    )
    assert native.keys() == emulated.keys() and native.keys() >= set(x87.INSTRUCTIONS.values()) | RIGHT
    for name in x87.INSTRUCTIONS.values():
        assert emulated[name] == native[name], name
    for name in RIGHT:
        assert emulated[name][:2] == native[name][:2], name


@pytest.mark.usefixtures("way_of_x87")
def test_c_library(arch: str, tmp_path: Path) -> None:
    program = build(tmp_path / "math", arch, "static", "-w", "-O1", "-fno-builtin", GUEST / "math.c", libc="musl")
    native, emulated = (run(way, program).stdout.decode().splitlines() for way in ("native", "emulated"))
    assert NATIVE and emulated == native
    assert "0x1.6afp+11 0x1.ffffffffffffep-1023" in emulated  # 2903.5: fprem


class Kernel:
    """Call 1 ends the run; so does an exception."""

    signal_pending = False

    def offer(self, calls: AnswerTable) -> None:
        calls.refuse()

    def __init__(self) -> None:
        self.fault: Fault | None = None

    def system_call(self, number: int, arguments: list[int]) -> int:
        raise ProcessEnded(arguments[0] & 0xFF)

    def legacy_system_call(self, number: int, arguments: list[int]) -> int:
        raise ProcessEnded(0)

    def exception(self, fault: Fault) -> None:
        self.fault = fault
        raise ProcessEnded(signal=fault.signal, fault=fault)

    def deliver_pending(self) -> None: ...


class Bench:
    def __init__(self, bits: int, code: bytes, at: int = CODE, prot: int = 5) -> None:
        self.space = AddressSpace(bits)
        self.space.map(CODE, 2 * PAGE, prot, placement="fixed")
        self.space.map(DATA, PAGE, 3, placement="fixed")
        self.space.poke(at, code)
        self.machine = VirtualMachine(self.space)
        self.kernel = Kernel()
        self.machine.cpu.reset(at, DATA + PAGE - 64)

    def run(self) -> None:
        with pytest.raises(ProcessEnded):
            self.machine.run(self.kernel)

    def result(self) -> bytes:
        return self.space.read(DATA, 10)


STORE = "db3c25 00005000"  # fstp tbyte ptr [0x500000], in 64-bit mode
END = "b83c000000 0f05"  # mov eax, 60; syscall


def sine(at: int = CODE) -> bytes:
    bench = Bench(64, bytes.fromhex("d9e8 d9fe" + STORE + END), at)  # fld1; fsin
    bench.run()
    return bench.result()


def test_at_the_borders_of_pages() -> None:
    expected = sine()
    # sin(1) = 0.84147098480789650665...: the 64-bit significand, which double precision does not reach
    assert int.from_bytes(expected[:8], "little") == 0xD76AA47848677021
    for offset in range(-6, 1):  # fsin before, across and behind the border; entered by falling through
        assert sine(CODE + PAGE + offset) == expected


@pytest.mark.parametrize("prot", [7, 5])
def test_code_that_writes_itself(prot: int) -> None:
    # fld1; mov byte ptr [rip + 1], 0xfe; d9 ff (fcos) becomes d9 fe (fsin)
    code = bytes.fromhex("d9e8 c605 01000000 fe d9ff" + STORE + END)
    if prot == 5:
        bench = Bench(64, code.replace(bytes.fromhex("c60501000000fe"), bytes.fromhex("0f1f8000000000")))
        bench.space.poke(CODE + 10, b"\xfe")  # before it runs
    else:
        bench = Bench(64, code, prot=7)
    bench.run()
    assert bench.result() == sine()


def test_counted_once() -> None:
    bench = Bench(64, bytes.fromhex("d9e8 d9fe" + STORE + END))
    counter = InstructionCounter(1000)
    bench.machine.set_counter(counter)
    bench.run()
    assert counter.count == 5


def test_unmasked_exception_leaves_the_operand() -> None:
    # fldcw [rip + x] with invalid unmasked (0x37e); fldz; fldz; fprem: #IA; fwait
    code = bytes.fromhex("d92d 0e000000 d9ee d9ee d9f8 9b" + END + "7e03")
    bench = Bench(64, code)
    bench.run()
    state = bench.machine.cpu.float_state()
    assert state[32:42] == bytes(10)  # not a NaN
    assert int.from_bytes(state[2:4], "little") & 0x81 == 0x81  # IE, ES
    fault = bench.kernel.fault
    assert fault is not None and (fault.signal, fault.code, fault.trap) == (8, 7, 16)  # FPE_FLTINV


def test_behind_the_border_was_translated_before() -> None:
    """The second half of the hook's work is on a page that has run already."""
    # CODE: call CODE + PAGE; jmp CODE + PAGE - 4, where fld1; fsin run into CODE + PAGE again
    counter = DATA + 64
    begin = (
        bytes.fromhex("e8")
        + (PAGE - 5).to_bytes(4, "little")
        + bytes.fromhex("e9")
        + (PAGE - 4 - 10).to_bytes(4, "little")
    )
    bench = Bench(64, begin)
    # CODE + PAGE:  inc dword ptr [counter]; cmp dword ptr [counter], 2; je 1f; ret; 1: fstp; end
    code = bytes.fromhex("ff0425") + counter.to_bytes(4, "little")
    code += bytes.fromhex("833c25") + counter.to_bytes(4, "little") + bytes.fromhex("02 7401 c3" + STORE + END)
    bench.space.poke(CODE + PAGE - 4, bytes.fromhex("d9e8 d9fe") + code)
    bench.run()
    assert bench.result() == sine()


def test_the_cpu_stops_in_between() -> None:
    """A block has at most 512 instructions, here the last before a page that cannot be executed is fsin: the registers at
    the fault are the processor's."""
    code = bytes.fromhex("d9e8") + b"\x90" * 510 + bytes.fromhex("d9fe")  # fld1; nop...; fsin
    bench = Bench(64, code, CODE + PAGE - len(code))
    bench.space.protect(CODE + PAGE, PAGE, 1)
    bench.run()
    assert bench.kernel.fault is not None and bench.machine.cpu.pc == CODE + PAGE
    assert bench.machine.cpu.float_state()[32:42] == sine()


def test_code_at_the_end_of_what_is_mapped() -> None:
    """The hook looks at no byte behind its instruction."""
    bench = Bench(64, bytes.fromhex("d9e8 d9fe f4"), CODE + 2 * PAGE - 5)  # hlt: a fault
    bench.run()
    assert bench.kernel.fault is not None and bench.machine.cpu.pc == CODE + 2 * PAGE - 1
