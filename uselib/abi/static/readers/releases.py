"""What facts take from the earlier releases that a library records (linker/library/releases/history.py)."""

from __future__ import annotations

from uselib.linker.formats import elf
from uselib.linker.library.releases.history import History


def former_names(history: History | None) -> dict[str, tuple[str, ...]]:
    """Today's name -> what it was called before, the oldest first."""
    former: dict[str, tuple[str, ...]] = {}
    for row in history.renamed if history is not None else ():
        former[row.new] = (*former.pop(row.old, ()), row.old)
    return former


def check_slots(count: int, slot_size: int, size: int, where: str) -> None:
    """Raises FormatError if a library of `size` bytes cannot have so many slots."""
    if count * slot_size > size:
        raise elf.bad(
            where, f"its note claims {count} slots of {slot_size} bytes, more than the library's {size:#x} bytes"
        )
