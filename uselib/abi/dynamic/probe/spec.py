"""The requests and results of a probe: data that the search, the renderers and the callers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from uselib.abi.dynamic.probe.c_text import call_text
from uselib.abi.dynamic.probe.values import Value, plain
from uselib.emulator.trace.prototypes.type_views import Prototype

PROBE_VERSION = 1  # of as_json

ProbeVerdict = Literal["no difference found", "difference", "not probed"]
_STATUS = {"no difference found": 0, "difference": 4, "not probed": 16}


@dataclass(frozen=True)
class ProbeRequest:
    """old, new: files of target libraries. functions: names or patterns. library_path: where their dependencies are. prototypes: files
    with C declarations. ranges: parameter -> least and greatest value. null: pointers may be NULL. examples: calls of each function at
    most, without those of shrinking. max_instructions: of one call."""

    old: str
    new: str
    functions: tuple[str, ...]
    library_path: tuple[str, ...] = ()
    prototypes: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    null: bool = False
    errno: bool = True
    seed: int = 0
    examples: int = 500
    max_instructions: int = 1_000_000
    state: bool = False  # sequences of calls


class Refused(Exception):
    """No arguments can be made. The message says which parameter, and why."""


@dataclass(frozen=True)
class CallDifference:
    """kind: `end`, `result`, `memory`, `data`, `output`, `errno`. what: where it was seen, as C; old, new: values in words."""

    kind: str
    what: str
    old: str
    new: str


Call = tuple[Prototype, tuple[Value, ...]]


@dataclass(frozen=True)
class Witness:
    """The smallest arguments that were found to make a difference. old, new: how the call ended on either side. before: calls that have
    to be made first."""

    arguments: tuple[Value, ...]
    difference: CallDifference
    old: str
    new: str
    before: tuple[Call, ...] = ()


@dataclass(frozen=True)
class FunctionResult:
    """examples: calls that were compared, shrinking included. crashed: how many of those were killed, or did not end, on both sides. reason:
    why it was not probed.
    """

    name: str
    verdict: ProbeVerdict
    prototype: Prototype | None = None
    examples: int = 0
    crashed: int = 0
    witness: Witness | None = None
    reason: str = ""


@dataclass(frozen=True)
class ProbeResult:
    """old, new: the files. seed: of the request."""

    old: str
    new: str
    seed: int
    functions: tuple[FunctionResult, ...]
    asked_for: int = 1  # functions that were named; those of a pattern do not count if they could not be probed

    @property
    def status(self) -> int:
        """The exit status: 4 for a difference, 16 if nothing could be probed (or a named function could not), 0 for no difference found."""
        found = {_STATUS[function.verdict] for function in self.functions}
        if 4 in found:
            return 4
        return 16 if found != {0} and (self.asked_for or found == {16} or not found) else 0

    def as_json(self) -> dict[str, Any]:
        rows = []
        for f in self.functions:
            row: dict[str, Any] = {
                "function": f.name,
                "verdict": f.verdict,
                "examples": f.examples,
                "crashed": f.crashed,
            }
            if f.reason:
                row["reason"] = f.reason
            if f.witness is not None and f.prototype is not None:
                seen = f.witness.difference
                row["witness"] = {
                    "call": call_text(f.prototype, f.witness.arguments)[-1],
                    "arguments": [plain(value) for value in f.witness.arguments],
                    "before": [[p.name, *map(plain, values)] for p, values in f.witness.before],
                    "kind": seen.kind,
                    "what": seen.what,
                    "old": seen.old,
                    "new": seen.new,
                }
            rows.append(row)
        return {
            "version": PROBE_VERSION,
            "status": self.status,
            "old": self.old,
            "new": self.new,
            "seed": self.seed,
            "functions": rows,
        }
