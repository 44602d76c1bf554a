"""Signals: actions, masks, waiting for them, the stack of handlers.

Source: kernel/signal.c; struct kernel_sigaction (arch/x86/include/asm/signal.h).
"""

from __future__ import annotations

import errno
import signal as host
import struct

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel import waiting
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.signals import delivery
from uselib.emulator.kernel.signals.frames import SignalInfo
from uselib.emulator.kernel.signals.numbers import (
    COUNT,
    SIG_DFL,
    SIG_IGN,
    SIGKILL,
    SIGSTOP,
    SS_AUTODISARM,
    SS_DISABLE,
    SS_ONSTACK,
    SignalAction,
    bit,
    order,
)
from uselib.emulator.kernel.table import Syscall, Undo
from uselib.emulator.process.interfaces import ContextReplaced
from uselib.linker.image import Machine

SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK = 0, 1, 2
MINSIGSTKSZ = 2048
_MICROSECOND, _SECOND = 1000, 1_000_000_000


def _word(process: Process) -> int:
    return process.machine.word


def _check_size(size: int) -> None:
    if size != 8:
        raise GuestError(errno.EINVAL)


def _read_mask(process: Process, address: int) -> int:
    return int.from_bytes(process.memory.read(address, 8), "little")


# -- actions --------------------------------------------------------------------------------------------------------------


def sys_rt_sigaction(process: Process, signal: int, new: int, old: int, size: int) -> int:
    _check_size(size)
    word = _word(process)
    layout = struct.Struct("<IIIQ" if word == 4 else "<QQQQ")  # handler, flags, restorer, mask
    return _sigaction(process, signal, new, old, layout, (0, 1, 2, 3))


def sys_sigaction(process: Process, signal: int, new: int, old: int) -> int:
    """i386's old call: handler, mask (32 bits), flags, restorer."""
    result = _sigaction(process, signal, new, old, struct.Struct("<IIII"), (0, 2, 3, 1))
    if new:
        action = process.signals.actions[signal]
        if (changed := process.era.sigaction(action)) != action:
            process.signals.set_action(signal, changed)
    return result


def _sigaction(
    process: Process, signal: int, new: int, old: int, layout: struct.Struct, order: tuple[int, int, int, int]
) -> int:
    """`order`: where handler, flags, restorer and mask are in the structure."""
    if not 1 <= signal <= COUNT or (new and signal in (SIGKILL, SIGSTOP)):
        raise GuestError(errno.EINVAL)
    signals = process.signals
    before = signals.actions.get(signal, SignalAction())
    after: SignalAction | None = None
    if new:
        fields = layout.unpack(process.memory.read(new, layout.size))
        handler, flags, restorer, mask = (fields[i] for i in order)
        after = SignalAction(handler, flags & 0xFFFF_FFFF, restorer, mask & ~(bit(SIGKILL) | bit(SIGSTOP)))
    if old:
        fields_out = [0, 0, 0, 0]
        values = (before.handler, before.flags, before.restorer, before.mask)
        for place, value in zip(order, values, strict=True):
            fields_out[place] = value
        if layout.size == 16:
            fields_out = [value & 0xFFFF_FFFF for value in fields_out]
        process.memory.write(old, layout.pack(*fields_out))
    if after is not None:
        signals.set_action(signal, after)
    return 0


def sys_signal(process: Process, signal: int, handler: int) -> int:
    """i386's signal(2): System V semantics (SA_RESETHAND | SA_NODEFER)."""
    if not 1 <= signal <= COUNT or signal in (SIGKILL, SIGSTOP):
        raise GuestError(errno.EINVAL)
    signals = process.signals
    before = signals.actions.get(signal, SignalAction()).handler
    signals.set_action(signal, SignalAction(handler, 0xC000_0000 if handler not in (SIG_DFL, SIG_IGN) else 0))
    return before


# -- masks ----------------------------------------------------------------------------------------------------------------


def _change_mask(process: Process, how: int, mask: int) -> None:
    signals = process.signals
    if how == SIG_BLOCK:
        mask |= process.thread.blocked
    elif how == SIG_UNBLOCK:
        mask = process.thread.blocked & ~mask
    elif how != SIG_SETMASK:
        raise GuestError(errno.EINVAL)
    signals.set_blocked(mask)


def sys_rt_sigprocmask(process: Process, how: int, new: int, old: int, size: int) -> int:
    _check_size(size)
    before = process.thread.blocked
    if new:
        _change_mask(process, how, _read_mask(process, new))
    if old:
        process.memory.write(old, before.to_bytes(8, "little"))
    return 0


def sys_sigprocmask(process: Process, how: int, new: int, old: int) -> int:
    """i386's old call: the first 32 signals."""
    before = process.thread.blocked
    if new:
        mask = int.from_bytes(process.memory.read(new, 4), "little")
        _change_mask(process, how, mask | (before & ~0xFFFF_FFFF if how == SIG_SETMASK else 0))
    if old:
        process.memory.write(old, (before & 0xFFFF_FFFF).to_bytes(4, "little"))
    return 0


def _pending_mask(process: Process) -> int:
    signals, thread = process.signals, process.thread
    mask = sum(bit(number) for number in {info.signal for info in (*signals.pending, *thread.pending)})
    for number in host.sigpending():
        mask |= bit(int(number))
    return mask & thread.blocked


def sys_rt_sigpending(process: Process, out: int, size: int) -> int:
    if size > 8:
        raise GuestError(errno.EINVAL)
    process.memory.write(out, _pending_mask(process).to_bytes(8, "little")[:size])
    return 0


def sys_sigpending(process: Process, out: int) -> int:
    process.memory.write(out, (_pending_mask(process) & 0xFFFF_FFFF).to_bytes(4, "little"))
    return 0


# -- waiting --------------------------------------------------------------------------------------------------------------


def sys_pause(process: Process) -> int:
    waiting.poll(process, [], None)
    raise GuestError(errno.EINTR)


def sys_rt_sigsuspend(process: Process, mask: int, size: int) -> int:
    _check_size(size)
    return _suspend(process, _read_mask(process, mask))


def sys_sigsuspend(process: Process, _one: int, _two: int, mask: int) -> int:
    """i386's old call: the mask is the third argument."""
    return _suspend(process, mask)


def _suspend(process: Process, mask: int) -> int:
    signals = process.signals
    before = process.thread.blocked
    signals.set_blocked(mask)
    process.thread.suspended_mask = before
    return sys_pause(process)


def sys_rt_sigtimedwait(process: Process, wanted: int, info: int, timeout: int, size: int) -> int:
    """Takes a pending signal of the set, or waits for one."""
    _check_size(size)
    layout = process.structs["timespec"]
    limit: int | None = None
    if timeout:
        seconds, nanoseconds = layout.unpack(process.memory.read(timeout, layout.size))
        if seconds < 0 or not 0 <= nanoseconds < _SECOND:
            raise GuestError(errno.EINVAL)
        limit = seconds * _SECOND + nanoseconds
    return _timed_wait(process, _read_mask(process, wanted), info, limit)


def sys_rt_sigtimedwait_time64(process: Process, wanted: int, info: int, timeout: int, size: int) -> int:
    _check_size(size)
    limit: int | None = None
    if timeout:
        seconds, nanoseconds = struct.unpack("<qq", process.memory.read(timeout, 16))
        limit = seconds * _SECOND + nanoseconds
    return _timed_wait(process, _read_mask(process, wanted), info, limit)


def _timed_wait(process: Process, mask: int, info_at: int, limit: int | None) -> int:
    """Waits. Meanwhile the thread counts as one that does not block the signals of the set."""
    signals, thread = process.signals, process.thread
    numbers = [n for n in range(1, COUNT + 1) if mask & bit(n) and n not in (SIGKILL, SIGSTOP)]

    def take() -> SignalInfo | None:
        signals.timers.check()
        for queue in (thread.pending, signals.pending):
            held = set(host.sigpending()) & set(numbers) if queue is signals.pending else set()
            ours = [info.signal for info in queue if mask & bit(info.signal)]
            if not ours and not held:
                continue
            first = min([*ours, *held], key=order)
            if first in ours:
                info = next(info for info in queue if info.signal == first)
                queue.remove(info)
                return info
            if taken := host.sigtimedwait([first], 0):
                return signals.arrivals.one(taken.si_signo, taken.si_code, taken.si_pid, taken.si_status)
        return None

    found = waiting.until(process, take, timeout=limit, retry=process.clock.sleeps or limit is None)
    if found is None:
        raise GuestError(errno.EAGAIN)
    if info_at:
        process.memory.write(info_at, found.encode(_word(process)))
    return found.signal


# -- the handler's stack, and coming back from it -------------------------------------------------------------------------


def sys_sigaltstack(process: Process, new: int, old: int) -> int:
    layout = struct.Struct("<IiI" if _word(process) == 4 else "<QiIQ")
    base, flags, size = process.thread.alternate
    sp = process.cpu.general()[7]
    inside = not flags & SS_DISABLE and base < sp <= base + size
    if new:
        fields = layout.unpack(process.memory.read(new, layout.size))
        new_base, new_flags, new_size = fields[0], fields[1] & 0xFFFF_FFFF, fields[-1]
        if inside:
            raise GuestError(errno.EPERM)
        mode = new_flags & ~SS_AUTODISARM
        if mode not in (0, SS_ONSTACK, SS_DISABLE):
            raise GuestError(errno.EINVAL)
        if mode == SS_DISABLE:
            new_base = new_size = 0
        elif new_size < MINSIGSTKSZ:
            raise GuestError(errno.ENOMEM)
    if old:
        shown = SS_ONSTACK if inside else flags & SS_DISABLE
        parts = (base, shown, size) if layout.size == 12 else (base, shown, 0, size)
        process.memory.write(old, layout.pack(*parts))
    if new:
        process.thread.alternate = (new_base, mode & SS_DISABLE, new_size)
    return 0


def sys_rt_sigreturn(process: Process) -> int:
    delivery.leave(process.signals, process.cpu, process.memory, rt=True)
    raise ContextReplaced


def sys_sigreturn(process: Process) -> int:
    delivery.leave(process.signals, process.cpu, process.memory, rt=False)
    raise ContextReplaced


_I386 = Machine.I386
_HOW = a.choice("sigprocmask")

ROWS = (
    Syscall("rt_sigaction", sys_rt_sigaction, (a.SIGNAL, a.SIGACTION, a.SIGACTION_OUT, a.SIZE)),
    Syscall("sigaction", sys_sigaction, (a.SIGNAL, a.SIGACTION, a.SIGACTION_OUT), _I386),
    Syscall("signal", sys_signal, (a.SIGNAL, a.PTR), _I386),
    Syscall("rt_sigprocmask", sys_rt_sigprocmask, (_HOW, a.SIGSET, a.SIGSET_OUT, a.SIZE), undo=Undo.MEMORY),
    Syscall("sigprocmask", sys_sigprocmask, (_HOW, a.SIGSET, a.SIGSET_OUT), _I386),
    Syscall("rt_sigpending", sys_rt_sigpending, (a.SIGSET_OUT, a.SIZE)),
    Syscall("sigpending", sys_sigpending, (a.PTR_OUT,), _I386),
    Syscall("pause", sys_pause, undo=Undo.NEVER, restarts=False),
    Syscall("rt_sigsuspend", sys_rt_sigsuspend, (a.SIGSET, a.SIZE), undo=Undo.NEVER, restarts=False),
    Syscall("sigsuspend", sys_sigsuspend, (a.HEX, a.HEX, a.HEX), _I386, undo=Undo.NEVER, restarts=False),
    Syscall("rt_sigtimedwait", sys_rt_sigtimedwait, (a.PTR, a.PTR_OUT, a.PTR, a.SIZE), undo=Undo.NEVER, restarts=False),
    Syscall(
        "rt_sigtimedwait_time64",
        sys_rt_sigtimedwait_time64,
        (a.PTR, a.PTR_OUT, a.PTR, a.SIZE),
        undo=Undo.NEVER,
        restarts=False,
    ),
    Syscall("sigaltstack", sys_sigaltstack, (a.PTR, a.PTR_OUT)),
    Syscall("rt_sigreturn", sys_rt_sigreturn),
    Syscall("sigreturn", sys_sigreturn, (), _I386),
)
