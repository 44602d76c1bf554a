"""Request and result of one dynamic comparison: the contract between `abi run`, the matrix, the pytest plugin and renderers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

RESULT_VERSION = 1

RunVerdict = Literal["identical on this run", "diverged", "not comparable"]
STATUS: dict[str, int] = {"identical on this run": 0, "diverged": 4, "not comparable": 16}


@dataclass(frozen=True)
class AbiRequest:
    """Run `program` with `arguments` against `old` and `new` (files of target libraries, or of .so once the loader runs them).

    Paths are the host's. stdin is read once and given to both runs. limits end a program that never ends. run_words: further options of
    `uselib run` for both sides (--sysroot, --env, ...). headers, prototypes: files with C declarations for comparing values through
    pointers. ignore: glob patterns of functions whose arguments and results are not compared.
    """

    program: str
    old: str
    new: str
    arguments: tuple[str, ...] = ()
    stdin: bytes = b""
    run_words: tuple[str, ...] = ()
    prototypes: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    max_instructions: int | None = None
    max_seconds: float | None = 60.0
    parallel: bool = True  # both sides at once


@dataclass(frozen=True)
class SideResult:
    """How one run ended. signal 0: it exited. refusal: start-up's message if it refused the library. limit: which limit ended it."""

    library: str
    status: int
    signal: int = 0
    calls: int = 0
    stdout: str = ""  # SHA-256 of the bytes
    stderr: str = ""
    files: tuple[tuple[str, str], ...] = ()  # files written: path, SHA-256
    refusal: str = ""
    limit: str = ""


@dataclass(frozen=True)
class Divergence:
    """The first difference in the order of execution.

    kind: start-up, call (another function or caller), argument, result, memory (through a pointer), data access, system call, output,
    file, status, wrong binding. call: number of the dispatch, from 1, on either side (0: none). finding: id of the static rule that
    explains it, and explanation in words ("slot 7 was open_db when PROG was linked; it is now close_db").
    """

    kind: str
    message: str
    old: str
    new: str
    old_call: int = 0
    new_call: int = 0
    caller: str = ""
    function: str = ""
    finding: str = ""
    explanation: str = ""
    context: tuple[str, ...] = ()  # the last calls that both sides made


@dataclass(frozen=True)
class WrongBinding:
    """A dispatch to, or an access of, something other than what the program was bound to, whatever the output was."""

    kind: Literal["function", "data"]
    address: int
    bound: str
    found: str  # what lies there now; empty: nothing
    side: Literal["old", "new"]
    slot: int = 0
    count: int = 1
    first_call: int = 0
    caller: str = ""


@dataclass(frozen=True)
class Coverage:
    """Which of the program's bindings to the library, and which functions that changed, this run exercised."""

    bindings: int
    bindings_used: tuple[str, ...]
    bindings_unused: tuple[str, ...]
    changed: int = 0
    changed_used: tuple[str, ...] = ()
    changed_unused: tuple[str, ...] = ()


@dataclass(frozen=True)
class AbiResult:
    """divergence is None if and only if the verdict is not `diverged`. reason: why it is not comparable. notes: what was not compared."""

    verdict: RunVerdict
    program: str
    old: SideResult
    new: SideResult
    divergence: Divergence | None = None
    wrong: tuple[WrongBinding, ...] = ()
    coverage: Coverage | None = None
    static: tuple[str, ...] = ()  # ids of the static findings that concern this program
    reason: str = ""
    notes: tuple[str, ...] = ()
    beyond: Divergence | None = None  # if start-up refused: the first difference of a run with a copy that it accepts

    @property
    def status(self) -> int:
        """The exit status of `uselib abi run`."""
        return STATUS[self.verdict]

    def as_json(self) -> dict[str, Any]:
        return {"version": RESULT_VERSION, **asdict(self)}


def not_comparable(program: str, old: str, new: str, reason: str) -> AbiResult:
    """The result of a comparison that could not be made. reason: in words."""
    return AbiResult("not comparable", program, SideResult(old, 0), SideResult(new, 0), reason=reason)
