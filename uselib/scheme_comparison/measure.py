"""Counts system calls, instructions and pages of one run in the emulator. All but the time is deterministic."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from uselib.emulator.process.hooks import RunHooks
from uselib.emulator.process.interfaces import Kernel, ProcessEnded
from uselib.emulator.process.kernel_tap import KernelTap
from uselib.emulator.process.run import Runner
from uselib.emulator.process.run_options import RunOptions
from uselib.linker.errors import Diagnostic, LinkError

if TYPE_CHECKING:
    from uselib.emulator.process.interfaces import WatchableMachine
    from uselib.loader.memory.address_space import AddressSpace

PAGE = 4096
_UNLIMITED = 10**15


@dataclass(frozen=True)
class Run:
    """pages: of memory that the run touched; of these, shared: pages of files, unchanged. seconds: of the CPU."""

    status: int
    system_calls: int
    instructions: int
    pages: int
    shared: int
    seconds: float


class _Counts(RunHooks):
    """Counts system calls and, at the end, pages."""

    must_finish = True

    def __init__(self) -> None:
        self.calls = self.pages = self.shared = 0

    def on_exec(self, machine: WatchableMachine, space: AddressSpace, process: int, program: str) -> None:
        self.space = space

    def wrap_kernel(self, kernel: Kernel) -> Kernel:
        return KernelTap(kernel, system_call=self._count)

    def _count(self, kernel: Kernel, number: int, arguments: list[int]) -> int:
        self.calls += 1
        return kernel.system_call(number, arguments)

    def finished(self, end: ProcessEnded) -> None:
        ranges = [(w.start + w.delta, w.end + w.delta) for w in self.space.windows]
        self.pages, self.shared = resident(ranges)


def resident(ranges: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Pages of host memory in the ranges that are there, and how many of them are pages of files that nobody has changed here (proc(5),
    smaps: what is not Anonymous)."""
    rss = anonymous = 0
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, _, rest = line.partition(" ")
        if "-" in first and not first.endswith(":"):
            low, _, high = first.partition("-")
            inside = any(start <= int(low, 16) and int(high, 16) <= end for start, end in ranges)
        elif inside and first == "Rss:":
            rss += int(rest.split()[0])
        elif inside and first == "Anonymous:":
            anonymous += int(rest.split()[0])
    return rss * 1024 // PAGE, (rss - anonymous) * 1024 // PAGE


def run(root: Path, count: bool = True) -> Run:
    """Runs ROOT/prog with ROOT for `/`. count: count instructions (which costs time). Raises ToolError if it fails."""
    counts = _Counts()
    options = RunOptions("/prog", root=str(root), max_instructions=_UNLIMITED if count else None)
    start = time.process_time()
    runner = Runner(options, (counts,))
    status = runner.run()
    seconds = time.process_time() - start
    if status:
        raise LinkError(Diagnostic(str(root / "prog"), f"ended with status {status}, where 0 was expected"))
    counted = runner.instructions
    return Run(status, counts.calls, counted, counts.pages, counts.shared, seconds)
