"""One run of a guest program: the parts put together, the program started, and the end reported.

`Runner.run` returns the exit status for the shell: the guest's, or 128 + N if signal N killed it (one line on stderr says
where). A child that the guest forked is a process of the host and ends there as the guest child ended.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from uselib.emulator.kernel.calls.limits import NOFILE, raise_host_limit
from uselib.emulator.kernel.calls.processes import ELIBEXEC, execute
from uselib.emulator.kernel.clock import Clock, RandomBytes
from uselib.emulator.kernel.core import GuestKernel
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.signals.state import SIGKILL, SignalState
from uselib.emulator.kernel.structs import structs_of
from uselib.emulator.kernel.vfs.descriptors import FileTable
from uselib.emulator.kernel.vfs.filesystem import FileSystem
from uselib.emulator.kernel.vfs.namespace import Namespace
from uselib.emulator.kernel.vfs.opening import ProcessView
from uselib.emulator.machine.counter import InstructionCounter
from uselib.emulator.machine.machine import Machine
from uselib.emulator.process.interfaces import ProcessEnded, ProgramReplaced, RunObserver
from uselib.emulator.process.watcher import NUDGE, Watcher
from uselib.linker.errors import Diagnostic, FormatError, ToolError, UsageError
from uselib.linker.image import Machine as Architecture
from uselib.loader.memory.address_space import AddressSpace, MemoryCeiling

if TYPE_CHECKING:
    from uselib.emulator.kernel.dispatch import Observer
    from uselib.emulator.kernel.signals.frames import SignalInfo
    from uselib.emulator.kernel.strace.strace import Strace

PATH = "/usr/local/bin:/usr/bin:/bin"
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class RunOptions:
    """What the command line says. Paths are the host's; sizes in bytes, times in seconds."""

    program: str
    arguments: tuple[str, ...] = ()
    argv0: str | None = None
    sysroot: str | None = None
    root: str | None = None
    library_path: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    max_instructions: int | None = None
    max_seconds: float | None = None
    max_memory: int | None = None
    max_files: int | None = None
    strace: bool = False
    realtime: bool = False
    seed: int = 0
    fault_report: bool = False


class RunError(ToolError):
    """The program cannot be started."""


@dataclass
class Runner:
    """Runs one program. `observer` is told of each machine that is made and of memory mappings (the tracer)."""

    options: RunOptions
    observer: RunObserver | None = None
    status: int = 0
    machine: Machine | None = None
    _strace: Strace | None = field(default=None, repr=False)

    def run(self) -> int:
        """Returns the exit status. Raises ToolError if the program cannot be started."""
        self._set_up()
        try:
            self._prepare()
            self._begin()
            return self._loop()
        except Exception:
            if self.process.forked:  # a defect of ours, in a child: its parent must not find two of itself
                sys.excepthook(*sys.exc_info())
                os._exit(70)
            raise
        finally:
            self._put_away()

    @property
    def instructions(self) -> int:
        """Guest instructions so far, if they are counted (RunOptions.max_instructions); else 0."""
        return 0 if self._counter is None else self._counter.count

    def _set_up(self) -> None:
        """The parts, without a program yet. Raises UsageError."""
        options = self.options
        self._started = time.monotonic()
        self._umask = os.umask(0o77)  # the guest's umask is this process's: given back at the end
        os.umask(self._umask)
        self._counter: InstructionCounter | None = None
        self._nudge_before: Any = None
        self.process = self._make_process()
        self.watcher = Watcher(self._interrupt, self._interrupted)
        self.process.on_fork.append(self._after_fork)
        if self.observer is not None:
            self.process.before_fork.append(self.observer.before_fork)
            self.signals.on_delivery = self._delivered
        if options.max_instructions is not None:
            self._counter = InstructionCounter(options.max_instructions)
        self.signals.on_wait_needed = self._watch

    def _prepare(self) -> None:
        """Signals and limits."""
        options = self.options
        self.signals.take_over()
        if self.observer is not None:
            self.signals.catch_defaults()  # so that Ctrl-C loses nothing of the trace
        if options.max_seconds is not None:
            self._nudge_before = signal.signal(NUDGE, self._nudged)
            self.watcher.watch(limit=self._started + options.max_seconds)

    def _begin(self) -> None:
        """Loads the program. Raises ToolError."""
        options = self.options
        try:
            self._start()
        except (GuestError, OSError) as failure:
            raise self._cannot_start(failure) from None
        except MemoryCeiling:
            raise RunError(Diagnostic(options.program, "needs more memory than --max-memory allows")) from None
        except ProgramReplaced as program:
            self._replace(program)
            if self._strace is not None:
                self._strace.started(os.fsencode(self.options.program), program.started.vectors)

    def _loop(self) -> int:
        """Runs machine after machine until the process ends."""
        try:
            while True:
                assert self.machine is not None
                try:
                    self.machine.run()
                except ProgramReplaced as program:
                    self._replace(program)
        except ProcessEnded as end:
            return self._ended(end)
        except MemoryCeiling:
            size = (self.options.max_memory or 0) / MEBIBYTE
            return self._ended(
                ProcessEnded(signal=SIGKILL, reason=f"it wants more than {size:g} MiB of memory (--max-memory)")
            )

    def _put_away(self) -> None:
        self.watcher.stop()
        self.signals.give_back()
        os.umask(self._umask)
        self.process.files.close_all()
        if self._nudge_before is not None:
            signal.signal(NUDGE, self._nudge_before)
        if self.machine is not None:
            self.machine.close()
        self.process.memory.release()

    # -- putting together ---------------------------------------------------------------------------------------------

    def _make_process(self) -> Process:
        options = self.options
        host_path = os.environ.get("LD_LIBRARY_PATH", "")
        self._libraries = options.library_path or tuple(part for part in host_path.split(":") if part)
        program = self._program_path()
        readable = [*options.readable, *(name for name in self._libraries if os.path.isdir(name))]
        if os.path.exists(program):
            readable.append(program)
        try:
            namespace = Namespace.build(
                cwd=os.getcwd(),
                readable=readable,
                writable=options.writable,
                root=options.root,
                sysroot=options.sysroot,
            )
        except OSError as failure:
            raise UsageError(Diagnostic(str(failure.filename or ""), failure.strerror or str(failure))) from None
        clock = Clock(realtime=options.realtime)
        self.signals = self._make_signals(clock)
        cwd = "/" if options.root is not None else os.getcwd()
        placeholder = AddressSpace(64, ceiling=options.max_memory)
        process = Process(
            Architecture.X86_64, structs_of(Architecture.X86_64), placeholder, self._make_files(),
            FileSystem(namespace, os.fsencode(cwd)), None, self.signals, clock,  # type: ignore[arg-type]  # no CPU yet
            RandomBytes(None if options.realtime else options.seed),
        )  # fmt: skip
        namespace.view = ProcessView(process)
        if options.max_files is not None:
            process.limits.values[NOFILE] = (options.max_files, options.max_files)
        raise_host_limit(
            2 * process.limits.values[NOFILE][1]
        )  # a guest's file takes up to two of the host's descriptors
        return process

    def _make_signals(self, clock: Clock) -> SignalState:
        return SignalState(lambda: self.process, clock)

    def _make_files(self) -> FileTable:
        return FileTable.standard(self.options.max_files or 1024)

    def _program_path(self) -> str:
        """Where the program is on the host."""
        options = self.options
        if options.root is not None and os.path.isabs(options.program):
            return os.path.join(options.root, options.program.lstrip("/"))
        return options.program

    def _environment(self) -> list[bytes]:
        values = {"PATH": PATH, "HOME": "/", "LANG": "C"}
        if self._libraries:
            values["LD_LIBRARY_PATH"] = ":".join(os.path.abspath(name) for name in self._libraries)
        if rule := os.environ.get("USELIB_VERSION_RULE"):  # so that `uselib ldd` says what happens here
            values["USELIB_VERSION_RULE"] = rule
        for item in self.options.environment:
            name, equals, value = item.partition("=")
            if not equals or not name:
                raise UsageError(Diagnostic("--env", f"`{item}` is not NAME=VALUE"))
            values[name] = value
        return [os.fsencode(f"{name}={value}") for name, value in values.items()]

    def _start(self) -> None:
        options = self.options
        arguments = [os.fsencode(options.argv0 if options.argv0 is not None else options.program)]
        arguments += [os.fsencode(argument) for argument in options.arguments]
        execute(self.process, os.fsencode(options.program), arguments, self._environment())

    def _cannot_start(self, failure: GuestError | OSError) -> ToolError:
        program = self.options.program
        number = failure.errno or 0
        if number == errno.ENOEXEC:
            try:
                from uselib.linker.reading import read_file
                from uselib.loader.programs.images import read_image

                read_image(read_file(self._program_path()), program)
            except FormatError as wrong:
                return wrong
            except OSError:
                pass
            return RunError(Diagnostic(program, "its segments cannot be mapped"))
        if number == ELIBEXEC:
            return RunError(Diagnostic(program, "is a library", remedy="run a program that was linked with it"))
        reason = os.strerror(number)
        if number == errno.ENOENT and os.path.exists(self._program_path()):
            reason = "cannot be started: its interpreter was not found"
        return RunError(Diagnostic(program, reason))

    def _replace(self, program: ProgramReplaced) -> None:
        """A new machine for a new program."""
        process = self.process
        if self.machine is not None:
            self.machine.close()
        process.memory.release()
        process.memory = program.space
        process.machine = program.image.machine
        process.structs = structs_of(program.image.machine)
        machine = self.machine = Machine(program.space)
        process.cpu = machine.cpu
        machine.kernel = GuestKernel(process, self.signals, self._strace_observer(), self.options.max_files)
        machine.on_interrupt = self._on_interrupt
        if self._counter is not None:
            machine.set_counter(self._counter)
        machine.cpu.reset(program.started.entry, program.started.stack_pointer)
        if self.observer is not None:
            self.observer.program_started(machine, program.space, process.identity.pid, process.identity.executable)

    def _delivered(self, info: SignalInfo) -> None:
        if self._strace is not None:
            self._strace.delivered(info)
        if self.observer is not None:
            self.observer.signal_delivered(info.signal, info.address)

    def _strace_observer(self) -> Observer | None:
        if self.options.strace and self._strace is None:
            from uselib.emulator.kernel.strace.strace import Strace

            self._strace = Strace(self.process, sys.stderr)
            self.signals.on_delivery = self._delivered
        return self._strace

    # -- interruptions ------------------------------------------------------------------------------------------------

    def _interrupt(self) -> None:
        machine = self.machine
        if machine is not None:
            machine.interrupt()

    def _interrupted(self) -> bool:
        machine = self.machine
        return machine is not None and machine.interrupted

    def _watch(self) -> None:
        """The signal code has opened its pipe or armed a timer."""
        clock = self.process.clock
        alarm = None
        if clock.alarm_at is not None:
            alarm = time.monotonic() + max(clock.alarm_at - clock.now, 0) / 1e9
        self.watcher.watch(fd=self.signals.wakeup_fd, alarm=alarm)

    def _on_interrupt(self) -> None:
        """The CPU was stopped from outside. A timer goes off at the latest when its real time has passed, so that a
        program that computes until a signal comes gets its signal."""
        clock = self.process.clock
        if self.watcher.passed("limit"):
            raise self._out_of_time()
        if self.watcher.passed("alarm") and clock.alarm_at is not None:
            clock.advance(clock.alarm_at - clock.now)

    def _out_of_time(self) -> ProcessEnded:
        return ProcessEnded(
            signal=SIGKILL, reason=f"the limit of {self.options.max_seconds:g} s is used up (--max-seconds)"
        )

    def _nudged(self, _signal: int, _frame: object) -> None:
        """The watcher could not stop the CPU, so it is at rest and a system call waits for the host: this ends it."""
        if self.watcher.passed("limit"):
            raise self._out_of_time()

    def _after_fork(self) -> None:
        if self.machine is not None:
            self.machine.after_fork()  # before a new watcher uses it
        self.watcher.after_fork()
        if self.observer is not None:
            self.observer.forked(self.process.identity.pid)

    # -- the end ------------------------------------------------------------------------------------------------------

    def _ended(self, end: ProcessEnded) -> int:
        if self._strace is not None:
            self._strace.ended(end)
        if end.signal:
            self._report(end)
        if self.observer is not None:
            self.observer.program_ended(end)
        if self.process.forked:
            self._leave(end)
        return 128 + end.signal if end.signal else end.code

    def _report(self, end: ProcessEnded) -> None:
        from uselib.emulator.process.reports import death_report

        name = self.process.identity.executable or self.options.program
        sys.stdout.flush()
        machine = self.machine
        assert machine is not None
        last = self.observer.last_calls() if self.observer is not None else []
        for line in death_report(
            name, end, machine.space, machine.cpu, long=self.options.fault_report, last_calls=last
        ):
            print(line, file=sys.stderr, flush=True)

    @staticmethod
    def _leave(end: ProcessEnded) -> NoReturn:
        """A forked child ends as the guest's child ended, for the parent's wait."""
        sys.stdout.flush()
        sys.stderr.flush()
        if end.signal:
            import resource

            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if end.signal not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(end.signal, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [end.signal])
            os.kill(os.getpid(), end.signal)
        os._exit(end.code)
