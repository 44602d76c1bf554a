"""What lies in memory: maps, smaps, statm, auxv, environ. Source: fs/proc/task_mmu.c."""

from __future__ import annotations

import os
from collections.abc import Iterator

from uselib.emulator.kernel.process import Process
from uselib.linker.image import PAGE
from uselib.loader.memory.access import MemoryFault
from uselib.loader.memory.vma import Vma

_DEVICE = "00:25"  # of every file (calls/status.py)


def _head(vma: Vma) -> str:
    rights = "".join(letter if vma.prot & bit else "-" for letter, bit in (("r", 1), ("w", 2), ("x", 4)))
    inode = os.fstat(vma.file.fd).st_ino if vma.file is not None else 0
    device = _DEVICE if inode else "00:00"
    head = f"{vma.start:08x}-{vma.end:08x} {rights}{'s' if vma.shared else 'p'} {vma.offset:08x} {device} {inode}"
    return f"{head:<72} {vma.name}".rstrip()


def maps(process: Process) -> bytes:
    """The text of maps. Device numbers are the guest's."""
    return ("\n".join(_head(vma) for vma in process.memory) + "\n").encode("utf-8", "surrogateescape")


# What smaps says of a mapping, in this order; all in KiB
_SIZES = """
Size KernelPageSize MMUPageSize Rss Pss Pss_Dirty Shared_Clean Shared_Dirty Private_Clean Private_Dirty Referenced Anonymous KSM LazyFree
AnonHugePages ShmemPmdMapped FilePmdMapped Shared_Hugetlb Private_Hugetlb Swap SwapPss Locked
""".split()


def _sizes(vma: Vma) -> dict[str, int]:
    """Sizes in KiB by name. All pages count as used, since no record is kept of which have been touched."""
    size = vma.size >> 10
    own = 0 if vma.file is not None and not vma.prot & 2 else size
    return {
        "Size": size,
        "KernelPageSize": PAGE >> 10,
        "MMUPageSize": PAGE >> 10,
        "Rss": size,
        "Pss": size,
        "Pss_Dirty": own,
        "Private_Clean": size - own,
        "Private_Dirty": own,
        "Referenced": size,
        "Locked": size if vma.locked else 0,
        "Anonymous": own if vma.file is None or not vma.shared else 0,
    }


def _rows(values: dict[str, int]) -> Iterator[str]:
    for name in _SIZES:
        if name in values or not name.endswith(("Size", "PageSize")):
            yield f"{name + ':':<16}{values.get(name, 0):>8} kB"


def _vm_flags(vma: Vma) -> str:
    pairs = ((vma.prot & 1, "rd"), (vma.prot & 2, "wr"), (vma.prot & 4, "ex"), (vma.shared, "sh"))
    rest = (
        (True, "mr"),
        (vma.may_write, "mw"),
        (True, "me"),
        (vma.shared, "ms"),
        (vma.grows_down, "gd"),
        (vma.locked, "lo"),
    )
    return " ".join(name for there, name in (*pairs, *rest) if there)


def smaps(process: Process) -> bytes:
    lines = []
    for vma in process.memory:
        lines += [_head(vma), *_rows(_sizes(vma)), "THPeligible:           0", f"VmFlags: {_vm_flags(vma)} "]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def smaps_rollup(process: Process) -> bytes:
    vmas = list(process.memory)
    total = dict.fromkeys(_SIZES, 0)
    for vma in vmas:
        for name, value in _sizes(vma).items():
            total[name] += value
    for name in ("Size", "KernelPageSize", "MMUPageSize"):
        del total[name]
    first, last = (vmas[0].start, vmas[-1].end) if vmas else (0, 0)
    head = f"{f'{first:08x}-{last:08x} ---p 00000000 00:00 0':<72} [rollup]"
    return ("\n".join([head, *_rows(total)]) + "\n").encode()


def _strings(process: Process, start: int, end: int) -> bytes:
    try:
        return process.memory.read(start, max(end - start, 0))
    except MemoryFault:
        return b""


def environ(process: Process) -> bytes:
    """The bytes where execve has put the environment. Changes that the program has made there are shown too."""
    return _strings(process, *process.identity.environment)


def command_line(process: Process) -> bytes:
    start, end = process.identity.arguments
    text = _strings(process, start, end)
    return text or b"".join(word + b"\0" for word in process.identity.command_line)


def auxv(process: Process) -> bytes:
    """Pairs of words, up to and including AT_NULL."""
    address, word = process.identity.auxiliary, process.structs.word  # 0: the program's format has none
    found = b""
    while address:
        pair = _strings(process, address, address + 2 * word)
        found += pair
        if not any(pair[:word]) or len(found) > PAGE:
            break
        address += 2 * word
    return found
