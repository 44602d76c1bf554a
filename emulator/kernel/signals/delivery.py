"""Delivery of signals: a pending one enters its handler or ends the process; sigreturn.

Source: kernel/signal.c (get_signal), arch/x86/kernel/signal.c of Linux.
"""

from __future__ import annotations

import os
import signal as host

from uselib.emulator.kernel.signals import frames
from uselib.emulator.kernel.signals.frames import SI_KERNEL, SignalInfo
from uselib.emulator.kernel.signals.numbers import (
    IGNORED,
    SA_NODEFER,
    SA_ONSTACK,
    SA_RESETHAND,
    SA_RESTART,
    SA_RESTORER,
    SA_SIGINFO,
    SIG_DFL,
    SIG_IGN,
    SIGSEGV,
    SIGSTOP,
    SS_DISABLE,
    SS_ONSTACK,
    STOPS,
    SignalAction,
    bit,
    order,
)
from uselib.emulator.kernel.signals.state import SignalState
from uselib.emulator.process.interfaces import CpuState, Fault, ProcessEnded
from uselib.linker.quick_dataclass import replace
from uselib.loader.memory.address_space import AddressSpace, MemoryFault


def exception(signals: SignalState, fault: Fault, cpu: CpuState, memory: AddressSpace) -> None:
    """Sends the signal of a CPU exception, which cannot be blocked. Raises ProcessEnded if it is not handled."""
    action = signals.action(fault.signal)
    info = SignalInfo(
        fault.signal,
        fault.code,
        address=fault.address,
        error=fault.error,
        trap=fault.trap,
        fault=fault.code != SI_KERNEL,
    )
    signals.events.delivered(info)
    if action.handler in (SIG_DFL, SIG_IGN) or signals.thread.blocked & bit(fault.signal):
        raise ProcessEnded(signal=fault.signal, fault=fault)
    _enter(signals, cpu, memory, info, action, fault)


def force(signals: SignalState, info: SignalInfo) -> None:
    """Sends the running thread a signal that cannot be blocked (force_sig_info). Raises ProcessEnded if it is not handled."""
    if signals.handler(info.signal) in (SIG_DFL, SIG_IGN) or signals.thread.blocked & bit(info.signal):
        raise ProcessEnded(signal=info.signal)
    signals.thread.pending.append(info)


def deliver(signals: SignalState, cpu: CpuState, memory: AddressSpace) -> None:
    """Enters the handlers of signals that are pending and not blocked. Arranges for an interrupted call to be restarted."""
    signals.drain()
    signals.timers.check()
    entered = False
    while (info := _next(signals)) is not None:
        (signals.thread.pending if info in signals.thread.pending else signals.pending).remove(info)
        signals.events.delivered(info)
        action = signals.action(info.signal)
        if action.handler == SIG_IGN or (action.handler == SIG_DFL and info.signal in IGNORED):
            continue
        if action.handler == SIG_DFL:
            if info.signal in STOPS:
                _stop(signals, info.signal)
                continue
            raise ProcessEnded(signal=info.signal, sent=info.pid not in (0, signals.identity.pid))
        if signals.thread.interrupted_call is not None:
            number, restartable = signals.thread.interrupted_call
            signals.thread.interrupted_call = None
            if restartable and action.flags & SA_RESTART:
                _rewind(cpu, number)
        entered = True
        _enter(signals, cpu, memory, info, action, None)
    if signals.thread.interrupted_call is not None:
        _rewind(cpu, signals.thread.interrupted_call[0])  # no handler ran: the call goes on
        signals.thread.interrupted_call = None
    if not entered and signals.thread.suspended_mask is not None:
        mask, signals.thread.suspended_mask = signals.thread.suspended_mask, None
        signals.set_blocked(mask)


def _stop(signals: SignalState, signal: int) -> None:
    """Stops the host process by the same signal, so that its parent's wait sees it. An orphaned group stops only by SIGSTOP."""
    if signal != SIGSTOP:
        signals.host.set(signal, host.SIG_DFL)
    os.kill(os.getpid(), signal)


def _next(signals: SignalState) -> SignalInfo | None:
    blocked = signals.thread.blocked
    open_to = [info for info in signals.thread.pending if not blocked & bit(info.signal)]
    if not open_to:  # the thread's own come first (dequeue_signal)
        open_to = [info for info in signals.pending if not blocked & bit(info.signal)]
    return min(open_to, key=lambda info: order(info.signal), default=None)


def _rewind(cpu: CpuState, number: int) -> None:
    """Puts the program counter back on the system-call instruction (2 bytes on both machines)."""
    registers = cpu.general()
    registers[-2] -= 2
    registers[0] = number
    cpu.set_general(registers)


def _enter(
    signals: SignalState,
    cpu: CpuState,
    memory: AddressSpace,
    info: SignalInfo,
    action: SignalAction,
    fault: Fault | None,
) -> None:
    if signals.thread.sequences is not None:
        from uselib.emulator.kernel.threads.sequences import interrupt

        interrupt(cpu, memory, signals.thread.sequences)
    if action.flags & SA_RESETHAND:
        signals.set_action(info.signal, replace(action, handler=SIG_DFL))
    mask = signals.thread.blocked if signals.thread.suspended_mask is None else signals.thread.suspended_mask
    sp = cpu.general()[7]
    base, flags, size = signals.thread.alternate
    inside = base <= sp - 1 < base + size and not flags & SS_DISABLE
    usable = not flags & SS_DISABLE and size > 0
    delivery = frames.Delivery(
        info,
        action.handler,
        restorer=action.restorer if action.flags & SA_RESTORER else 0,
        siginfo=bool(action.flags & SA_SIGINFO),
        mask=mask,
        stack=(base, SS_ONSTACK if inside else flags, size),
        switch_stack=bool(action.flags & SA_ONSTACK) and usable and not inside,
    )
    try:
        if cpu.bits == 64 and not delivery.restorer:
            raise MemoryFault(0, "execute")
        frames.push(cpu, memory, delivery)
    except MemoryFault:
        raise ProcessEnded(signal=SIGSEGV, fault=fault) from None  # no stack for the handler
    signals.thread.suspended_mask = None
    blocked = signals.thread.blocked | action.mask
    if not action.flags & SA_NODEFER:
        blocked |= bit(info.signal)
    signals.set_blocked(blocked)


def leave(signals: SignalState, cpu: CpuState, memory: AddressSpace, *, rt: bool) -> None:
    """sigreturn: registers, mask and alternate stack from the frame. Raises ProcessEnded if it cannot be read."""
    try:
        mask, stack = frames.pop(cpu, memory, rt=rt)
    except MemoryFault as failure:
        fault = Fault(SIGSEGV, SI_KERNEL, failure.address, "read")
        raise ProcessEnded(signal=SIGSEGV, fault=fault) from None
    signals.set_blocked(mask)
    if stack is not None and not stack[1] & SS_ONSTACK:
        signals.thread.alternate = stack
