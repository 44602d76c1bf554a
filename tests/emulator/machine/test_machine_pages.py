"""Page lookups: the table in C answers as the policy in Python does, whatever happens to the mappings; the TLB grows."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uselib.emulator import native_module
from uselib.emulator.machine import native_pages
from uselib.emulator.machine.engine import MEM_FETCH, MEM_READ, MEM_WRITE
from uselib.emulator.machine.machine import VirtualMachine
from uselib.emulator.machine.native_pages import NativeLookups, PortableLookups
from uselib.emulator.process.interfaces import AnswerTable, Fault, ProcessEnded
from uselib.loader.memory.address_space import PAGE, AddressSpace, MemoryFault

needs_table = pytest.mark.skipif(
    native_pages.library() is None, reason="needs the shared object that a C compiler builds"
)
BASE = 0x1000_0000
WHERE = st.integers(0, 40)  # pages from BASE
SPAN = st.tuples(WHERE, st.integers(1, 12))
PROT = st.integers(0, 7)
OPERATION = st.one_of(
    st.tuples(st.just("map"), SPAN, PROT),
    st.tuples(st.just("unmap"), SPAN, st.just(0)),
    st.tuples(st.just("protect"), SPAN, PROT),
    st.tuples(st.just("withhold"), SPAN, st.integers(0, 1)),
    st.tuples(st.just("poke"), SPAN, st.just(0)),
    st.tuples(st.just("access"), SPAN, st.sampled_from([MEM_READ, MEM_WRITE, MEM_FETCH])),
)


class Side:
    """A machine, and lookups as Unicorn makes them."""

    def __init__(self, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            if not native:
                patch.setattr(native_pages, "library", lambda: None)
            self.machine = VirtualMachine(AddressSpace(64))
        assert isinstance(self.machine.pages._table, NativeLookups if native else PortableLookups)

    def look_up(self, page: int, access: int) -> int:
        """Permissions; 0 for a fault. A page that changes over is looked up again, as the run loop does."""
        for _ in range(4):
            perms = self._answer(page, access)
            if perms or not self.machine.pages.resolve(page, access, BASE):
                return perms
        return -1

    def _answer(self, page: int, access: int) -> int:
        table = self.machine.pages._table
        if isinstance(table, PortableLookups):
            return self.machine.pages.fill(page, access)
        assert isinstance(table, NativeLookups)
        entry = native_pages._Entry()
        function = ctypes.CFUNCTYPE(
            ctypes.c_bool, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p
        )(native_module.address(table._lib.uselib_pages_fill))
        handle = self.machine.engine.handle
        found = function(handle, page, access, ctypes.addressof(entry), ctypes.cast(table.table, ctypes.c_void_p))
        assert not found or entry.paddr == page
        return entry.perms if found else 0

    def do(self, name: str, span: tuple[int, int], value: int) -> None:
        start, size = BASE + span[0] * PAGE, span[1] * PAGE
        space, pages = self.machine.space, self.machine.pages
        if name == "map":
            space.map(start, size, value, placement="fixed")
        elif name == "unmap":
            space.unmap(start, size)
        elif name == "withhold":
            pages.withhold(range(start, start + size, PAGE) if value else ())
        else:
            try:
                if name == "protect":
                    space.protect(start, size, value)
                else:
                    space.write(start, b"\x90" * size)
            except (OSError, MemoryFault):
                pass

    def close(self) -> None:
        self.machine.close()
        self.machine.space.release()


@needs_table
def test_the_table_answers_as_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    @settings(max_examples=150, deadline=None)
    @given(st.lists(OPERATION, max_size=40))
    def compare(operations: list[tuple[str, tuple[int, int], int]]) -> None:
        native, portable = Side(True, monkeypatch), Side(False, monkeypatch)
        try:
            for name, span, value in operations:
                if name != "access":
                    native.do(name, span, value)
                    portable.do(name, span, value)
                    continue
                for number in range(span[0], span[0] + span[1]):
                    page = BASE + number * PAGE
                    answers = native.look_up(page, value), portable.look_up(page, value)
                    assert bool(answers[0]) == bool(answers[1]), (hex(page), value, answers)
                    # the table may know less (no right to execute before the page was scanned), and never more
                    assert not answers[0] & ~answers[1], (hex(page), value, answers)
        finally:
            native.close()
            portable.close()

    compare()


class Ending:
    """A kernel whose every call ends the run."""

    signal_pending = False

    def offer(self, calls: AnswerTable) -> None:
        calls.refuse()

    def system_call(self, number: int, arguments: list[int]) -> int:
        raise ProcessEnded(arguments[0] & 0xFF)

    legacy_system_call = exception = deliver_pending = None

    def __init__(self) -> None:
        self.faults: list[Fault] = []


def walk(pages: int, rounds: int) -> bytes:
    """x86-64: stores a byte to each of `pages` pages from BASE on, `rounds` times, then makes a system call."""
    return bytes.fromhex(
        f"b9 {rounds.to_bytes(4, 'little').hex()}"  # mov ecx, rounds
        f"bf {BASE.to_bytes(4, 'little').hex()}"  # 1: mov edi, BASE
        f"ba {pages.to_bytes(4, 'little').hex()}"  # mov edx, pages
        "fe 07"  # 2: inc byte ptr [rdi]
        "81 c7 00 10 00 00"  # add edi, 4096
        "ff ca 75 f4"  # dec edx; jnz 2b
        "ff c9 75 e6"  # dec ecx; jnz 1b
        "31 ff 31 c0 0f 05"  # xor edi, edi; xor eax, eax; syscall
    )


@needs_table
@pytest.mark.parametrize("pages", [240, 1024, 20000])
def test_python_is_asked_once_for_a_region(pages: int) -> None:
    space = AddressSpace(64)
    code = 0x40_0000
    space.map(code, PAGE, 5, placement="fixed")
    space.poke(code, walk(pages, 6))
    space.map(BASE, pages * PAGE, 3, placement="fixed")
    machine = VirtualMachine(space)
    machine.cpu.reset(code, BASE)
    with pytest.raises(ProcessEnded):
        machine.run(Ending())  # type: ignore[arg-type]
    table = machine.pages._table
    assert isinstance(table, NativeLookups)
    assert table.asked < 16
    assert all(space.read(BASE + n * PAGE, 1) == b"\x06" for n in range(pages))
    # A table that is large enough: the last rounds hardly look anything up.
    assert table.table.contents.tlb_size >= min(pages, 512) or pages < 256
    assert table.table.contents.fills < 2 * pages + 512
    machine.close()


@needs_table
def test_only_what_was_looked_up_is_flushed() -> None:
    """munmap of a page flushes that page; one that nobody touched costs the CPU nothing."""
    space = AddressSpace(64)
    space.map(BASE, 2048 * PAGE, 3, placement="fixed")
    machine = VirtualMachine(space)
    table = machine.pages._table
    assert isinstance(table, NativeLookups)
    if not table.table.contents.flush_page:
        pytest.skip("a release of Unicorn that is not known")
    table.table.contents.tlb_size = 4096
    space.unmap(BASE, 1024 * PAGE)
    assert table.table.contents.tlb_size == 4096  # no flush of all
    assert machine.pages.fill(BASE, MEM_READ) == 0
    machine.close()


def test_a_closed_machine_hears_of_nothing() -> None:
    space = AddressSpace(64)
    space.map(BASE, PAGE, 3, placement="fixed")
    machine = VirtualMachine(space)
    machine.close()
    space.unmap(BASE, PAGE)
    space.map(BASE, PAGE, 5, placement="fixed")
