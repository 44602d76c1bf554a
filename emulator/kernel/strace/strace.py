"""`--strace`: each system call as a line, in the style of strace(1).

Arguments that the kernel reads are shown as they were before the call, those that it writes as they are after it. The row of the call says
what each argument is (arguments.ArgumentKind); values.py shows it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TextIO

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import ENVIRONMENT, PATH, STRINGS
from uselib.emulator.kernel.errors import errno_name
from uselib.emulator.kernel.strace.scalars import Context, flag_names
from uselib.emulator.kernel.strace.tables import SIGNAL_CODES, SIGNALS
from uselib.emulator.kernel.strace.text import hexadecimal, quoted
from uselib.emulator.kernel.strace.values import RENDERERS, poll_result, signal_set
from uselib.emulator.kernel.table import Syscall
from uselib.loader.memory.address_space import MemoryFault

if TYPE_CHECKING:
    from uselib.emulator.kernel.process import Process
    from uselib.emulator.kernel.signals.frames import SignalInfo
    from uselib.emulator.kernel.threads.thread import Thread
    from uselib.emulator.process.interfaces import ProcessEnded

_SIGCHLD = 17
_COLUMN = 39  # column of `=`, unless the call is longer
_HEX_RESULTS = frozenset({"brk", "mmap", "mmap2", "mremap"})
_POLLS = frozenset({"poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6", "pselect6_time64"})


def _codes(signal: int) -> Mapping[int, str]:
    """Names of si_code."""
    return SIGNAL_CODES[0] | SIGNAL_CODES.get(signal, {})


class _BegunCall(NamedTuple):
    """A call that has begun. before: its arguments before the call, None for those that the kernel writes."""

    row: Syscall
    arguments: Sequence[int]
    before: list[str | None]


class Strace:
    """Writes a line for each call (dispatch.Observer). Lines of children that the guest forked, and of threads, begin with `[pid N]`. A call
    of a thread that waits while others run takes two lines."""

    def __init__(self, process: Process, output: TextIO) -> None:
        self._process = process
        self._output = output
        self._calls: dict[Thread, _BegunCall] = {}
        self._unfinished: dict[Thread, int] = {}  # arguments shown, of a call whose first line is written
        self._first = process.identity.pid
        process.threads.on_park.append(self.parked)

    def started(self, path: bytes, vectors: tuple[int, int]) -> None:
        """The first line: the execve that started the program. vectors: argv and envp on the new stack."""
        row = Syscall("execve", lambda *_: 0, (PATH, STRINGS, ENVIRONMENT))
        arguments = [0, *vectors]
        shown = [quoted(path), self._render(row, arguments, 1, None), self._render(row, arguments, 2, None)]
        self._line(f"execve({', '.join(shown)})", "0")

    def enter(self, row: Syscall, arguments: Sequence[int]) -> None:
        before = [
            None if kind.output else self._render(row, arguments, index, None)
            for index, kind in enumerate(row.arguments)
        ]
        self._calls[self._process.thread] = _BegunCall(row, arguments, before)

    def parked(self, thread: Thread) -> None:
        """The thread's call waits, and other threads run."""
        call = self._calls.get(thread)
        if call is None or thread in self._unfinished:
            return
        shown: list[str] = []
        for text in call.before[: self._count(call.row, call.arguments)]:
            if text is None:
                break
            shown.append(text)
        self._unfinished[thread] = len(shown)
        self._write(f"{call.row.name}({', '.join(shown)} <unfinished ...>")

    def leave(self, row: Syscall, arguments: Sequence[int], result: int | None) -> None:
        if row.name in ("sigreturn", "rt_sigreturn"):
            self._sigreturn(row)
            return
        thread = self._process.thread
        before = self._calls.pop(thread).before
        shown = [
            self._render(row, arguments, index, result) if text is None else text
            for index, text in enumerate(before[: self._count(row, arguments)])
        ]
        if row.name == "_llseek":  # strace shows the offset as one number
            offset = arguments[1] << 32 | arguments[2]
            shown[1:3] = [str(offset - (1 << 64) if offset >> 63 else offset)]
        call = f"{row.name}({', '.join(shown)})"
        if (known := self._unfinished.pop(thread, None)) is not None:
            call = f"<... {row.name} resumed>{''.join(f', {text}' for text in shown[known:])})"
        self._line(call, self._result(row, arguments, result))
        if row.name == "exit" and result is None:
            self._write(f"+++ exited with {arguments[0] & 0xFF} +++")

    def _sigreturn(self, row: Syscall) -> None:
        """The mask and the result register that the signal frame has restored."""
        process = self._process
        value = process.cpu.general()[0]
        if value >> 8 * process.structs.word - 1:
            value -= process.structs.word_mask + 1
        mask = signal_set(process.thread.blocked)
        self._line(f"{row.name}({{mask={mask}}})", self._result(row, (), value))

    def unknown(self, name: str, raw: Sequence[int]) -> None:
        words = ", ".join(hexadecimal(value) for value in raw)
        self._line(f"{name}({words})", self._error(errno.ENOSYS))

    def delivered(self, info: SignalInfo) -> None:
        """Writes the line of a signal that is delivered: what siginfo_t says of it."""
        name = SIGNALS.get(info.signal, str(info.signal))
        code = _codes(info.signal).get(info.code, str(info.code))
        parts = [f"si_signo={name}", f"si_code={code}"]
        if info.fault:
            parts.append(f"si_addr={hex(info.address) if info.address else 'NULL'}")
        elif info.signal == _SIGCHLD and info.code > 0:
            status = info.status if info.code == 1 else SIGNALS.get(info.status, str(info.status))
            parts += [f"si_pid={info.pid}", f"si_uid={info.uid}", f"si_status={status}", "si_utime=0", "si_stime=0"]
        elif info.code <= 0:
            parts += [f"si_pid={info.pid}", f"si_uid={info.uid}"]
        self._write(f"--- {name} {{{', '.join(parts)}}} ---")

    def ended(self, end: ProcessEnded) -> None:
        """The last line."""
        if end.signal:
            self._write(f"+++ killed by {SIGNALS.get(end.signal, end.signal)} +++")
        else:
            self._write(f"+++ exited with {end.code} +++")

    @staticmethod
    def _count(row: Syscall, arguments: Sequence[int]) -> int:
        """How many arguments are shown: only those that the call reads."""
        if row.name in ("open", "openat"):
            flags = arguments[-2]
            return len(arguments) - (0 if flags & C.O_CREAT or flags & C.O_TMPFILE == C.O_TMPFILE else 1)
        if row.name in ("fcntl", "fcntl64") and arguments[1] in (1, 3, 9, 1032, 1034):
            return 2
        if row.name in ("futex", "futex_time64"):
            return {0: 4, 1: 3}.get(arguments[1] & 0x7F, len(arguments))  # FUTEX_WAIT, FUTEX_WAKE
        return len(arguments)

    def _render(self, row: Syscall, arguments: Sequence[int], index: int, result: int | None) -> str:
        kind = row.arguments[index]
        value = arguments[index]
        try:
            return RENDERERS[kind.style](Context(self._process, row, arguments, kind, result), value)
        except (MemoryFault, OSError):
            return hex(value)

    def _result(self, row: Syscall, arguments: Sequence[int], result: int | None) -> str:
        if result is None:
            return "?"
        if -4096 < result < 0:
            return self._error(-result)
        if row.name in _HEX_RESULTS:
            return hex(result & self._process.structs.word_mask)
        if row.name == "umask":
            return f"0{result:o}"
        if row.name in ("fcntl", "fcntl64") and arguments[1] == 3:
            return f"{result:#x} (flags {flag_names('open', result)})"
        if row.name in ("fcntl", "fcntl64") and arguments[1] == 1 and result:
            return f"{result:#x} (flags FD_CLOEXEC)"
        if row.name in _POLLS:
            if not result:
                return "0 (Timeout)"
            if row.arguments[0].style == "pollfds":
                return f"{result} ({poll_result(self._process, arguments[0], arguments[1])})"
        return str(result)

    @staticmethod
    def _error(number: int) -> str:
        return f"-1 {errno_name(number)} ({os.strerror(number)})"

    def _line(self, call: str, result: str) -> None:
        self._write(f"{call:<{_COLUMN}} = {result}")

    def _write(self, text: str) -> None:
        tid = self._process.thread.tid
        self._output.write((f"[pid {tid}] " if tid != self._first or self._process.threads.many else "") + text + "\n")
        self._output.flush()
