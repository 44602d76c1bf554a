"""Actions, masks, sending, waiting for signals, the stack of handlers.

Source: kernel/signal.c; struct kernel_sigaction (arch/x86/include/asm/signal.h).
"""

from __future__ import annotations

import errno
import signal as host
import struct

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel import waiting
from uselib.emulator.kernel.calls.process_groups import INIT
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.pids import RUNNING, STOPPED
from uselib.emulator.kernel.proc.facts import facts_of
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.shared.signal_boxes import Origin
from uselib.emulator.kernel.signals.frames import SI_TKILL, SI_USER, SignalInfo
from uselib.emulator.kernel.signals.numbers import (
    COUNT,
    SIG_DFL,
    SIG_IGN,
    SIGCONT,
    SIGKILL,
    SIGSTOP,
    SS_AUTODISARM,
    SS_DISABLE,
    SS_ONSTACK,
    SignalAction,
    bit,
    order,
)
from uselib.emulator.kernel.table import Effect, Syscall, Undo
from uselib.emulator.process.interfaces import ContextReplaced, ProcessEnded
from uselib.linker.image import Machine

SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK = 0, 1, 2
MINSIGSTKSZ = 2048
_CAP_KILL = 5
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
    """Takes a pending signal of the set; waits for one in the host's way."""
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
    """While it waits the thread counts as one that does not block the signals of the set."""
    signals, thread = process.signals, process.thread
    numbers = [n for n in range(1, COUNT + 1) if mask & bit(n) and n not in (SIGKILL, SIGSTOP)]

    def take() -> SignalInfo | None:
        signals.check_timers()
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


# -- sending --------------------------------------------------------------------------------------------------------------


def _targets(process: Process, pid: int) -> list[int]:
    """kill(2): 0 is the group, -1 everybody else, another negative number a group. Raises GuestError(ESRCH)."""
    pids, own = process.pids, process.identity.pid
    if pid > 0:
        return [pid]
    everybody = pid == -1
    found = (
        [target for target in pids.all() if target != own] if everybody else pids.members(-pid or pids.groups(own)[0])
    )
    if not found:
        raise GuestError(errno.ESRCH)
    return sorted(found, key=lambda target: target == own)  # itself last: the signal may be the end


def _may_signal(process: Process, pid: int, signal: int) -> bool:
    """kill_ok_by_cred: the sender's real or effective uid is the target's real or saved one. SIGCONT goes to all of the session."""
    who = process.identity
    if pid == who.pid or who.can(_CAP_KILL):
        return True
    facts = facts_of(process, pid)
    if signal == SIGCONT and facts.session == process.pids.groups(who.pid)[1]:
        return True
    return bool({who.uid, who.effective_uid} & {facts.uids[0], facts.uids[2]})


def _send_one(process: Process, pid: int, info: SignalInfo) -> None:
    """Raises GuestError(ESRCH, EPERM), ProcessLookupError."""
    signal = info.signal
    if pid == INIT:
        if not process.identity.can(_CAP_KILL):
            raise GuestError(errno.EPERM)
        return  # init has no handlers, and so gets nothing
    if pid != process.identity.pid:
        if not process.pids.alone and process.pids.is_there(pid) and not _may_signal(process, pid, signal):
            raise GuestError(errno.EPERM)
        process.pids.send(pid, signal, Origin(info.code, info.pid, info.uid, info.value))
        if signal in (SIGSTOP, SIGCONT):
            process.pids.set_state(pid, STOPPED if signal == SIGSTOP else RUNNING)
        return
    if signal == SIGKILL:
        raise ProcessEnded(signal=SIGKILL)
    if signal:
        process.signals.post(info)


def send(process: Process, pid: int, signal: int, code: int) -> int:
    """To this process: queued. To others of the guest's: through PidTable. What fails for all targets fails."""
    if not 0 <= signal <= COUNT:
        raise GuestError(errno.EINVAL)
    return send_info(process, pid, SignalInfo(signal, code, process.identity.pid, process.identity.uid))


def send_info(process: Process, pid: int, info: SignalInfo) -> int:
    """Likewise, with what siginfo_t is to say."""
    failure, reached = errno.ESRCH, False
    for target in _targets(process, pid):
        try:
            _send_one(process, target, info)
            reached = True
        except ProcessLookupError:
            continue
        except GuestError as refused:
            failure = refused.errno
    if not reached:
        raise GuestError(failure)
    return 0


def sys_kill(process: Process, pid: int, signal: int) -> int:
    return send(process, pid, signal, SI_USER)


def _to_thread(process: Process, tid: int, info: SignalInfo | None) -> int:
    """A signal for one thread of this process; None: whether it exists. Raises GuestError(ESRCH), ProcessEnded."""
    thread = process.thread if tid == process.thread.tid else process.threads.all.get(tid)
    if thread is None:
        raise GuestError(errno.ESRCH)
    if info is not None and info.signal == SIGKILL:
        raise ProcessEnded(signal=SIGKILL)
    if info is not None:
        process.signals.post(info, thread)
    return 0


def sys_tkill(process: Process, tid: int, signal: int) -> int:
    if tid <= 0 or not 0 <= signal <= COUNT:
        raise GuestError(errno.EINVAL)
    if tid != process.thread.tid and tid not in process.threads.all:
        return send(process, tid, signal, SI_TKILL)
    who = process.identity
    return _to_thread(process, tid, SignalInfo(signal, SI_TKILL, who.pid, who.uid) if signal else None)


def sys_tgkill(process: Process, group: int, tid: int, signal: int) -> int:
    if tid <= 0 or group <= 0 or not 0 <= signal <= COUNT:
        raise GuestError(errno.EINVAL)
    if group == process.identity.pid:
        return sys_tkill(process, tid, signal) if tid == process.thread.tid or tid in process.threads.all else _absent()
    if group != tid:
        raise GuestError(errno.ESRCH)
    return send(process, tid, signal, SI_TKILL)


def _absent() -> int:
    raise GuestError(errno.ESRCH)


def queued_info(process: Process, signal: int, address: int) -> SignalInfo:
    """siginfo_t as a program makes it for sigqueue(3). Raises MemoryFault."""
    word = _word(process)
    data = process.memory.read(address, 128)
    (code,) = struct.unpack_from("<i", data, 8)
    at = 16 if word == 8 else 12
    sender, uid = struct.unpack_from("<iI", data, at)
    value = int.from_bytes(data[at + 8 : at + 8 + word], "little")
    return SignalInfo(signal, code, sender, uid, value=value)


def sys_rt_sigqueueinfo(process: Process, pid: int, signal: int, info: int) -> int:
    """To the process itself with its value; to others as kill."""
    if not 1 <= signal <= COUNT:
        raise GuestError(errno.EINVAL)
    queued = queued_info(process, signal, info)
    if pid != process.identity.pid and pid not in process.threads.all:
        if queued.code >= 0 or queued.code == SI_TKILL:
            raise GuestError(errno.EPERM)
        return send_info(process, pid, queued)
    process.signals.post(queued)
    return 0


def sys_rt_tgsigqueueinfo(process: Process, group: int, tid: int, signal: int, info: int) -> int:
    if tid <= 0 or group <= 0 or not 0 <= signal <= COUNT:
        raise GuestError(errno.EINVAL)
    queued = queued_info(process, signal, info)
    if (queued.code >= 0 or queued.code == SI_TKILL) and group != process.identity.pid:
        raise GuestError(errno.EPERM)
    if group != process.identity.pid:
        return send_info(process, group, queued) if group == tid else _absent()
    return _to_thread(process, tid, queued if signal else None)


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
    process.signals.leave(process.cpu, process.memory, rt=True)
    raise ContextReplaced


def sys_sigreturn(process: Process) -> int:
    process.signals.leave(process.cpu, process.memory, rt=False)
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
    Syscall("kill", sys_kill, (a.PID, a.SIGNAL), effect=Effect.PROCESSES, undo=Undo.MEMORY),
    Syscall("tkill", sys_tkill, (a.PID, a.SIGNAL), effect=Effect.PROCESSES, undo=Undo.MEMORY),
    Syscall("tgkill", sys_tgkill, (a.PID, a.PID, a.SIGNAL), effect=Effect.PROCESSES, undo=Undo.MEMORY),
    Syscall("rt_sigqueueinfo", sys_rt_sigqueueinfo, (a.PID, a.SIGNAL, a.PTR), effect=Effect.PROCESSES),
    Syscall("rt_tgsigqueueinfo", sys_rt_tgsigqueueinfo, (a.PID, a.PID, a.SIGNAL, a.PTR), effect=Effect.PROCESSES),
    Syscall("sigaltstack", sys_sigaltstack, (a.PTR, a.PTR_OUT)),
    Syscall("rt_sigreturn", sys_rt_sigreturn),
    Syscall("sigreturn", sys_sigreturn, (), _I386),
)
