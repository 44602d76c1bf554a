"""What comparing two records or enumerations gives, and what it must know of their use: a contract; imports no comparison."""

from __future__ import annotations

from dataclasses import dataclass

from uselib.abi.static.model.findings import Severity


@dataclass(frozen=True, slots=True)
class RecordUsage:
    """How programs use a record. by_value: passed, returned or embedded as a whole. indexed: programs step through arrays of it.
    caller_allocated: programs allocate it."""

    by_value: bool = False
    indexed: bool = False
    caller_allocated: bool = True

    @property
    def size_matters(self) -> bool:
        return self.by_value or self.indexed or self.caller_allocated


@dataclass(frozen=True, slots=True)
class LayoutChange:
    """A change of a record or enumeration. rule: its id. words: what changed; old, new: how it was and is."""

    rule: str
    severity: Severity
    words: str
    old: str = ""
    new: str = ""

    @property
    def sentence(self) -> str:
        """The words, with how it was and is."""
        return f"{self.words}: {self.old} became {self.new}" if self.old != self.new else self.words
