"""MachineControl: stops of one machine at chosen addresses, steps, redirection and nested calls. The base of API and gdb stub.

A stop is a Unicorn code hook over exactly the addresses asked for, so a program without stops runs at full speed and the
guest's memory is never patched (a program that reads or checksums its code sees its own bytes). The hook only notes the
address and interrupts the machine; everything else is done by the run loop, with the CPU at rest, through
`on_interrupt` of `VirtualMachine.run`. A handler may there change registers (a slot's replacement sets the program counter), run guest code
itself (`call`), or leave the run loop by an exception; `resume` goes on where it left.

Invariant: `_skips` hook calls at `_skip_address` are not stops: they belong to the instruction that we start at.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from uselib.emulator.machine.engine import BLOCK_CALLBACK, HOOK_CODE
from uselib.emulator.machine.machine import VirtualMachine
from uselib.emulator.machine.registers import INDEX
from uselib.emulator.process.interfaces import Kernel
from uselib.loader.memory.address_space import PAGE, PROT_EXEC, PROT_READ, page_down

Handler = Callable[[int], None]  # gets the address of the stop

_SLOT = 16  # bytes between trampolines
_RETURN_POPS = (
    16  # words: a function that pops its own arguments returns with the stack pointer this much higher at most
)


class _Stepped(BaseException):
    """An instruction has been carried out."""


class _Returned(BaseException):
    """A nested call has come back to its trampoline. sp: the stack pointer then."""

    def __init__(self, sp: int) -> None:
        super().__init__()
        self.sp = sp


class LostCall(Exception):
    """A function called from Python was left by another way than its return (longjmp)."""


class MachineControl:
    """One machine's stops. kernel, at_rest: what the machine is run with (Runner). on_pause: called when the machine was interrupted for
    another reason than a stop."""

    def __init__(
        self,
        machine: VirtualMachine,
        kernel: Kernel,
        at_rest: Callable[[], None],
        on_pause: Callable[[], None],
    ) -> None:
        self.machine = machine
        self._kernel = kernel
        self._runner_at_rest = at_rest
        self._on_pause = on_pause
        self.depth = 0  # nested calls
        self._handlers: dict[int, list[Handler]] = {}
        self._redirects: dict[int, Handler] = {}  # at most one for an address, after its handlers
        self._hooks: dict[int, int] = {}
        self._ranges: dict[int, tuple[int, int, Handler]] = {}  # hook -> first, end, handler
        self._queue: deque[Handler] = deque()  # handlers of the present stop that have not run
        self._queue_at = 0
        self._hit: int | None = None
        self._skip_address = 0
        self._skips = 0
        self._stepping = False
        self._step_hook: int | None = None
        self._callbacks = BLOCK_CALLBACK(self._reached), BLOCK_CALLBACK(self._stepped)
        self._reached_at, self._stepped_at = (ctypes.cast(c, ctypes.c_void_p).value or 0 for c in self._callbacks)
        index = INDEX[machine.bits]
        self.pc_index = index["rip" if machine.bits == 64 else "eip"]
        self.sp_index = index["rsp" if machine.bits == 64 else "esp"]
        self.word = machine.bits // 8
        self._trampolines: dict[int, Handler] = {}
        self._next_trampoline = self._trampoline_end = 0
        self._return_at = 0

    # -- stops ---------------------------------------------------------------------------------------------------------

    def add(self, address: int, handler: Handler) -> None:
        """Calls `handler` before the instruction at `address` is carried out, in the order of adding."""
        self._handlers.setdefault(address, []).append(handler)
        self._hook(address)

    def remove(self, address: int, handler: Handler) -> None:
        handlers = self._handlers.get(address, [])
        with suppress(ValueError):
            handlers.remove(handler)
        if not handlers:
            self._handlers.pop(address, None)
        self._unhook(address)

    def redirect(self, address: int, handler: Handler) -> None:
        """Like `add`, for the one handler that takes the program elsewhere. Raises ValueError if there is one."""
        if address in self._redirects:
            raise ValueError(f"{address:#x} is replaced already")
        self._redirects[address] = handler
        self._hook(address)

    def restore(self, address: int) -> None:
        self._redirects.pop(address, None)
        self._unhook(address)

    def add_range(self, begin: int, end: int, handler: Handler) -> int:
        """Calls `handler(address)` before each instruction in [begin, end). Returns a handle for `remove_range`."""
        engine = self.machine.engine
        hook = engine.hook(HOOK_CODE, self._reached_at, begin, end - 1)
        engine.flush_translations()  # code translated earlier does not call the hook
        self._ranges[hook] = begin, end, handler
        return hook

    def remove_range(self, handle: int) -> None:
        if self._ranges.pop(handle, None) is not None and self.machine.engine.handle is not None:
            self.machine.engine.unhook(handle)
            self.machine.engine.flush_translations()

    def _hook(self, address: int) -> None:
        if address not in self._hooks:
            engine = self.machine.engine
            self._hooks[address] = engine.hook(HOOK_CODE, self._reached_at, address, address)
            engine.flush_translations()

    def _unhook(self, address: int) -> None:
        if address in self._handlers or address in self._redirects or self.machine.engine.handle is None:
            return
        hook = self._hooks.pop(address, None)
        if hook is not None:
            self.machine.engine.unhook(hook)
            self.machine.engine.flush_translations()

    def _hooks_at(self, address: int) -> int:
        return (address in self._hooks) + sum(begin <= address < end for begin, end, _ in self._ranges.values())

    def _handlers_at(self, address: int) -> list[Handler]:
        found = [handler for begin, end, handler in self._ranges.values() if begin <= address < end]
        found += self._handlers.get(address, ())
        if address in self._redirects:
            found.append(self._redirects[address])
        return found

    # -- hooks: note and stop ------------------------------------------------------------------------------------------

    def _reached(self, _uc: int, address: int, _size: int, _data: int) -> None:
        if self._stepping:
            return  # _stepped decides
        if self._skips:
            if address == self._skip_address:
                self._skips -= 1
                return
            self._skips = 0
        self._hit = address
        self.machine.interrupt()

    def _stepped(self, _uc: int, address: int, _size: int, _data: int) -> None:
        if self._skips:
            self._skips = 0
            if address == self._skip_address:
                return
        self._hit = address
        self.machine.interrupt()

    # -- the run loop's side -------------------------------------------------------------------------------------------

    def _at_rest(self) -> None:
        hit, self._hit = self._hit, None
        self._runner_at_rest()
        if hit is None:
            self._on_pause()
            return
        if self._stepping:
            raise _Stepped
        self._queue = deque(self._handlers_at(hit))
        self._queue_at = hit
        self._run_queue()

    def _run_queue(self) -> None:
        at = self._queue_at
        while self._queue and self.machine.cpu.pc == at:
            self._queue.popleft()(at)
        self._queue.clear()
        self._skip(at if self.machine.cpu.pc == at else None)

    def _skip(self, address: int | None) -> None:
        self._skip_address = address or 0
        self._skips = 0 if address is None else self._hooks_at(address)

    def _run(self) -> None:
        self.machine.run(self._kernel, self._at_rest)

    def resume(self) -> None:
        """Runs on from where the machine is, until an exception leaves the run loop: ProcessEnded, ProgramReplaced, or a
        handler's own."""
        self.stop_stepping()
        if self._queue and self.machine.cpu.pc == self._queue_at:
            self._run_queue()
        else:
            self._skip(self.machine.cpu.pc)
        self._run()

    def step(self) -> None:
        """Carries out one instruction (of a system call or fault: all that comes of it, such as entering a handler), without
        looking at stops. Raises ProcessEnded, ProgramReplaced."""
        queue, self._queue = self._queue, deque()
        if queue and self.machine.cpu.pc == self._queue_at:  # what the stop still has to do
            self._queue = queue
            before = self.machine.cpu.pc
            self._run_queue()
            if self.machine.cpu.pc != before:
                return
        stepping, self._stepping = self._stepping, True
        if self._step_hook is None:
            self._step_hook = self.machine.engine.hook(HOOK_CODE, self._stepped_at)
            self.machine.engine.flush_translations()
        self._skip_address, self._skips = self.machine.cpu.pc, 1
        try:
            self._run()
        except _Stepped:
            pass
        finally:
            self._stepping = stepping
            self._skips = 0

    def stop_stepping(self) -> None:
        """Stepping keeps its hook over all code until the program runs again, so that many steps cost one translation."""
        if self._step_hook is not None:
            self.machine.engine.unhook(self._step_hook)
            self._step_hook = None
            self.machine.engine.flush_translations()

    # -- trampolines: addresses that belong to Python ------------------------------------------------------------------

    def trampoline(self, handler: Handler) -> int:
        """A fresh guest address: `handler` is called when it is jumped to, and must take the program elsewhere."""
        if self._next_trampoline == self._trampoline_end:
            self._add_trampoline_page()
        address = self._next_trampoline
        self._next_trampoline += _SLOT
        self._trampolines[address] = handler
        return address

    def _add_trampoline_page(self) -> None:
        """A page above where the kernel puts mappings, so that the guest's own addresses stay the same."""
        space = self.machine.space
        start = self._trampoline_end or space.layout.mmap_base
        while not space.is_free(start, start + PAGE):
            start += PAGE
        space.map(start, PAGE, PROT_READ | PROT_EXEC, placement="noreplace", name="[trampolines]")
        space.poke(start, b"\xf4" * PAGE)  # f4 hlt: never reached
        self._next_trampoline, self._trampoline_end = start, start + PAGE
        self.add_range(start, start + PAGE, self._on_trampoline)

    def _on_trampoline(self, address: int) -> None:
        handler = self._trampolines.get(address)
        if handler is not None:
            handler(address)

    # -- nested calls --------------------------------------------------------------------------------------------------

    def run_function(self, address: int, values: list[int], *, original: bool = False) -> list[int]:
        """Runs a guest function with the registers `values` (its stack pointer there points at room for the return address,
        which is filled in); returns the registers at its return. Raises ProcessEnded, LostCall. The caller restores the
        registers that it had. original: stops and replacement at `address` do not count for this call."""
        if not self._return_at:
            self._return_at = self.trampoline(self._on_return)
        machine = self.machine
        values = list(values)
        sp = values[self.sp_index]
        machine.space.write(sp, self._return_at.to_bytes(self.word, "little"))
        values[self.pc_index] = address
        machine.cpu.set_general(values)
        with self._nested():
            if original:
                self._skip(address)
            try:
                self._run()
            except _Returned as returned:
                if not sp < returned.sp <= sp + _RETURN_POPS * self.word:
                    raise LostCall("another call from Python returned first (longjmp over a call)") from None
                return machine.cpu.general()
        raise AssertionError("the run loop ended")

    @contextmanager
    def _nested(self) -> Iterator[None]:
        stepping, queue, at = self._stepping, self._queue, self._queue_at
        self.stop_stepping()
        self._stepping, self._queue = False, deque()
        self._skip(None)
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1
            self._stepping, self._queue, self._queue_at = stepping, queue, at

    def _on_return(self, _address: int) -> None:
        raise _Returned(self.machine.cpu.sp)

    # -- write watch ---------------------------------------------------------------------------------------------------

    def withhold(self, begin: int, end: int) -> None:
        """From now on writes to these pages are refused; `Kernel.exception` is called for them."""
        pages = self.machine.pages
        pages.withhold(pages.withheld.union(range(page_down(begin), end, PAGE)))

    def grant(self) -> None:
        """Ends `withhold`, for all pages."""
        self.machine.pages.withhold(())
