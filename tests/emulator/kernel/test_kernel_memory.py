"""Rules of memory that the differential programs cannot show, because these may run as root, or because Linux has no such rule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kernel import Kernel, kernel
from uselib.emulator.kernel import limits
from uselib.emulator.kernel.calls.files import MAPPED_MEMORY_FILES
from uselib.linker.image import Machine

PAGE, RW, PRIVATE, SHARED, ANONYMOUS, LOCKED = 4096, 3, 2, 1, 0x20, 0x2000


@pytest.fixture(params=[Machine.X86_64, Machine.I386], ids=["x86_64", "i386"])
def guest(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kernel]:
    with kernel(request.param, writable=[str(tmp_path)], cwd=str(tmp_path)) as made:
        yield made


def mapped(guest: Kernel, size: int = 4 * PAGE, flags: int = PRIVATE | ANONYMOUS, fd: int = -1) -> int | str:
    return guest.result("mmap2" if guest.machine is Machine.I386 else "mmap", 0, size, RW, flags, fd, 0)


def limit_locks(guest: Kernel, size: int) -> None:
    address = guest.memory.map(0, PAGE, RW)
    word = guest.machine.word
    guest.memory.write(address, size.to_bytes(word, "little") + (1 << 20).to_bytes(word, "little"))
    assert guest.result("setrlimit", limits.MEMLOCK, address) == 0


def test_locked_memory_is_limited(guest: Kernel) -> None:
    """mlock(2): a user's rules, with RLIMIT_MEMLOCK."""
    limit_locks(guest, 4 * PAGE)
    first, second = mapped(guest), mapped(guest)
    assert guest.result("mlock", first, 3 * PAGE) == 0
    assert guest.result("mlock", first, 3 * PAGE) == 0  # they are locked already
    assert guest.result("mlock", second, 2 * PAGE) == "ENOMEM"
    assert guest.result("mlock", second, 1) == 0
    assert mapped(guest, PAGE, PRIVATE | ANONYMOUS | LOCKED) == "EAGAIN"
    assert guest.result("mremap", second, PAGE, 2 * PAGE, 1, 0) == "EFAULT" or guest.memory.locked == 4 * PAGE
    assert guest.result("mlockall", 1) == "ENOMEM"
    assert guest.result("munlock", first, 2 * PAGE) == 0
    assert guest.memory.locked == 2 * PAGE
    assert guest.result("mlockall", 2) == 0
    assert isinstance(mapped(guest, 2 * PAGE), int)
    assert mapped(guest, PAGE) == "EAGAIN"
    assert guest.result("munlockall") == 0
    assert guest.memory.locked == 0


def test_without_the_right_to_lock(guest: Kernel) -> None:
    limit_locks(guest, 0)
    address = mapped(guest)
    assert guest.result("mlock", address, PAGE) == "EPERM"
    assert guest.result("mlockall", 1) == "EPERM"
    assert guest.result("munlock", address, PAGE) == 0
    assert mapped(guest, PAGE, PRIVATE | ANONYMOUS | LOCKED) == "EPERM"


def test_memory_files_that_are_closed_and_mapped_count(guest: Kernel) -> None:
    """Each may take memory of the host's as long as it is mapped."""
    made = 0
    while isinstance(fd := guest.result("memfd_create", b"x", 0), int):
        assert guest.result("ftruncate", fd, PAGE) == 0
        assert isinstance(mapped(guest, PAGE, SHARED, fd), int)
        assert guest.result("close", fd) == 0
        made += 1
        assert made <= MAPPED_MEMORY_FILES
    assert (fd, made) == ("ENFILE", MAPPED_MEMORY_FILES)
