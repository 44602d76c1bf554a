"""AddressSpace against a model: a dictionary of pages. Every operation that Linux would do, in any order."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from uselib.loader.memory import windows
from uselib.loader.memory.address_space import (
    MMAP_MIN,
    PAGE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    AddressSpace,
    MemoryCeiling,
    MemoryFault,
)
from uselib.loader.memory.layout import LAYOUTS
from uselib.loader.memory.vma import Vma

RW = PROT_READ | PROT_WRITE
BASE = 0x1000_0000  # the region that the machine below plays in: 24 pages
PAGES = 24
FILE = bytes(i // 64 % 251 for i in range(3 * PAGE + 100))


@dataclass
class Page:
    prot: int
    data: bytearray
    beyond_file: bool = False


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.space = AddressSpace(32)
        self.pages: dict[int, Page] = {}
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed in teardown
        self.file.write(FILE)
        self.file.flush()

    def teardown(self) -> None:
        self.space.release()
        self.file.close()

    page = st.integers(0, PAGES - 1)
    count = st.integers(1, 8)
    prots = st.sampled_from([0, PROT_READ, RW, PROT_READ | PROT_EXEC, RW | PROT_EXEC])

    @rule(page=page, count=count, prot=prots, placement=st.sampled_from(["fixed", "noreplace"]))
    def map_anonymous(self, page: int, count: int, prot: int, placement: str) -> None:
        taken = any(page + i in self.pages for i in range(count))
        address = BASE + page * PAGE
        if placement == "noreplace" and taken:
            with pytest.raises(OSError) as failure:
                self.space.map(address, count * PAGE, prot, placement=placement)
            assert failure.value.errno == errno.EEXIST
            return
        assert self.space.map(address, count * PAGE - 5, prot, placement=placement) == address
        for i in range(count):
            self.pages[page + i] = Page(prot, bytearray(PAGE))

    @rule(page=page, count=count, prot=prots, first=st.integers(0, 4))
    def map_file(self, page: int, count: int, prot: int, first: int) -> None:
        address = BASE + page * PAGE
        self.space.map(
            address, count * PAGE, prot, fd=self.file.fileno(), offset=first * PAGE, placement="fixed", name="file"
        )
        for i in range(count):
            start = (first + i) * PAGE
            self.pages[page + i] = Page(
                prot, bytearray(FILE[start : start + PAGE].ljust(PAGE, b"\0")), start >= len(FILE)
            )

    @rule(page=page, count=count)
    def unmap(self, page: int, count: int) -> None:
        self.space.unmap(BASE + page * PAGE, count * PAGE)
        for i in range(count):
            self.pages.pop(page + i, None)

    @rule(page=page, count=count, prot=prots)
    def protect(self, page: int, count: int, prot: int) -> None:
        if all(page + i in self.pages for i in range(count)):
            self.space.protect(BASE + page * PAGE, count * PAGE, prot)
            for i in range(count):
                self.pages[page + i].prot = prot
        else:  # what comes before the hole is changed
            with pytest.raises(OSError) as failure:
                self.space.protect(BASE + page * PAGE, count * PAGE, prot)
            assert failure.value.errno == errno.ENOMEM
            while page in self.pages:
                self.pages[page].prot = prot
                page += 1

    def _reachable(self, address: int, size: int, needed: int) -> bool:
        first, last = (address - BASE) // PAGE, (address + size - 1 - BASE) // PAGE
        found = [self.pages.get(i) for i in range(first, last + 1)]
        return all(p is not None and (p.prot & needed if needed else p.prot) and not p.beyond_file for p in found)

    @rule(page=page, offset=st.integers(0, PAGE - 1), data=st.binary(min_size=1, max_size=6000))
    def write(self, page: int, offset: int, data: bytes) -> None:
        address = BASE + page * PAGE + offset
        if not self._reachable(address, len(data), PROT_WRITE):
            with pytest.raises(MemoryFault):
                self.space.write(address, data)
            return
        self.space.write(address, data)
        for i, byte in enumerate(data):
            at = page * PAGE + offset + i
            self.pages[at // PAGE].data[at % PAGE] = byte

    @rule(page=page, offset=st.integers(0, PAGE - 1), size=st.integers(1, 3 * PAGE))
    def read(self, page: int, offset: int, size: int) -> None:
        address = BASE + page * PAGE + offset
        if not self._reachable(address, size, 0):
            with pytest.raises(MemoryFault):
                self.space.read(address, size)
            return
        start = page * PAGE + offset
        expected = b"".join(bytes(self.pages[i].data) for i in range(page, (start + size - 1) // PAGE + 1))
        assert self.space.read(address, size) == expected[offset : offset + size]

    @rule(page=page, old=count, new=count, to=st.none() | page)
    def remap(self, page: int, old: int, new: int, to: int | None) -> None:
        address = BASE + page * PAGE
        vma = self.space.find(address)
        kept = min(old, new)
        usable = vma is not None and (vma.end >= address + kept * PAGE or (to is None and new <= old))
        destination = None if to is None else BASE + to * PAGE
        overlap = to is not None and to < page + old and page < to + new
        if vma is None or not usable or overlap:
            with pytest.raises(OSError) as failure:
                self.space.remap(address, old * PAGE, new * PAGE, may_move=True, new_address=destination)
            assert failure.value.errno in (errno.EFAULT, errno.EINVAL)
            if vma is not None and not overlap:
                self._cut_off(page, new, old)
            return
        self._cut_off(page, new, old)
        result = self.space.remap(address, old * PAGE, new * PAGE, may_move=True, new_address=destination)
        if to is None and new <= old:
            assert result == address
            return
        moved = [self.pages.pop(page + i) for i in range(kept)]
        if not BASE <= result < BASE + PAGES * PAGE:
            self._moved_out(result, moved, new)
            return
        at = (result - BASE) // PAGE
        for i in range(new):
            self.pages[at + i] = moved[i] if i < kept else self._fresh(vma, address + i * PAGE)

    def _cut_off(self, page: int, new: int, old: int) -> None:
        """What is too much is gone first, also where the call fails then."""
        for i in range(new, old):
            self.pages.pop(page + i, None)

    def _fresh(self, vma: Vma, address: int) -> Page:
        """A page by which a mapping has grown."""
        if vma.file is None:
            return Page(vma.prot, bytearray(PAGE))
        start = vma.offset + address - vma.start
        return Page(vma.prot, bytearray(FILE[start : start + PAGE].ljust(PAGE, b"\0")), start >= len(FILE))

    def _moved_out(self, result: int, moved: list[Page], count: int) -> None:
        """Pages that remap moved out of the region: the same contents, and then gone."""
        contents = b"".join(bytes(p.data) for p in moved if not p.beyond_file)
        if moved[0].prot and contents and not any(p.beyond_file for p in moved):
            assert self.space.read(result, len(contents)) == contents
        self.space.unmap(result, count * PAGE)

    @rule(size=st.integers(1, 5 * PAGE))
    def map_anywhere(self, size: int) -> None:
        address = self.space.map(0, size, RW)
        assert address % PAGE == 0 and not any(BASE <= a < BASE + PAGES * PAGE for a in (address, address + size - 1))
        assert self.space.read(address, size) == bytes(size)
        self.space.unmap(address, size)

    @invariant()
    def same_mappings(self) -> None:
        found = {}
        previous = 0
        for vma in self.space:
            assert vma.start >= previous and vma.start < vma.end and vma.start % PAGE == vma.end % PAGE == 0
            previous = vma.end
            for address in range(vma.start, vma.end, PAGE):
                found[(address - BASE) // PAGE] = vma.prot
        assert found == {number: page.prot for number, page in self.pages.items()}
        assert self.space.total == PAGE * len(found)


Model.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestModel = Model.TestCase


class FarModel(Model):
    """The same where each mapping has windows of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.space.release()
        self.few = patch.object(windows, "NEAR", 0)
        self.few.start()
        self.space = AddressSpace(32, layout=replace(LAYOUTS[32], windows=((0xE000_0000, 1 << 32),)))

    def teardown(self) -> None:
        super().teardown()
        self.few.stop()


FarModel.TestCase.settings = Model.TestCase.settings
TestFarModel = FarModel.TestCase


@contextmanager
def space(bits: int = 64, **options: int) -> Iterator[AddressSpace]:
    made = AddressSpace(bits, **options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.release()


@pytest.mark.parametrize("bits", [32, 64])
def test_placement_is_deterministic_and_top_down(bits: int) -> None:
    with space(bits) as a, space(bits) as b:
        first = [a.map(0, size, RW) for size in (PAGE, 5 * PAGE, 1 << 20)]
        assert first == [b.map(0, size, RW) for size in (PAGE, 5 * PAGE, 1 << 20)]
        assert first == sorted(first, reverse=True)
        assert a.map(0x1234_5678, PAGE, RW) == 0x1234_5000  # a hint that is free
        assert a.map(0x1234_5678, PAGE, RW) == first[-1] - PAGE
        a.unmap(first[1], 5 * PAGE)
        assert a.map(0, 2 * PAGE, RW) == first[1] + 3 * PAGE  # the highest gap that is large enough


def test_errors() -> None:
    with space(32) as a:
        for number, action in (
            (errno.EINVAL, lambda: a.map(0, 0, RW)),
            (errno.EINVAL, lambda: a.map(0x10001, PAGE, RW, placement="fixed")),
            (errno.EPERM, lambda: a.map(MMAP_MIN - PAGE, PAGE, RW, placement="fixed")),
            (errno.ENOMEM, lambda: a.map(0, 1 << 32, RW)),
            (errno.ENOMEM, lambda: a.map(0xFFFF_D000, 2 * PAGE, RW, placement="fixed")),
            (errno.EINVAL, lambda: a.unmap(1, PAGE)),
            (errno.EINVAL, lambda: a.unmap(0x10000, 0)),
            (errno.EINVAL, lambda: a.protect(1, PAGE, RW)),
            (errno.EFAULT, lambda: a.remap(0x20000, PAGE, PAGE * 2, may_move=True)),
        ):
            with pytest.raises(OSError) as failure:
                action()
            assert failure.value.errno == number


def test_limits() -> None:
    with space(limit=10 * PAGE) as a:
        address = a.map(0, 8 * PAGE, RW)
        with pytest.raises(OSError):
            a.map(0, 3 * PAGE, RW)
        a.map(address, 8 * PAGE, RW, placement="fixed")  # takes nothing more
        with pytest.raises(OSError):
            a.remap(address, 8 * PAGE, 11 * PAGE, may_move=True)
    with space(ceiling=10 * PAGE) as a, pytest.raises(MemoryCeiling):
        a.map(0, 11 * PAGE, RW)


def test_heap() -> None:
    with space() as a:
        a.start_brk(0x50_0001)
        start = a.brk
        assert start == 0x50_1000
        assert a.set_brk(0) == start
        assert a.set_brk(start + 10000) == start + 10000
        a.write(start, b"x" * 10000)
        assert a.set_brk(start + 100) == start + 100
        assert a.set_brk(start + 10000) == start + 10000
        assert a.read(start + PAGE, 100) == bytes(100) and a.read(start + 200, 3) == b"xxx"
        a.map(start + 4 * PAGE, PAGE, RW, placement="fixed")
        assert a.set_brk(start + 8 * PAGE) == start + 10000  # something is in the way


def test_stack_grows_to_its_limit() -> None:
    with space(stack_limit=64 * PAGE) as a:
        top = a.layout.stack_top
        a.map(top - 4 * PAGE, 4 * PAGE, RW, placement="fixed", grows_down=True, name="[stack]")
        a.write(top - 20 * PAGE, b"deep")  # the kernel's access grows it too
        assert a.read(top - 10 * PAGE, 4) == bytes(4)
        with pytest.raises(MemoryFault) as failure:
            a.write(top - 65 * PAGE, b"too deep")
        assert failure.value.stack_overflow
        with pytest.raises(OSError):
            a.map(0, a.layout.stack_top, RW)


def test_shared_and_private_files(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "file")
    with open(path, "wb") as file:
        file.write(b"abcd" * 2000)
    fd = os.open(path, os.O_RDWR)
    with space() as a:
        private = a.map(0, 2 * PAGE, RW, fd=fd, name="f")
        shared = a.map(0, 2 * PAGE, RW, fd=fd, shared=True, name="f")
        a.write(private, b"mine")
        a.write(shared + 4, b"ours")
        assert os.pread(fd, 8, 0) == b"abcdours"
        assert a.read(private, 4) == b"mine"
        a.protect(private, PAGE, PROT_READ)
        with pytest.raises(MemoryFault):
            a.write(private, b"no")
        read_only = a.map(0, PAGE, PROT_READ, fd=fd, shared=True, may_write=False)
        with pytest.raises(OSError) as failure:
            a.protect(read_only, PAGE, RW)
        assert failure.value.errno == errno.EACCES
        os.close(fd)
        assert a.remap(private, PAGE, PAGE, may_move=False) == private
        with pytest.raises(MemoryFault) as fault:
            a.map(0x1000_0000, 3 * PAGE, RW, fd=os.open(path, os.O_RDWR), placement="fixed")
            a.read(0x1000_0000 + 2 * PAGE, 1)
        assert fault.value.beyond_file


def test_strings() -> None:
    with space() as a:
        address = a.map(0, 2 * PAGE, RW)
        a.write(address + PAGE - 3, b"hello\0")
        assert a.read_string(address + PAGE - 3) == b"hello"
        a.write(address + PAGE, b"x" * PAGE)
        with pytest.raises(MemoryFault):
            a.read_string(address + PAGE)
        with pytest.raises(OSError) as failure:
            a.read_string(address + PAGE, 10)
        assert failure.value.errno == errno.ENAMETOOLONG
