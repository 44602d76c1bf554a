"""Calls that send signals: to processes, groups and threads, also with a value.

Source: kernel/signal.c, kill(2), rt_sigqueueinfo(2).
"""

from __future__ import annotations

import errno
import struct
from contextlib import suppress

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel.calls.process_groups import INIT
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.proc.facts import facts_of
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.shared.process_rows import RUNNING, STOPPED
from uselib.emulator.kernel.shared.signal_boxes import Origin
from uselib.emulator.kernel.signals.frames import SI_TKILL, SI_USER, SignalInfo
from uselib.emulator.kernel.signals.numbers import COUNT, SIGCONT, SIGKILL, SIGSTOP
from uselib.emulator.kernel.table import Effect, Syscall, Undo
from uselib.emulator.process.interfaces import ProcessEnded
from uselib.loader.memory.vma import PROT_WRITE

_CAP_KILL = 5


def _targets(process: Process, pid: int) -> list[int]:
    """The processes that kill(2) means: 0 is the caller's group, -1 all processes but the caller, another negative number a group. Raises
    GuestError(ESRCH).
    """
    pids, own = process.pids, process.identity.pid
    if pid > 0:
        return [pid]
    everybody = pid == -1
    found = (
        [target for target in pids.all() if target != own] if everybody else pids.members(-pid or pids.groups(own)[0])
    )
    if not found:
        raise GuestError(errno.ESRCH)
    return sorted(found, key=lambda target: target == own)  # itself last: the signal may end it


def _may_signal(process: Process, pid: int, signal: int) -> bool:
    """Whether the sender's real or effective uid is the target's real or saved one (kill_ok_by_cred). SIGCONT may go to all processes of the
    session.
    """
    who = process.identity
    if pid == who.pid or who.can(_CAP_KILL):
        return True
    facts = facts_of(process, pid)
    if signal == SIGCONT and facts.session == process.pids.groups(who.pid)[1]:
        return True
    return bool({who.uid, who.effective_uid} & {facts.uids[0], facts.uids[2]})


def _shares(process: Process) -> bool:
    """Whether it has memory together with others. Then locks may lie there that the other one marks when it ends (threads/robust.py)."""
    return process.memory.lends or any(vma.shared and vma.prot & PROT_WRITE for vma in process.memory)


def _let_end(process: Process, pid: int) -> None:
    """Before SIGKILL: asks the process to end by itself. It does not if it is stopped or computes."""
    from uselib.emulator.kernel.proc.asking import ask

    with suppress(GuestError):
        ask(process, pid, ("end",))


def _send_one(process: Process, pid: int, info: SignalInfo) -> None:
    """Raises GuestError(ESRCH, EPERM), ProcessLookupError."""
    signal = info.signal
    if pid == INIT:
        if not process.identity.can(_CAP_KILL):
            raise GuestError(errno.EPERM)
        return  # init has no handlers, so it gets no signals
    if pid != process.identity.pid:
        if not process.pids.alone and process.pids.is_there(pid) and not _may_signal(process, pid, signal):
            raise GuestError(errno.EPERM)
        if signal == SIGKILL and _shares(process):
            _let_end(process, pid)
        process.pids.send(pid, signal, Origin(info.code, info.pid, info.uid, info.value))
        if signal in (SIGSTOP, SIGCONT):
            process.pids.set_state(pid, STOPPED if signal == SIGSTOP else RUNNING)
        return
    if signal == SIGKILL:
        raise ProcessEnded(signal=SIGKILL)
    if signal:
        process.signals.post(info)


def send(process: Process, pid: int, signal: int, code: int) -> int:
    """Sends a signal to this process (queued) and to others of the guest (through PidTable). The call fails if it fails for all targets."""
    if not 0 <= signal <= COUNT:
        raise GuestError(errno.EINVAL)
    return send_info(process, pid, SignalInfo(signal, code, process.identity.pid, process.identity.uid))


def send_info(process: Process, pid: int, info: SignalInfo) -> int:
    """As `send`, with the contents of siginfo_t."""
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
    """Sends a signal to one thread of this process. Without one, checks that the thread exists. Raises GuestError(ESRCH), ProcessEnded."""
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
    """Reads siginfo_t as a program makes it for sigqueue(3). Raises MemoryFault."""
    word = process.machine.word
    data = process.memory.read(address, 128)
    (code,) = struct.unpack_from("<i", data, 8)
    at = 16 if word == 8 else 12
    sender, uid = struct.unpack_from("<iI", data, at)
    value = int.from_bytes(data[at + 8 : at + 8 + word], "little")
    return SignalInfo(signal, code, sender, uid, value=value)


def sys_rt_sigqueueinfo(process: Process, pid: int, signal: int, info: int) -> int:
    """Sends the signal with its value to the process itself, and as kill to others."""
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


ROWS = (
    Syscall("kill", sys_kill, (a.PID, a.SIGNAL), effect=Effect.PROCESSES, undo=Undo.MEMORY),
    Syscall("tkill", sys_tkill, (a.PID, a.SIGNAL), effect=Effect.PROCESSES, undo=Undo.MEMORY),
    Syscall("tgkill", sys_tgkill, (a.PID, a.PID, a.SIGNAL), effect=Effect.PROCESSES, undo=Undo.MEMORY),
    Syscall("rt_sigqueueinfo", sys_rt_sigqueueinfo, (a.PID, a.SIGNAL, a.PTR), effect=Effect.PROCESSES),
    Syscall("rt_tgsigqueueinfo", sys_rt_tgsigqueueinfo, (a.PID, a.PID, a.SIGNAL, a.PTR), effect=Effect.PROCESSES),
)
