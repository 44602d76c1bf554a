"""The machine alone: raw code, a kernel of a few lines. Registers, exceptions, pages that are written and executed."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from unicorn import unicorn_const, x86_const

from support.tiny_kernel import TinyKernel
from uselib.emulator.machine import engine, registers
from uselib.emulator.machine.counter import InstructionCounter
from uselib.emulator.machine.machine import VirtualMachine
from uselib.emulator.process.interfaces import Fault, ProcessEnded
from uselib.loader.memory.address_space import PAGE, AddressSpace

CODE, DATA, STACK = 0x40_0000, 0x50_0000, 0x60_0000
RW, RX, RWX = 3, 5, 7


class Bench:
    def __init__(self, bits: int, code: str, prot: int = RX) -> None:
        self.space = AddressSpace(bits)
        self.space.map(CODE, 2 * PAGE, prot, placement="fixed")
        self.space.map(DATA, PAGE, RW, placement="fixed")
        self.space.map(STACK, PAGE, RW, placement="fixed")
        self.space.poke(CODE, bytes.fromhex(code))
        self.machine = VirtualMachine(self.space)
        self.kernel = TinyKernel()
        self.machine.cpu.reset(CODE, STACK + PAGE - 16)

    def run(self, on_interrupt: Callable[[], None] = lambda: None) -> ProcessEnded:
        with pytest.raises(ProcessEnded) as end:
            self.machine.run(self.kernel, on_interrupt)
        return end.value

    def register(self, name: str) -> int:
        return self.machine.cpu.general()[registers.INDEX[self.machine.bits][name]]


# 64-bit: mov eax, 1 / syscall; 32-bit: mov eax, 1 / int 0x80: ends with the first argument
END_64, END_32 = "b801000000 0f05", "b801000000 cd80"


def test_constants_are_the_bindings() -> None:
    for name, module in (("HOOK", unicorn_const), ("ERR", unicorn_const), ("MEM", unicorn_const)):
        for key, value in vars(engine).items():
            if key.startswith(name + "_"):
                assert value == getattr(module, "UC_" + key), key
    assert engine.INSN_SYSCALL == x86_const.UC_X86_INS_SYSCALL
    assert (engine.ARCH_X86, engine.MODE_32, engine.MODE_64) == (4, unicorn_const.UC_MODE_32, unicorn_const.UC_MODE_64)
    for bits in (32, 64):
        for name, number in zip(registers.NAMES[bits], registers.GENERAL[bits], strict=True):
            upper = "EFLAGS" if name == "rflags" else name.upper()
            assert number == getattr(x86_const, f"UC_X86_REG_{upper}"), name
    for name in (
        "FS_BASE",
        "GS_BASE",
        "GDTR",
        "ST0",
        "XMM0",
        "FPSW",
        "FPCW",
        "FPTAG",
        "MXCSR",
        "CS",
        "DS",
        "ES",
        "FS",
        "GS",
        "SS",
    ):
        assert getattr(registers, name) == getattr(x86_const, f"UC_X86_REG_{name}"), name


def test_system_call_64() -> None:
    # mov edi,1; mov esi,2; mov edx,3; mov r10d,4; mov r8d,5; mov r9d,6; mov eax,39; syscall; mov ebx,eax; mov edi,7
    bench = Bench(
        64,
        "bf01000000 be02000000 ba03000000 41ba04000000 41b805000000 41b906000000 b827000000 0f05 89c3 bf07000000"
        + END_64,
    )
    assert bench.run().code == 7
    assert bench.kernel.calls == [(39, [1, 2, 3, 4, 5, 6])]
    assert bench.register("rbx") == 1039
    assert bench.register("rcx") == CODE + 0x28  # the address behind the call
    # mov rbx,-1; mov eax,20; int 0x80; mov rbx,rax: a call of i386, with the lower halves
    bench = Bench(64, "48c7c3ffffffff b814000000 cd80 4889c3 31ff" + END_64)
    bench.run()
    assert bench.kernel.calls == [(-20, [0xFFFFFFFF, 0, 0, 0, 0, 0])] and bench.register("rbx") == (1 << 64) - 38


def test_system_call_32() -> None:
    # mov ebx,1; mov ecx,2; mov edx,3; mov esi,4; mov edi,5; mov ebp,6; mov eax,20; int 0x80; mov ebx,eax
    bench = Bench(32, "bb01000000 b902000000 ba03000000 be04000000 bf05000000 bd06000000 b814000000 cd80 89c3" + END_32)
    assert bench.run().code == 1020 & 0xFF
    assert bench.kernel.calls == [(20, [1, 2, 3, 4, 5, 6])]


@pytest.mark.parametrize(
    "code, signal, trap, access, address",
    [
        ("c7042500900000 01000000", 11, 14, "write", 0x9000),  # mov dword [0x9000], 1
        ("8b042508900000", 11, 14, "read", 0x9008),  # mov eax, [0x9008]
        (
            "48b8feff500000000000 488b00",
            11,
            14,
            "read",
            DATA + 0x10000,
        ),  # mov rax, [rax] where only 2 bytes are below the end
        ("c70425 00004000 01000000", 11, 14, "write", CODE),  # into its own page, which is not writable
        ("ff24253090 0000", 11, 14, "read", 0x9030),  # jmp [0x9030]
        ("b800000070 ffe0", 11, 14, "execute", 0x7000_0000),  # mov eax, 0x70000000; jmp rax
        ("bc00900000 50", 11, 14, "write", 0x8FF8),  # mov esp, 0x9000; push rax
        ("bc00900000 c3", 11, 14, "read", 0x9000),  # ret
        ("bf00a00000 b905000000 f3aa", 11, 14, "write", 0xA000),  # rep stosb
        ("31c9 f7f1", 8, 0, "", CODE + 2),  # div ecx
        ("0f0b", 4, 6, "", CODE),  # ud2
        ("cc", 5, 3, "", 0),  # int3
        ("f4", 11, 13, "", 0),  # hlt
        ("48b80000000000000080 8b00", 11, 13, "", 0),  # a non-canonical address
    ],
)
def test_faults(code: str, signal: int, trap: int, access: str, address: int) -> None:
    bench = Bench(64, code)
    bench.space.map(0x51_0000 - PAGE, PAGE, RW, placement="fixed")
    assert bench.run().signal == signal
    (fault,) = bench.kernel.faults
    assert (fault.trap, fault.access, fault.address) == (trap, access, address)


def test_fault_is_repaired_and_the_instruction_runs_again() -> None:
    bench = Bench(
        64, "c70425 00009000 07000000 8b3c2500009000" + END_64
    )  # mov dword [0x900000], 7; mov edi, [0x900000]
    bench.kernel.on_fault = lambda fault: bench.space.map(0x90_0000, PAGE, RW, placement="fixed") and None
    assert bench.run().code == 7 and len(bench.kernel.faults) == 1


def test_protection_changes_take_effect() -> None:
    # mov eax,[DATA]; mov eax,50; syscall; mov eax,[DATA]
    bench = Bench(64, "8b042500005000 b832000000 0f05 8b042500005000" + END_64)
    bench.kernel.on_call = lambda number: bench.space.protect(DATA, PAGE, 0)
    assert bench.run().fault.address == DATA
    bench = Bench(64, "c6042500005000 01 b832000000 0f05 c6042500005000 02" + END_64)
    bench.kernel.on_call = lambda number: bench.space.protect(DATA, PAGE, 1)
    end = bench.run()
    assert end.fault.access == "write" and bench.space.read(DATA, 1) == b"\1"
    bench = Bench(64, "8b042500005000 b832000000 0f05 8b3c2500005000" + END_64)  # replaced by a fresh page
    bench.space.write(DATA, b"\5")
    bench.kernel.on_call = lambda number: bench.space.map(DATA, PAGE, RW, placement="fixed") and None
    assert bench.run().code == 0


def test_code_written_by_the_kernel_is_seen() -> None:
    # mov eax,50; syscall; mov edi,1; ... : the call changes the 1
    bench = Bench(64, "bf01000000 b832000000 0f05 ff c0 bf01000000" + END_64, RWX)
    bench.kernel.on_call = lambda number: bench.space.write(CODE + 15, b"\x09")
    assert bench.run().code == 9


@pytest.mark.parametrize("bits", [32, 64])
def test_self_modifying_code(bits: int) -> None:
    """A loop that adds 1 to the immediate of an instruction ahead in its own page, ten times."""
    end = END_64 if bits == 64 else END_32
    # mov ecx,10; 1: inc byte [CODE+0x12]; mov ebx|edi, imm8...; dec ecx; jnz 1b
    increment = "fe042512004000" if bits == 64 else "fe0512004000"
    move = "bf00000000" if bits == 64 else "bb00000000"
    if bits == 32:
        increment += "90"
    code = "b90a000000" + increment + move + "ffc9 75f0" + end
    field_at = 5 + 7 + 1
    code = code.replace("12004000", f"{field_at:02x}004000")
    bench = Bench(bits, code, RWX)
    assert bench.run().code == 10


def test_code_and_data_pages_change_over() -> None:
    """Code in one RWX page writes a function into another one and calls it, many times over: what a JIT does."""
    other = CODE + PAGE
    # mov ecx,40; xor edi,edi; 1: mov byte [other],0xff; mov byte [other+1],0xc7 (inc edi); mov byte [other+2],0xc3; call other; dec ecx; jnz 1b
    body = "c60425 00104000 ff c60425 01104000 c7 c60425 02104000 c3 b800104000 ffd0 ffc9 "
    length = len(bytes.fromhex(body)) + 2
    bench = Bench(64, "b928000000 31ff" + body + f"75{256 - length:02x}" + END_64, RWX)
    assert other == 0x401000 and bench.run().code == 40


def test_float_state_round_trip() -> None:
    # fld1; fldpi; movd xmm3, eax; then stop
    for bits, end in ((64, END_64), (32, END_32)):
        bench = Bench(bits, "b8 78563412 d9e8 d9eb 660f6ed8" + end)
        bench.run()
        cpu = bench.machine.cpu
        state = cpu.float_state()
        assert state[:2] == b"\x7f\x03" and state[4] == 0xC0  # control word; two registers in use
        assert state[32:42].hex() == "35c26821a2da0fc90040" and state[48:58].hex() == "0000000000000080ff3f"
        assert state[160 + 48 : 160 + 52].hex() == "78563412"
        cpu.reset(CODE, STACK + 64)
        assert cpu.float_state() != state
        cpu.set_float_state(state)
        assert cpu.float_state() == state


def test_instruction_counter() -> None:
    for limit, count in ((7, 7), (1000, 22)):  # mov ecx,10; 1: dec ecx; jnz 1b; mov eax; syscall
        bench = Bench(64, "b90a000000 ffc9 75fc" + END_64)
        counter = InstructionCounter(limit)
        bench.machine.set_counter(counter)
        end = bench.run()
        assert bool(end.signal) == (limit == 7)
        assert min(counter.count, limit) == count + (1 if limit == 1000 else 0)


def test_watched_blocks() -> None:
    # call +0 table slots twice: call CODE+0x100; call CODE+0x108; call CODE+0x100
    bench = Bench(64, "e8fb000000 e8fe000000 e8f1000000" + END_64)
    for slot, target in ((0x100, 0x200), (0x108, 0x210)):
        bench.space.poke(CODE + slot, b"\xe9" + (target - slot - 5).to_bytes(4, "little"))
        bench.space.poke(CODE + target, b"\xc3")
    seen: list[int] = []
    bench.machine.watch_blocks(CODE + 0x100, CODE + 0x110, seen.append)
    bench.run()
    assert [address - CODE for address in seen] == [0x100, 0x108, 0x100]


def test_interrupt_from_another_thread() -> None:
    bench = Bench(64, "ebfe")  # jmp .
    machine = bench.machine

    def stopped() -> None:
        raise ProcessEnded(5)

    threading.Timer(0.1, machine.interrupt).start()
    assert bench.run(stopped).code == 5


class OneSlice:
    """Time slices: the first is over as soon as something stops the CPU."""

    def __init__(self) -> None:
        self.over = [False, True]

    def slice_over(self) -> bool:
        return self.over.pop()

    def system_call(self, call: Callable[[int, list[int]], int], number: int, arguments: list[int]) -> int:
        return call(number, arguments)

    def begin(self) -> None: ...

    def settle(self) -> None: ...

    def take_over(self) -> None: ...


def test_an_interrupt_behind_the_end_of_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run has ended by its slice; then another thread interrupts, before the run loop has asked why it ended."""
    bench = Bench(64, "eb00 eb00 31ff" + END_64)  # jmp .+2   jmp .+2   xor edi, edi
    machine, seen = bench.machine, [0]

    def interrupt(_pc: int) -> None:
        monkeypatch.setattr(machine, "_x87", None)
        machine.interrupt()

    def interrupted() -> None:
        seen[0] += 1

    machine.watch_blocks(CODE, CODE + 1, lambda _address: machine.engine.stop())
    machine.serve(OneSlice())
    monkeypatch.setattr(machine, "_x87", SimpleNamespace(settle=interrupt))
    end = bench.run(interrupted)
    assert (end.signal, end.code, bench.kernel.faults, seen) == (0, 0, [], [1])


def test_fork_while_another_thread_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Bench(64, "ebfe").machine
    within, go_on = threading.Event(), threading.Event()

    def slow_stop() -> None:
        within.set()
        go_on.wait()

    monkeypatch.setattr(machine.engine, "stop", slow_stop)
    other = threading.Thread(target=machine.interrupt)
    other.start()
    within.wait()
    child = os.fork()
    if child == 0:  # the other thread is not here: nobody would let its lock go
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        machine.after_fork()
        machine.close()
        os._exit(0)
    go_on.set()
    other.join()
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("bits", [32, 64])
def test_random_code_stays_inside(bits: int) -> None:
    """Whatever the code and the registers, the run ends with the limit or with faults, not with an exception of ours."""
    for seed in range(60):
        chance = random.Random(seed)
        code = bytearray(chance.randbytes(400))
        for position in range(0, 400, chance.randint(2, 9)):
            code[position] = chance.choice(bytes.fromhex("8b890fc7f366ffd9dd48e88ef7cda4ab5058c3f4"))
        bench = Bench(bits, code.hex(), chance.choice([RX, RWX]))
        bench.machine.set_counter(InstructionCounter(3000))
        cpu = bench.machine.cpu
        values = cpu.general()
        edges = [0, 1, CODE, DATA, STACK + 100, 0xFFFF_FFF0, 0xFFFF_E000, (1 << bits) - 1, (1 << bits - 1) - 4]
        for index in range(len(values) - 2):
            if index != 7:
                values[index] = chance.choice([*edges, chance.getrandbits(bits)])
        cpu.set_general(values)

        def go_on(fault: Fault, bench: Bench = bench, chance: random.Random = chance) -> None:
            if len(bench.kernel.faults) > 20:
                raise ProcessEnded(signal=fault.signal)
            registers_now = bench.machine.cpu.general()
            registers_now[-2], registers_now[7] = CODE + chance.randint(0, 390), STACK + 3000
            bench.machine.cpu.set_general(registers_now)

        bench.kernel.on_fault = go_on
        bench.run()
        bench.machine.close()
        bench.space.release()
