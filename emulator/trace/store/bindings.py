"""A symbol binding as a trace has it: who, what, where it was found, when, and how many objects were asked; and the BINDINGS chunk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from uselib.linker.formats.dynamic_symbols import unversioned

LOAD, FIRST_CALL, DLSYM = "load", "first call", "dlsym"


class TracedBinding(NamedTuple):
    """after: how many events of the process came before. thread: guest thread, 0: the first. referrer: path of the object that refers to
    the symbol. symbol: with its version. definer: path of the object that it was found in, empty if in none. address: what the reference
    got; of thread-local data the offset in the object's. when: LOAD, FIRST_CALL or DLSYM. kind: relocation type, or `dlsym`. result: empty,
    `IFUNC` (what a resolver chose), `copy` (the bytes of a variable) or `TLS`. place: the word that was written, or where dlsym returned to.
    asked: objects that were asked; None: the rules of look-up do not explain the address (LD_AUDIT, for example)."""

    after: int
    thread: int
    referrer: str
    symbol: str
    definer: str
    address: int
    when: str
    kind: str
    result: str
    place: int
    asked: int | None

    @property
    def plain_symbol(self) -> str:
        return unversioned(self.symbol)

    @property
    def text(self) -> str:
        """`ls binds free@GLIBC_2.2.5 to libc.so.6 at 0x7ffff7a5b3a0 (first call, R_X86_64_JUMP_SLOT, 3 objects asked)`."""
        who, where = os.path.basename(self.referrer), os.path.basename(self.definer)
        number = "an unknown number of" if self.asked is None else str(self.asked)
        how = ", ".join(part for part in (self.when, self.kind if self.kind != self.when else "", self.result) if part)
        found = (
            f"to {where} at {self.address:#x}" if where else f"to {self.address:#x}" if self.address else "to nothing"
        )
        return f"{who} binds {self.symbol} {found} ({how}, {number} object{'s' * (self.asked != 1)} asked)"

    @property
    def fields(self) -> dict[str, object]:
        """For JSON: everything but process, place in the sequence and thread."""
        return {
            "referrer": os.path.basename(self.referrer),
            "symbol": self.symbol,
            "definer": os.path.basename(self.definer),
            "address": hex(self.address),
            "when": self.when,
            "kind": self.kind,
            "result": self.result,
            "place": hex(self.place),
            "asked": self.asked,
        }


def chunk_of(rows: Sequence[TracedBinding]) -> dict[str, Any]:
    """The body of the chunk: a list for each field."""
    return {name: list(column) for name, column in zip(TracedBinding._fields, zip(*rows, strict=True), strict=True)}


def rows_of(chunk: dict[str, Any]) -> Iterator[TracedBinding]:
    """Of a damaged chunk: the rows that make sense."""
    columns = [chunk.get(name) for name in TracedBinding._fields]
    if not all(isinstance(column, list) for column in columns):
        return
    for row in zip(*columns, strict=False):
        if all(_fits(name, value) for name, value in zip(TracedBinding._fields, row, strict=True)):
            yield TracedBinding(*row)


def _fits(name: str, value: object) -> bool:
    if name in ("referrer", "symbol", "definer", "when", "kind", "result"):
        return isinstance(value, str)
    if name == "asked" and value is None:
        return True
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64
