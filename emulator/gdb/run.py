"""A run under GDB: the program waits for GDB at its first instruction, and runs when GDB lets it.

The run loop is left by `StoppedForGdb` whenever GDB has to be asked; breakpoints, watchpoints and the thread that waits for Ctrl-C
exist only while they are used, so the program runs at full speed in between.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from uselib.emulator.gdb.signal_numbers import gdb_signal
from uselib.emulator.gdb.stub import Go, Stub
from uselib.emulator.gdb.target import StoppedForGdb, Target
from uselib.emulator.gdb.wire import Closed, Wire
from uselib.emulator.kernel.signals.frames import SignalInfo
from uselib.emulator.process.hooks import RunHooks
from uselib.emulator.process.host import Host
from uselib.emulator.process.host_signals import held_back
from uselib.emulator.process.interfaces import Fault, ProcessEnded, ProgramReplaced
from uselib.emulator.process.parts import program_path
from uselib.emulator.process.run import Runner
from uselib.emulator.process.run_options import RunOptions
from uselib.linker.errors import Diagnostic, ToolError, UsageError
from uselib.loader.memory.address_space import MemoryCeiling
from uselib.loader.memory.vma import Vma

LOOPBACK = "127.0.0.1"
_LISTEN = 0.2  # s that the listening thread sleeps in one go
_REPEAT = 0.005  # s between attempts to stop the CPU: one that comes between two runs is lost
_STUCK = 40  # attempts, after which the program must be in a system call that waits
_NUDGE = signal.SIGRTMAX - 1  # ends such a call of the host's
_SYSTEM_CALL = {32: b"\xcd\x80", 64: b"\x0f\x05"}  # int 0x80, syscall
_INTERNAL_STEPS = 1 << 20  # of one range step


def parse_address(text: str) -> tuple[str, int]:
    """`PORT` or `HOST:PORT`; loopback unless a host is named. Port 0: any free one. Raises UsageError."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 0xFFFF:
        raise UsageError(Diagnostic("--gdb", f"`{text}` is not PORT or HOST:PORT"))
    return host.strip("[]") or LOOPBACK, int(port)


def listen(address: str) -> socket.socket:
    """Raises UsageError, ToolError."""
    host, port = parse_address(address)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1)
    except OSError as failure:
        raise ToolError(Diagnostic("--gdb", f"cannot listen on {host}:{port}: {failure.strerror or failure}")) from None
    return listener


class InterruptListener:
    """Waits for Ctrl-C from GDB while the program runs, in a thread of its own. target: gives what GDB works on now."""

    def __init__(self, wire: Wire, target: Callable[[], Target]) -> None:
        self._wire = wire
        self._target = target
        self._ended = False
        self._lock = threading.Lock()  # held while the thread looks at the connection
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        with held_back():  # signals are the main thread's
            self._thread.start()

    def program_runs(self) -> None:
        self._running.set()

    def program_stopped(self) -> None:
        """Afterwards the thread does not touch the connection."""
        self._running.clear()
        with self._lock:
            pass

    def end(self) -> None:
        self._ended = True
        self._running.set()

    def _listen(self) -> None:
        while not self._ended:
            self._running.wait()
            with self._lock:
                requested = self._running.is_set() and not self._ended and self._wire.break_requested(_LISTEN)
            if requested:
                self._interrupt()

    def _interrupt(self) -> None:
        target, attempts = self._target(), 0
        target.break_requested = True
        while self._running.is_set() and not self._ended and target.break_requested:
            target.machine.interrupt()
            time.sleep(_REPEAT)
            attempts += 1
            if attempts % _STUCK == 0:
                signal.pthread_kill(threading.main_thread().ident or 0, _NUDGE)


class GdbRunner(RunHooks):
    """Runs one program under GDB. The constructor returns when GDB has connected to `listener`. Raises ToolError if
    the program cannot be started."""

    def __init__(self, options: RunOptions, listener: socket.socket, host: Host | None = None) -> None:
        self.runner = Runner(options, (self,), host)
        try:
            self.target = self._make_target(attached=True)
            name, port = listener.getsockname()[:2]
            print(f"uselib: waiting for gdb: target remote {name}:{port}", file=sys.stderr, flush=True)
            connection, _ = listener.accept()
        except BaseException:
            self.runner.close()
            raise
        listener.close()
        self._wire = Wire(connection)
        self._stub = Stub(self._wire, self.target)
        self._interrupts = InterruptListener(self._wire, lambda: self.target)

    def run(self) -> int:
        """To the end of the program. Returns the exit status."""
        nudge_before = signal.signal(_NUDGE, self._nudged)
        try:
            return self._loop()
        except Exception:
            if (
                self.runner.process.forked
            ):  # a defect of ours, in a child: it must not go on as a second copy of its parent
                sys.excepthook(*sys.exc_info())
                os._exit(70)
            raise
        finally:
            self._interrupts.end()
            signal.signal(_NUDGE, nudge_before)
            with suppress(OSError):
                self._wire.close()
            self.runner.close()

    def _make_target(self, *, attached: bool) -> Target:
        executable = self.runner.process.identity.executable
        path = os.path.abspath(program_path(self.runner.options))
        return Target(self.runner, executable if os.path.isabs(executable) else path, path, attached)

    def _loop(self) -> int:
        reply: bytes | None = None  # GDB asks for the first one itself
        fault: Fault | None = None
        try:
            while True:
                go = self._ask(reply)
                reply, fault = self._let(go, fault)
        except ProcessEnded as end:
            return self._finish(end)
        except MemoryCeiling:
            return self._finish(ProcessEnded(signal=9, reason="it needs more memory than --max-memory allows"))

    def _ask(self, reply: bytes | None) -> Go:
        self._interrupts.program_stopped()
        if not self.target.attached:
            return Go("continue")
        try:
            if reply is not None:
                self._stub.stopped(reply)
            go = self._stub.serve()
        except Closed:
            print("uselib: gdb has gone; the program runs on", file=sys.stderr, flush=True)
            go = Go("detach")
        if go.how == "detach":
            self.target.detach()
            return Go("continue", go.signal)
        return go

    def _let(self, go: Go, fault: Fault | None) -> tuple[bytes, Fault | None]:
        """Runs the program; returns the next stop. Raises ProcessEnded."""
        target, control = self.target, self.target.control
        if go.how == "kill":
            raise ProcessEnded(signal=9, reason="killed by gdb")
        target.threads.back()
        target.threads.hold_others(go.thread or target.threads.running if go.alone and target.attached else 0)
        if target.attached:
            self._interrupts.program_runs()
        try:
            if fault is not None and (go.signal or not target.attached):
                target.kernel.exception(fault)  # the guest's handler, or its end
            elif go.signal:
                self.runner.signals.post(SignalInfo(go.signal, 0))
            if go.how == "step":
                self._step(go)
                return b"T05", None
            control.resume()
        except StoppedForGdb as stop:
            reply = stop.reply
            if stop.fault is not None:
                reply = b"T%02x" % gdb_signal(stop.fault.signal)
            return reply, stop.fault
        except ProgramReplaced as program:
            self.runner.replace(program)
            self.target = self._make_target(attached=target.attached)
            self._stub.target = self.target
            return b"T05exec:" + self.target.executable.encode().hex().encode() + b";", None
        raise AssertionError("the run loop ended")

    def _step(self, go: Go) -> None:
        target, machine, threads = self.target, self.target.machine, self.target.threads
        thread = go.thread or threads.running
        threads.prefer(thread)
        for _ in range(_INTERNAL_STEPS):
            other = threads.running != thread
            target.control.step()
            if (other or threads.running != thread) and thread in threads.all() and not target.break_requested:
                continue  # it waits, or another one is to make it go on
            if go.until is None or not go.until[0] <= machine.cpu.pc < go.until[1] or target.break_requested:
                break
            if target.at_breakpoint():
                raise StoppedForGdb(b"T05swbreak:;")
        target.break_requested = False

    def _finish(self, end: ProcessEnded) -> int:
        self._interrupts.program_stopped()
        if self.target.attached and not self.runner.process.forked:
            with suppress(Closed):
                if end.reason == "killed by gdb":
                    return 128 + end.signal
                number = gdb_signal(end.signal)
                self._stub.stopped(b"X%02x" % number if end.signal else b"W%02x" % (end.code & 0xFF))
        return self.runner.finish(end)

    def _nudged(self, _signal: int, _frame: object) -> None:
        """GDB wants to stop the program, which waits in a system call: the call begins again when it goes on."""
        target = self.target
        if not target.break_requested:
            return
        target.break_requested = False
        machine, pc_index = target.machine, target.control.pc_index
        scheduler = self.runner.process.threads.scheduler
        if scheduler is not None and scheduler.undecided:
            raise StoppedForGdb(b"T02")  # all threads wait, and go on waiting afterwards
        general = machine.cpu.general()
        if target.read(general[pc_index] - 2, 2) == _SYSTEM_CALL[machine.bits]:  # the counter is behind it already
            general[pc_index] -= 2
            machine.cpu.set_general(general)
        raise StoppedForGdb(b"T02")

    def on_mapped(self, vma: Vma) -> None:
        self.target.mapped(vma)

    def on_fork(self, process: int) -> None:
        """GDB stays with the parent."""
        self.target.detach()
        self._interrupts.end()
