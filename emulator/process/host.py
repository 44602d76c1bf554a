"""Host: what a run takes from whoever starts it. The defaults are those of `uselib run`; the Python API and the ABI check have others."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from uselib.emulator.kernel.calls.execve import execute
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.signals.host_side import HostSignals, SignalEvents
from uselib.emulator.kernel.vfs.descriptors import FileTable
from uselib.emulator.process.interfaces import ProcessEnded
from uselib.emulator.process.run_options import RunOptions
from uselib.linker.quick_dataclass import dataclass
from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.emulator.machine.machine import VirtualMachine


@dataclass(frozen=True)
class Death:
    """A process that a signal has killed, with its machine as it was then. last_calls: the latest events, if somebody recorded them.
    thread: the number of the thread that ran, if there were several; else 0."""

    program: str
    end: ProcessEnded
    machine: VirtualMachine
    last_calls: list[str]
    thread: int = 0

    def lines(self, long: bool) -> list[str]:
        """The report (reports.py), the first line complete in itself. long: with registers, code and mappings."""
        from uselib.emulator.process.reports import death_report

        machine = self.machine
        lines = death_report(self.program, self.end, machine.space, machine.cpu, long=long, last_calls=self.last_calls)
        if self.thread and not self.end.reason:
            lines[0] += f", in thread {self.thread}"
        return lines

    @property
    def line(self) -> str:
        """What happened, and where, in one line."""
        return self.lines(long=False)[0].removeprefix("uselib: ")


Loader = Callable[[Process, RunOptions, list[bytes]], None]
"""Loads what is to be run; raises ProgramReplaced when that is done. The list is the environment. Raises ToolError, GuestError, OSError."""


def load_program(process: Process, options: RunOptions, environment: list[bytes]) -> None:
    """A Loader: execve of the program that the options name."""
    arguments = [os.fsencode(options.argv0 if options.argv0 is not None else options.program)]
    arguments += [os.fsencode(argument) for argument in options.arguments]
    execute(process, os.fsencode(options.program), arguments, environment)


def print_report(death: Death, options: RunOptions) -> None:
    """On stderr."""
    sys.stdout.flush()
    for line in death.lines(options.fault_report):
        print(line, file=sys.stderr, flush=True)


def emulator_alone(process: Process, options: RunOptions) -> None:
    """No sandbox of the host's: the process belongs to somebody else."""


@dataclass(frozen=True)
class Host:
    """files: the guest's open files at its start, from the number of files that it may have; signals: how its signals and the host's are
    connected; load: what is run; report: what is done with the report of a death; confine: called before the program is loaded, to
    have the host's kernel confine this process (emulator/sandbox)."""

    files: Callable[[int], FileTable] = FileTable.standard
    signals: Callable[[Callable[[int, object], None], SignalEvents], HostSignals] = HostSignals
    load: Loader = load_program
    report: Callable[[Death, RunOptions], None] = print_report
    confine: Callable[[Process, RunOptions], None] = emulator_alone
