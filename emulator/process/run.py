"""One run of a guest program: the parts put together, the program started, and the end reported.

A Runner is made with its program loaded (`Runner.machine` is at the first instruction). Then it is run in one go (`run`), or in steps
by somebody who has the machine run: the Python API, the gdb stub. They call `machine.run` with `Runner.kernel` and `Runner.at_rest`
(MachineControl does). Their part of the loop: `ProgramReplaced` out of the machine goes to
`replace`, `ProcessEnded` and `MemoryCeiling` to `finish`, and `close` comes last.

The exit status is that for the shell: the guest's, or 128 + N if signal N killed it (one line on stderr says where). A child that the
guest forked is a process of the host and ends there as the guest child ended.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType

from uselib.emulator.kernel.calls.execve import ELIBEXEC, ExecError
from uselib.emulator.kernel.core import GuestKernel
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import ForkEvents, LoadedProgram
from uselib.emulator.kernel.shared.process_rows import SLEEPING
from uselib.emulator.kernel.signals.delivery import deliver
from uselib.emulator.kernel.signals.frames import SignalInfo
from uselib.emulator.kernel.signals.host_side import SignalEvents
from uselib.emulator.kernel.signals.numbers import SIGKILL
from uselib.emulator.kernel.structs import structs_of
from uselib.emulator.kernel.threads import robust
from uselib.emulator.machine.machine import VirtualMachine
from uselib.emulator.process.default_limits import LARGE, MemoryGuard, limit_file_size, restore_file_size
from uselib.emulator.process.hooks import RunHooks
from uselib.emulator.process.host import Death, Host
from uselib.emulator.process.host_signals import change_mask, held_back
from uselib.emulator.process.interfaces import Kernel, ProcessEnded, ProgramReplaced
from uselib.emulator.process.parts import environment, make_process, program_path
from uselib.emulator.process.run_options import RunOptions
from uselib.emulator.process.watcher import NUDGE, Watcher
from uselib.linker.errors import Diagnostic, FormatError, ToolError
from uselib.linker.quick_typing import TYPE_CHECKING, Any, NoReturn
from uselib.loader.memory.address_space import AddressSpace, MemoryCeiling

if TYPE_CHECKING:
    from uselib.emulator.kernel.strace.strace import Strace
    from uselib.emulator.kernel.threads.thread import Thread
    from uselib.emulator.machine.counter import InstructionCounter
    from uselib.loader.memory.vma import Vma

MEBIBYTE = 1 << 20
SignalHandler = Callable[[int, FrameType | None], Any] | int | None  # as signal.signal gives it


def _counter(limit: int) -> InstructionCounter:
    from uselib.emulator.machine.counter import InstructionCounter

    return InstructionCounter(limit)


class RunError(ToolError):
    """The program cannot be started."""


def out_of_memory(options: RunOptions) -> ProcessEnded:
    """The end of a process that has met MemoryCeiling."""
    size = (options.max_memory or 0) / MEBIBYTE
    return ProcessEnded(signal=SIGKILL, reason=f"it needs more than {size:g} MiB of memory (--max-memory)")


class Runner:
    """Runs one program. hooks: who takes part, in the order in which they are called. Raises ToolError if the program cannot be started,
    and then nothing is left of it. `close` after use, unless `run` is called."""

    def __init__(self, options: RunOptions, hooks: Sequence[RunHooks] = (), host: Host | None = None) -> None:
        self.options, self._hooks, self._host = options, tuple(hooks), host or Host()
        started = time.monotonic()
        self._umask = os.umask(0o77)  # the guest's umask is this process's: given back at the end
        os.umask(self._umask)
        self._has_forked = False  # this process, or the one that it was forked from
        self._counter = None if options.max_instructions is None else _counter(options.max_instructions)
        signals, forks = (
            SignalEvents(self._delivered, self._watch, self._caught),
            ForkEvents(self._before_fork, self._after_fork),
        )
        self.process = make_process(options, self._host.files, self._host.signals, signals, forks)
        self.signals = self.process.signals
        if self._hooks:
            self.process.threads.on_switch.append(self._switched)
        self._strace = self._make_strace()
        self.watcher = Watcher(lambda: self.machine.interrupt(), lambda: self.machine.interrupted)
        self._guard = MemoryGuard(lambda moment: self.watcher.watch(memory=moment))
        self._file_size = limit_file_size(options.writable)
        try:
            self.signals.take_over()
            self.machine, self.kernel = self._load()
        except BaseException:
            self.watcher.stop()
            self._give_back()
            raise
        self._closed = False
        if any(participant.must_finish for participant in self._hooks):
            self.signals.catch_defaults()
        self._nudge_before: SignalHandler = None
        self._nudges = False
        if options.max_seconds is not None:
            self._take_nudges()
            self.watcher.watch(limit=started + options.max_seconds)

    def run(self) -> int:
        """Runs the program to its end, and closes. Returns the exit status."""
        try:
            return self._loop()
        except Exception:
            if self.process.forked:  # a defect of ours, in a child: it must not go on as a second copy of its parent
                sys.excepthook(*sys.exc_info())
                os._exit(70)
            raise
        finally:
            self.close()

    @property
    def instructions(self) -> int:
        """Guest instructions so far, if they are counted (RunOptions.max_instructions); else 0."""
        return 0 if self._counter is None else self._counter.count

    def _loop(self) -> int:
        """Runs machine after machine until the process ends."""
        try:
            while True:
                try:
                    self.machine.run(self.kernel, self.at_rest)
                except ProgramReplaced as program:
                    self.replace(program)
        except ProcessEnded as end:
            return self.finish(end)
        except MemoryCeiling:
            return self.finish(out_of_memory(self.options))

    def close(self) -> None:
        """Frees everything, wherever the program is; the host's signals and umask are as before. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self.watcher.stop()
        if self._nudges:
            signal.signal(NUDGE, signal.SIG_IGN)  # until they see that it is over, others may still notify this process
        self.machine.close()
        self._give_back()
        if self._nudges:
            signal.signal(NUDGE, self._nudge_before)

    def _give_back(self) -> None:
        if self.process.threads.scheduler is not None:
            self.process.threads.scheduler.close()
        self.signals.give_back()
        os.umask(self._umask)
        restore_file_size(self._file_size)
        self.process.files.close_all()
        self.process.pids.close()
        self.process.terminals.close()
        self.process.shared.close()
        self.process.memory.release()

    # -- putting together ---------------------------------------------------------------------------------------------

    def _make_strace(self) -> Strace | None:
        if not self.options.strace:
            return None
        from uselib.emulator.kernel.strace.strace import Strace

        return Strace(self.process, sys.stderr)

    def _load(self) -> tuple[VirtualMachine, Kernel]:
        """The first program, in a machine, and what answers its system calls. Raises ToolError."""
        options = self.options
        try:
            values = environment(options)
            for participant in self._hooks:
                participant.before_run(self.process, values)
            words = [os.fsencode(f"{name}={value}") for name, value in values.items()]
            self._host.confine(self.process, options)
            self._host.load(self.process, options, words)
        except (GuestError, OSError) as failure:
            raise _cannot_start(options, failure) from None
        except MemoryCeiling:
            raise RunError(Diagnostic(options.program, "needs more memory than --max-memory allows")) from None
        except ProgramReplaced as program:
            ready = self._machine_for(program)
            if self._strace is not None:
                self._strace.started(os.fsencode(options.program), program.started.vectors)
            return ready
        raise AssertionError("a loader ends with ProgramReplaced")

    def replace(self, program: ProgramReplaced) -> None:
        """After an execve: a new machine for the new program."""
        self.machine.close()
        self.machine, self.kernel = self._machine_for(program)

    def _machine_for(self, program: ProgramReplaced) -> tuple[VirtualMachine, Kernel]:
        process = self.process
        process.memory.release()
        machine = VirtualMachine(program.space, self._mapped)
        architecture = program.image.machine
        process.program = LoadedProgram(architecture, structs_of(architecture), program.space, machine.cpu)
        process.threads.machine = machine
        process.threads.all = {process.thread.tid: process.thread}
        if self.options.max_memory is None:
            self._watch_memory(program.space)
        machine.shares_memory = self._has_forked
        if self._counter is not None:
            machine.set_counter(self._counter)
        machine.cpu.reset(program.started.entry, program.started.stack_pointer)
        for participant in self._hooks:
            participant.on_exec(machine, program.space, process.identity.pid, process.identity.executable)
        kernel: Kernel = GuestKernel(process, self._strace, self.options.max_files)
        for participant in self._hooks:
            kernel = participant.wrap_kernel(kernel)
        if not process.pids.alone:  # execve has held it back
            change_mask(signal.SIG_UNBLOCK, (NUDGE,))
        return machine, kernel

    def _mapped(self, vma: Vma) -> None:
        for participant in self._hooks:
            participant.on_mapped(vma)

    def _watch_memory(self, space: AddressSpace) -> None:
        if space.total > LARGE:
            self._guard.begin()
        else:
            space.large, space.on_large = LARGE, self._guard.begin

    def _delivered(self, info: SignalInfo) -> None:
        if self._strace is not None:
            self._strace.delivered(info)
        for participant in self._hooks:
            participant.on_signal(info.signal, info.address)

    def _switched(self, thread: Thread) -> None:
        for participant in self._hooks:
            participant.on_thread(thread.tid)

    def _before_fork(self) -> None:
        self._has_forked = self.machine.shares_memory = True
        self._take_nudges()
        for participant in self._hooks:
            participant.before_fork()

    def _after_fork(self) -> None:
        self.machine.after_fork()  # before a new watcher uses it
        self.watcher.after_fork()
        for participant in self._hooks:
            participant.on_fork(self.process.identity.pid)

    # -- interruptions ------------------------------------------------------------------------------------------------

    def _take_nudges(self) -> None:
        """NUDGE comes from the watcher, and from other processes of the guest that have sent a signal the host must not see."""
        if not self._nudges:
            with suppress(ValueError):  # not the host's main thread: these signals do not come then
                self._nudge_before = signal.signal(NUDGE, self._nudged)
                self._nudges = True

    def _watch(self) -> None:
        """The signal code has opened its pipe or armed a timer."""
        clock = self.process.clock
        alarm = None
        if clock.alarm_at is not None:
            alarm = time.monotonic() + max(clock.alarm_at - clock.now, 0) / 1e9
        self.watcher.watch(fd=self.signals.wakeup_fd, alarm=alarm)

    def _caught(self, number: int) -> None:
        if self.machine.calls is not None:
            self.machine.calls.watch_signal(number)

    def at_rest(self) -> None:
        """The CPU was stopped from outside. A timer goes off at the latest when its real time has passed, so that a
        program that computes until a signal comes gets its signal."""
        clock = self.process.clock
        if self.watcher.passed("limit"):
            raise self._out_of_time()
        if self.watcher.passed("memory"):
            self._guard.check()
        if self.watcher.passed("alarm") and clock.alarm_at is not None:
            clock.advance(clock.alarm_at - clock.now)

    def _out_of_time(self) -> ProcessEnded:
        return ProcessEnded(
            signal=SIGKILL, reason=f"the limit of {self.options.max_seconds:g} s is used up (--max-seconds)"
        )

    def _nudged(self, _signal: int, _frame: FrameType | None) -> None:
        """The watcher could not stop the CPU: a system call waits for the host, and this ends it. Or see SignalState.notified."""
        if self.watcher.passed("limit"):
            raise self._out_of_time()
        if self.process.pids.alone:
            return
        from uselib.emulator.kernel.shared.requests import Requests  # imported at the first fork

        if question := self.process.shared.part(Requests).take(self.process.identity.pid):
            with held_back({NUDGE}):
                from uselib.emulator.kernel.proc.answering import answer

                answer(self.process, *question)
        ends = self.signals.notified()
        if self.process.pids.state(self.process.identity.pid) == chr(SLEEPING) and ends:
            deliver(self.signals, self.machine.cpu, self.process.memory)
        self.machine.interrupt()

    def _expected(self, end: ProcessEnded) -> bool:
        """A child that was sent a signal, as SIGPIPE in a pipeline: shells say nothing of that either."""
        return self.process.forked and (end.signal in _SENT or end.sent) and end.fault is None and not end.reason

    # -- the end ------------------------------------------------------------------------------------------------------

    def finish(self, end: ProcessEnded) -> int:
        """The process is over: reports it, and tells the hooks. A forked child ends here. Returns the exit status."""
        robust.process_ends(self.process)
        if self._strace is not None:
            self._strace.ended(end)
        if end.signal and not self._expected(end):
            calls = [call for participant in self._hooks for call in participant.last_calls()]
            name = self.process.identity.executable or self.options.program
            thread = self.process.thread.tid if self.process.threads.scheduler is not None else 0
            self._host.report(Death(name, end, self.machine, calls, thread), self.options)
        for participant in self._hooks:
            participant.finished(end)
        if self.process.forked:
            _leave(end)
        return 128 + end.signal if end.signal else end.code


# Signals that end a process by default and dump no core: somebody sends them, and who waits for the process is told (signal(7))
_SENT = frozenset({1, 2, 9, 10, 12, 13, 14, 15, 26, 27, 29, 30})


def _cannot_start(options: RunOptions, failure: GuestError | OSError) -> ToolError:
    program = options.program
    number = failure.errno or 0
    if isinstance(failure, ExecError):
        return RunError(Diagnostic(failure.program, failure.explanation, remedy=failure.remedy))
    if number == errno.ENOEXEC:
        try:
            from uselib.linker.reading import read_file
            from uselib.loader.programs.images import read_image

            read_image(read_file(program_path(options)), program)
        except FormatError as wrong:
            return wrong
        except OSError:
            pass
        return RunError(Diagnostic(program, "its segments cannot be mapped"))
    if number == ELIBEXEC:
        return RunError(Diagnostic(program, "is a library", remedy="run a program that was linked with it"))
    reason = os.strerror(number)
    return RunError(Diagnostic(program, reason))


_LIBRARY_OWN = frozenset({32, 33})  # glibc handles them itself, and its functions refuse them
_RT_SIGACTION, _RT_SIGPROCMASK = 13, 14  # x86-64


def _default_action(number: int) -> None:
    """Sets the default action of a signal that the C library keeps for itself, and unblocks it, by system calls of our own."""
    import ctypes

    kernel = ctypes.CDLL(None).syscall
    kernel.argtypes = [ctypes.c_long] * 5
    words = (ctypes.c_ulong * 4)()  # struct sigaction with SIG_DFL; the same zeroes are the mask
    kernel(_RT_SIGACTION, number, ctypes.addressof(words), 0, 8)
    kernel(_RT_SIGPROCMASK, 2, ctypes.addressof(words), 0, 8)  # SIG_SETMASK


def _leave(end: ProcessEnded) -> NoReturn:
    """A forked child ends as the guest's child ended, for the parent's wait."""
    sys.stdout.flush()
    sys.stderr.flush()
    if end.signal:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if end.signal in _LIBRARY_OWN:
            _default_action(end.signal)
        elif end.signal not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(end.signal, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [end.signal])
        os.kill(os.getpid(), end.signal)
    os._exit(end.code)
