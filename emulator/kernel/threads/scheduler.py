"""Scheduler: which thread of a process runs, and what the others wait for.

The threads run one at a time in the machine of the process. The thread on the CPU changes when a system call waits, when the time slice is
over (a number of translated blocks, so that the same program switches at the same places in every run), when the thread yields or ends.

A system call runs in a greenlet, a Python stack of its own, when there are several threads. A handler that has to wait calls the functions
of waiting.py as it does with one thread; they park the thread here: the greenlet is left in the middle of the handler, other threads run, and
when the wait is over the handler goes on with its thread on the CPU. So handlers need not know of threads, and no part of a call is carried
out twice. The run loop and the decisions of this module run in the greenlet that called Machine.run (the hub).

Time: a decision takes 10 us of the deterministic clock and a full slice 100 us, so a thread that spins until another has slept makes
progress. When all threads wait, the clock moves to the next deadline; if they wait for host descriptors, the host waits for all of them.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit, getcurrent, greenlet

from uselib.emulator.kernel.clock import STEP
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.threads import idle
from uselib.emulator.kernel.threads.ready import ReadyThreads
from uselib.emulator.kernel.threads.sequences import interrupt
from uselib.emulator.kernel.threads.wait import Ending, ThreadEnded, Wait
from uselib.emulator.kernel.threads.waits import Waits
from uselib.emulator.process.interfaces import ContextReplaced

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uselib.emulator.kernel.process import Process
    from uselib.emulator.kernel.threads.group import ThreadScheduler
    from uselib.emulator.kernel.threads.thread import Thread
    from uselib.emulator.process.interfaces import ThreadMachine

_SLICE_TIME = 100_000  # ns that a slice takes

_Outcome = tuple[int, BaseException | None]  # result of a system call, or what was raised
_Call = Callable[[int, Sequence[int]], int]


class Scheduler:
    """The scheduler of one program. It is made when the program starts its second thread, with its only thread on the CPU."""

    def __init__(self, process: Process, machine: ThreadMachine) -> None:
        self._process = process
        self._group = process.threads
        self._cpu = machine.contexts()
        self._ready = ReadyThreads(self._cpu.turns)
        self._parked: dict[Thread, greenlet] = {}  # calls that wait, in the order in which they began
        self._waits = Waits(process, self._ready)
        self._idle: list[greenlet] = []  # workers without a call
        self._hub = getcurrent()
        self._loaded = process.thread  # the thread whose registers are on the CPU
        self._yields = False
        self._retry = idle.FIRST_RETRY
        self.undecided = False
        self.only: Thread | None = None
        self.signalled = False  # a signal has become pending: waits may be over
        self._loaded.context = self._cpu.new(self._loaded.tid)
        self._ready.enter(self._loaded)
        self._native_call: _Call | None = None  # carries out calls in which native code has put threads to sleep
        machine.serve(self)
        self._begin_slice()

    # -- what the machine calls ---------------------------------------------------------------------------------------

    def system_call(self, call: Callable[[int, list[int]], int], number: int, arguments: list[int]) -> int:
        """See interfaces.ThreadSwitching."""
        if not self._group.many:
            return call(number, arguments)
        worker = self._idle.pop() if self._idle else greenlet(self._work)
        self._hub = getcurrent()
        outcome: _Outcome | None = worker.switch(call, number, arguments)
        if outcome is None:  # parked
            self._parked[self._process.thread] = worker
            self._run_another()
            raise ContextReplaced
        self._idle.append(worker)
        result, failure = outcome
        if isinstance(failure, ThreadEnded):
            self._run_another()
            raise ContextReplaced
        if failure is not None:
            raise failure
        if self._yields or self._cpu.slice_over or self._group.order.switches():
            self._cpu.finish_call(result)
            self._give_way()
            raise ContextReplaced
        return result

    def begin(self) -> None:
        """See interfaces.ThreadSwitching."""
        if self.undecided:
            self._run_another()
        else:
            self.show(self._process.thread)

    def offer(self, call: _Call) -> None:
        """See group.ThreadScheduler."""
        self._native_call = call
        if self.signalled or self.only is not None:
            self._ready.refuse()
        else:
            self._ready.offer(self._process, self._waits.polled.values())

    def settle(self) -> None:
        """See interfaces.ThreadSwitching."""
        context = self._cpu.current
        if context != self._loaded.context:
            self._cpu.settle()
            self._loaded = self._ready.with_context(context)
            self._process.thread = self._process.signals.thread = self._loaded

    def take_over(self) -> bool:
        """See group.ThreadScheduler."""
        waits = self._ready.waits()
        if not waits:
            return False
        process, call = self._process, self._native_call
        assert call is not None
        runs, hub = process.thread, self._hub
        self._hub = getcurrent()  # the hub, or the worker of a call that reads the futex queues
        for thread, (number, *arguments) in waits:
            process.thread = process.signals.thread = thread
            thread.asleep = True
            worker = self._idle.pop() if self._idle else greenlet(self._work)
            outcome = worker.switch(call, number, arguments)
            assert outcome is None, outcome
            thread.asleep = False
            self._parked[thread] = worker
        process.thread = process.signals.thread = runs
        self._hub = hub
        return True

    def slice_over(self) -> bool:
        """See interfaces.ThreadSwitching."""
        if not self._cpu.slice_over:
            return False
        self._process.clock.advance(_SLICE_TIME - STEP)
        self._give_way()
        return True

    def _work(self, call: _Call, number: int, arguments: Sequence[int]) -> None:
        """A worker: carries out system calls, one after the other."""
        while True:
            try:
                outcome: _Outcome = call(number, arguments), None
            except GreenletExit:
                raise
            except BaseException as failure:
                outcome = 0, failure
            call, number, arguments = self._hub.switch(outcome)

    # -- what handlers call, within a worker ----------------------------------------------------------------------------

    def wait(self, wait: Wait) -> Any:
        """Parks the calling thread until its wait is over. Returns the wait's value, or None at its deadline. Raises GuestError(EINTR)."""
        process = self._process
        thread = process.thread
        if wait.interruptible and not thread.asleep and process.signals.deliverable():
            raise GuestError(errno.EINTR)
        self._waits.begin(thread, wait)
        program = process.program
        try:
            for tell in self._group.on_park:
                tell(thread)
            process.program = program.within or program  # others do not see what a call of i386 sees
            self._hub.switch(None)
        finally:
            process.program = program
            self._waits.forget(thread)
        if wait.ending is Ending.SIGNAL:
            raise GuestError(errno.EINTR)
        return wait.value

    def wake(self, thread: Thread) -> None:
        """Ends the wait of a parked thread, if it has not ended yet."""
        self._waits.end(thread, Ending.DONE, True)

    def yield_soon(self) -> None:
        """After this system call it is another thread's turn."""
        self._yields = True

    def add(self, thread: Thread) -> None:
        """A new thread, which can run."""
        thread.context = self._cpu.new(thread.tid)
        self._ready.enter(thread)
        self._group.all[thread.tid] = thread
        self._group.counted()
        self._ready.append(thread)

    def waits(self, thread: Thread) -> bool:
        """See group.ThreadScheduler."""
        return thread in self._parked

    def show(self, thread: Thread) -> None:
        """See group.ThreadScheduler."""
        loaded = self._loaded
        if loaded is thread:
            return
        if loaded.context is not None:
            self._cpu.save(loaded.context)
        assert thread.context is not None
        self._cpu.load(thread.context)
        self._loaded = thread

    def prefer(self, thread: Thread) -> None:
        """See group.ThreadScheduler."""
        if thread in self._ready and not self.undecided:
            self._ready.remove(thread)
            self._ready.append(self._process.thread)
            self._put_on_cpu(thread)

    def registers(self, thread: Thread) -> list[int]:
        """General registers of a thread, in the order of Cpu.general."""
        loaded = self._loaded
        if thread is loaded:
            return self._process.cpu.general()
        assert loaded.context is not None and thread.context is not None
        self._cpu.save(loaded.context)
        self._cpu.load(thread.context)
        found = self._process.cpu.general()
        self._cpu.load(loaded.context)
        return found

    @contextmanager
    def registers_of(self, thread: Thread) -> Iterator[None]:
        """The registers of a new thread are on the CPU, first as copies of the calling one's."""
        caller = self._loaded
        assert caller.context is not None and thread.context is not None
        self._cpu.save(caller.context)
        try:
            yield
        finally:
            self._cpu.save(thread.context)
            self._cpu.load(caller.context)

    def forget(self, thread: Thread) -> None:
        """A thread that was added cannot be started."""
        self._ready.remove(thread)
        self.remove(thread)

    def remove(self, thread: Thread) -> None:
        """A thread has ended; if it is the calling one, ThreadEnded has to be raised."""
        self._group.all.pop(thread.tid, None)
        self._group.counted()
        if thread.tid != self._process.identity.pid:
            self._group.free_numbers.append(thread.tid)
        self._drop(thread)
        for tell in self._group.on_end:
            tell(thread)

    def _drop(self, thread: Thread) -> None:
        context, thread.context = thread.context, None
        if context is not None:
            self._cpu.drop(context)

    def end_others(self) -> None:
        """All threads but the calling one end, and so does this scheduler (execve)."""
        caller = self._process.thread
        self.close()
        for thread in [thread for thread in self._group.all.values() if thread is not caller]:
            self.remove(thread)
        self._drop(caller)
        self._ready.clear()

    def _discard(self, worker: greenlet, thread: Thread) -> None:
        """Ends a call in its middle. Its cleanup code runs with that thread as the current one."""
        self._process.thread = self._process.signals.thread = thread
        worker.parent = getcurrent()
        worker.throw(GreenletExit)

    def close(self) -> None:
        """The run is over."""
        caller = self._process.thread
        for thread, worker in list(self._parked.items()):
            self._discard(worker, thread)
        self._parked.clear()
        self._process.thread = self._process.signals.thread = caller

    def after_fork(self) -> None:
        """In the child, which has only the calling thread. Calls of the others are not unwound: their cleanup code would change things of the
        parent too.
        """
        caller = self._process.thread
        self._group.lost += self._parked.values()
        self._parked.clear()
        self._waits.clear()
        self._ready.clear()
        self._ready.rename(caller)
        self._group.all = {caller.tid: caller}
        self._group.counted()

    # -- decisions, in the hub ----------------------------------------------------------------------------------------

    def _begin_slice(self) -> None:
        self._yields = False
        self._cpu.begin_slice(self._group.order.slice())

    def _give_way(self) -> None:
        """The thread on the CPU can go on, but it is another thread's turn."""
        self._ready.append(self._process.thread)
        self._run_another()

    def _run_another(self) -> None:
        """Puts the next thread on the CPU, and lets its system call go on if it is within one."""
        while True:
            thread = self._next()
            self._put_on_cpu(thread)
            worker = self._parked.pop(thread, None)
            if worker is None:
                return
            outcome: _Outcome | None = worker.switch()
            if outcome is None:  # it waits again
                self._parked[thread] = worker
                continue
            self._idle.append(worker)
            result, failure = outcome
            if failure is None:
                self._cpu.finish_call(result)
                return
            if isinstance(failure, ThreadEnded):
                continue
            if isinstance(failure, ContextReplaced):
                return
            raise failure

    def _put_on_cpu(self, thread: Thread) -> None:
        self.undecided = False
        self._begin_slice()
        process = self._process
        process.thread = process.signals.thread = thread
        if self._loaded is thread:
            return
        self.show(thread)
        if thread.sequences is not None:
            interrupt(process.cpu, process.memory, thread.sequences)
        for tell in self._group.on_switch:
            tell(thread)

    def _next(self) -> Thread:
        """The thread that runs now. Raises ProcessEnded if no thread can ever run."""
        ready, order = self._ready, self._group.order
        self._hub = getcurrent()
        self._process.clock.advance(STEP)
        self.undecided = True  # until a thread is on the CPU: this may be left by an exception
        while True:
            if self.signalled:
                self.take_over()
            self._collect()
            if self.only is not None and self.only.tid in self._group.all:
                if self.only in ready:
                    ready.remove(self.only)
                    return self.only
            elif ready:
                self._retry = idle.FIRST_RETRY
                return ready.take(order.choose(len(ready)))
            self._wait_idle()

    def _collect(self) -> None:
        """Ends the waits whose condition holds or whose deadline has passed."""
        clock, signals = self._process.clock, self._process.signals
        if clock.alarm_at is not None and clock.now >= clock.alarm_at:
            signals.timers.check()
        if self.signalled:
            self.signalled = False
            self._waits.end_by_signals()
        self._waits.end_by_themselves()

    def _wait_idle(self) -> None:
        """No thread can run."""
        self.take_over()
        waits = list(self._waits.polled.values())
        if idle.until_something_happens(self._process, self._waits.all, waits, self._retry):
            self.signalled = True
        if any(wait.retry for wait in waits):
            self._retry = min(2 * self._retry, idle.LAST_RETRY)


def run_threads(process: Process) -> ThreadScheduler:
    """The scheduler of a program, which is made when it is first asked for, with one thread. Raises GuestError(ENOSYS) without a machine."""
    group = process.threads
    if group.scheduler is None:
        if group.machine is None:
            raise GuestError(errno.ENOSYS)
        group.all = {process.thread.tid: process.thread}
        process.signals.share(group)
        group.scheduler = Scheduler(process, group.machine)
    return group.scheduler
