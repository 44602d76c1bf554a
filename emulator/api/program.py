"""Program: a guest program that Python runs, stops, looks into and changes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, BinaryIO

from uselib.emulator.api.errors import GuestFault, ProgramOver
from uselib.emulator.api.guest import Guest, Paused, Stop
from uselib.emulator.api.memory import Where
from uselib.emulator.api.session import StandardFiles
from uselib.emulator.process.interfaces import ProcessEnded, ProgramReplaced
from uselib.emulator.process.run_options import RunOptions
from uselib.loader.memory.address_space import MemoryCeiling


@dataclass(frozen=True)
class Exit:
    """The end of a program. code: its exit status; signal: the one that killed it, or 0; report: where, in a line; stdout,
    stderr: what it wrote, if that was captured."""

    code: int
    signal: int
    report: str
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)

    @property
    def status(self) -> int:
        """As a shell gives it: 128 + the signal."""
        return 128 + self.signal if self.signal else self.code


class Program(Guest):
    """A program at its first instruction.

    path, arguments, env: as for execve. stdin: bytes, a file, or None for Python's own; capture: keep what it writes to
    stdout and stderr (else it goes to Python's). The other options are those of `uselib run`.
    Raises ToolError if it cannot be started. A context manager: the program is ended and freed with it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *arguments: str | os.PathLike[str],
        env: Mapping[str, str] | None = None,
        stdin: bytes | BinaryIO | None = b"",
        capture: bool = True,
        sysroot: str | os.PathLike[str] | None = None,
        root: str | os.PathLike[str] | None = None,
        library_path: Sequence[str | os.PathLike[str]] = (),
        readable: Sequence[str | os.PathLike[str]] = (),
        writable: Sequence[str | os.PathLike[str]] = (),
        max_instructions: int | None = None,
        max_seconds: float | None = None,
        max_memory: int | None = None,
        realtime: bool = False,
        seed: int = 0,
    ) -> None:
        options = RunOptions(
            os.fspath(path),
            tuple(os.fspath(argument) for argument in arguments),
            sysroot=None if sysroot is None else os.fspath(sysroot),
            root=None if root is None else os.fspath(root),
            library_path=tuple(os.fspath(name) for name in library_path),
            readable=tuple(os.fspath(name) for name in readable),
            writable=tuple(os.fspath(name) for name in writable),
            environment=tuple(f"{name}={value}" for name, value in (env or {}).items()),
            max_instructions=max_instructions,
            max_seconds=max_seconds,
            max_memory=max_memory,
            realtime=realtime,
            seed=seed,
        )
        super().__init__(options, StandardFiles(stdin, capture))
        self.exit: Exit | None = None  # set when the program has ended
        self._attach()

    # -- running -------------------------------------------------------------------------------------------------------

    def resume(self) -> Stop | Exit:
        """Runs on to a breakpoint without a callback, or to the end. Raises ProgramOver; KeyboardInterrupt at Ctrl-C, after
        which it can go on."""
        while True:
            control = self._running()
            try:
                with self._session.listening():
                    control.resume()
            except Paused as pause:
                return pause.stop
            except ProgramReplaced as program:
                self._session.runner.replace(program)
                self._attach()
            except ProcessEnded as end:
                return self._finish(end)
            except MemoryCeiling:
                return self._finish(ProcessEnded(signal=9, reason="it needs more memory than max_memory allows"))
            except Exception:
                self._leave_child()
                raise

    def run(self, *, check: bool = False) -> Exit:
        """Runs to the end, past breakpoints without a callback. check: raises GuestFault if a signal killed it."""
        stop: Stop | Exit | None = self.exit
        while not isinstance(stop, Exit):
            stop = self.resume()
        if check and stop.signal:
            raise GuestFault(stop.report, stop.signal, 0)
        return stop

    def run_to(self, where: Where) -> Stop | Exit:
        """Runs until a place is reached. `run_to("main")`: all libraries are mapped then."""
        with self.breakpoint(where) as here:
            while True:
                hits = here.hits
                stop = self.resume()
                if isinstance(stop, Exit) or here.hits > hits:
                    return stop

    def step(self, count: int = 1) -> int:
        """Carries out instructions (breakpoints do not count), and returns the program counter. Raises ProgramOver when the
        program has ended, before or by this (see `exit`)."""
        for _ in range(count):
            control = self._running()
            try:
                control.step()
            except ProgramReplaced as program:
                self._session.runner.replace(program)
                self._attach()
            except ProcessEnded as end:
                self._finish(end)
                raise ProgramOver("it has ended") from None
        return self.machine.cpu.pc

    def calls(self, functions: str = "*", library: str = "*") -> Iterator[Stop]:
        """Runs the program, and gives each call through a slot whose function and library fit the patterns (`str*`), with
        the program at rest at the slot, so that its arguments and memory can be read; breakpoints without a callback, too.
        Ends with the program. Closing the iterator leaves the program where it is."""
        tables: dict[int, int] = {}
        control = self._running()

        def reached(address: int) -> None:
            stop = self._stop("call", address)
            if stop.slot and fnmatchcase(stop.symbol, functions):
                self._pause(stop)

        def watch() -> None:
            nonlocal control
            if control is not self._running():
                control = self._running()
                tables.clear()
            for base, _, file in self._symbols.files():
                header = file.image.library
                if header is not None and base not in tables and fnmatchcase(file.name, library):
                    end = header.jump_table + header.identity.slot_count * header.slot_size
                    tables[base] = control.add_range(header.jump_table, end, reached)

        self._watch_mappings(watch)
        try:
            while not isinstance(stop := self.resume(), Exit):
                yield stop
        finally:
            self._watch_mappings(None)
            for handle in tables.values():
                control.remove_range(handle)

    def _watch_mappings(self, watch: Any) -> None:
        self._on_mappings = watch
        if watch is not None:
            watch()

    _on_mappings: Any = None

    def _attach(self) -> None:
        super()._attach()
        if self._on_mappings is not None:
            self._on_mappings()

    def _bind_traps(self) -> None:
        super()._bind_traps()
        if self._on_mappings is not None:
            self._on_mappings()

    def _mapped(self, vma: Any) -> None:
        super()._mapped(vma)
        if self._on_mappings is not None and vma.file is not None and not vma.offset:
            self.machine.interrupt()

    # -- the end -------------------------------------------------------------------------------------------------------

    def _finish(self, end: ProcessEnded) -> Exit:
        self._session.runner.finish(end)
        self._ended = True
        self.exit = Exit(end.code, end.signal, self._session.report, self.stdout, self.stderr)
        return self.exit

    def _leave_child(self) -> None:
        """An exception in a process that the guest forked must not run on as a second copy of the Python program."""
        if self._session.runner.process.forked:
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
            os._exit(70)
