"""VirtualMachine: Unicorn, memory and registers put together, and the run loop.

The loop runs guest code until a hook stops it, then handles what it stopped for outside of Unicorn: a system call, a CPU
exception, a page that changes over between writable and executable, or an interruption from the host. All of the
kernel's work is done with the CPU at rest, so that handlers may fork, replace the program, or raise.
"""

from __future__ import annotations

import enum
from _thread import RLock
from collections.abc import Callable, Sequence

from uselib.emulator.machine import registers as r
from uselib.emulator.machine import stops
from uselib.emulator.machine.cpu import GDT_ADDRESS, TLS_ENTRIES, Cpu
from uselib.emulator.machine.engine import (
    BLOCK_CALLBACK,
    ERR_INSN_INVALID,
    ERR_OK,
    HOOK_BLOCK,
    HOOK_INSN,
    HOOK_INTR,
    INSN_CALLBACK,
    INSN_SYSCALL,
    INTR_CALLBACK,
    MEM_FETCH,
    Engine,
    RegisterSet,
)
from uselib.emulator.machine.native_calls import CALL, SIGNAL, NativeCalls, attach
from uselib.emulator.machine.pages import PageTable
from uselib.emulator.machine.register_file import locate
from uselib.emulator.process import faults
from uselib.emulator.process.interfaces import ContextReplaced, Kernel, ProcessEnded, ThreadSwitching
from uselib.linker.quick_typing import TYPE_CHECKING
from uselib.loader.memory.address_space import PAGE, AddressSpace, MemoryFault, page_down

if TYPE_CHECKING:
    from uselib.emulator.machine.counter import InstructionCounter
    from uselib.emulator.machine.thread_contexts import ThreadContexts
    from uselib.emulator.machine.x87 import X87
    from uselib.loader.memory.vma import Vma

VECTOR_SYSTEM_CALL = 0x80
SIGKILL = 9
DEVICES = 0x5000_0000_0000  # physical address of watched pages: no guest has memory there


def _nothing_mapped(vma: Vma) -> None:
    """Nobody asks for new mappings."""


def _not_interrupted() -> None:
    """Nobody interrupts."""


class _Event(enum.Enum):
    NONE = 0
    SYSCALL = 1  # the `syscall` instruction
    VECTOR = 2  # an interrupt or exception vector
    CALL = 3  # a system call that native code has noted
    SIGNAL = 4  # a signal of the host's has arrived while native code answered a call


_NATIVE_EVENTS = {CALL: _Event.CALL, SIGNAL: _Event.SIGNAL}


def _x87_of(engine: Engine, bits: int) -> X87 | None:
    """The host's x87 where the core is Unicorn's own (core.py), if the host has one."""
    if engine.core is not None:
        return None
    from uselib.emulator.machine import x87

    return x87.X87(engine, bits) if x87.available() else None


class VirtualMachine:
    """One CPU over one address space. on_mapped: called for each new mapping."""

    def __init__(self, space: AddressSpace, on_mapped: Callable[[Vma], None] = _nothing_mapped) -> None:
        self.bits = space.layout.bits
        self.space = space
        self.engine = Engine(self.bits)
        self.engine.use_virtual_tlb()
        self.engine.use_core()
        self.engine.check_blocks_only()
        kernel_pages = frozenset({GDT_ADDRESS}) if self.bits == 32 else frozenset()
        self._x87 = _x87_of(self.engine, self.bits)
        self.pages = PageTable(self.engine, space, kernel_pages, self._x87, on_mapped)
        space.set_listener(self.pages)
        if self.bits == 32:
            space.windows[0].map_anonymous(GDT_ADDRESS, 0x1000, shared=False)
            self.engine.until = GDT_ADDRESS + 0xFFF  # programs of 1993 begin at 0
        self.cpu = Cpu(self.engine, self.bits, self._write_gdt, self._gdt_at())
        self._event = _Event.NONE
        self._vector = 0
        self._interrupted = False
        self._closing = RLock()  # held while another thread, or a signal handler, uses the engine
        self._stops_begun = self._stops_done = 0  # by other threads
        self._counter: InstructionCounter | None = None
        self.shares_memory = False  # there are other guest processes, which may change code in shared memory
        self._threads: ThreadSwitching | None = None  # as soon as the program has started a second thread
        self.calls = attach(self.engine, self.bits, self.cpu.user_mode)
        self.pages.on_shared_code = self._code_is_shared
        self.engine.hook(HOOK_INTR, INTR_CALLBACK(self._on_vector))
        if self.bits == 64 and self.calls is None:
            self.engine.hook(HOOK_INSN, INSN_CALLBACK(self._on_syscall), instruction=INSN_SYSCALL)
        self._call_registers = RegisterSet(self.engine, r.SYSTEM_CALL[self.bits])
        self._result_registers = RegisterSet(self.engine, (r.EAX,) if self.bits == 32 else (r.RAX, r.RCX, r.R11))
        self._legacy_registers: tuple[RegisterSet, RegisterSet] | None = None
        self._mask = (1 << self.bits) - 1
        self._until = self.engine.until

    def _gdt_at(self) -> int | None:
        """32-bit mode: host address of the descriptor table."""
        return GDT_ADDRESS + self.space.windows[0].delta if self.bits == 32 else None

    def _write_gdt(self, offset: int, data: bytes) -> None:
        self.space.windows[0].write(GDT_ADDRESS + offset, data)

    def close(self) -> None:
        """Frees the CPU. The address space stays."""
        with self._closing:
            self.engine.close()
            self.pages.close()

    def after_fork(self) -> None:
        """In the child of a host fork: another thread of the parent may have been within `interrupt`, and it is not here
        to let the lock go or to finish its stop."""
        self._closing = RLock()
        self._stops_done = self._stops_begun

    # -- hooks: note the event and stop -------------------------------------------------------------------------------

    def _on_syscall(self, _uc: int, _data: int) -> int:
        self._event = _Event.SYSCALL
        self.engine.stop()
        return 0

    def _on_vector(self, _uc: int, vector: int, _data: int) -> None:
        self._event = _Event.VECTOR
        self._vector = vector
        self.engine.stop()

    def _code_is_shared(self) -> None:
        """What native code answers is not followed by a look at code that others have changed."""
        if self.calls is not None and self.shares_memory:
            self.calls.refuse()

    def interrupt(self) -> None:
        """Makes `run` call its `on_interrupt` soon. May be called from another thread and from signal handlers. A stop that
        comes between two runs of the CPU is lost, so the caller repeats it until `interrupted` is False."""
        with self._closing:
            self._interrupted = True
            if self.engine.handle is not None:
                self._stops_begun += 1
                self.engine.stop()
                self._stops_done += 1

    @property
    def interrupted(self) -> bool:
        return self._interrupted

    def watch_blocks(self, begin: int, end: int, callback: Callable[[int], None]) -> int:
        """Calls `callback(address)` for each basic block entered in [begin, end), or everywhere if that is empty. Returns a
        handle for `unwatch`."""
        native = BLOCK_CALLBACK(lambda _uc, address, _size, _data: callback(address))
        handle = self.engine.hook(HOOK_BLOCK, native, begin, end - 1)
        self.engine.flush_translations()  # blocks translated earlier have no call to the hook
        return handle

    def watch_blocks_native(self, begin: int, end: int, function: int, data: int) -> int:
        """Like `watch_blocks`, with the address of a C function: void f(uc_engine *, uint64_t address, uint32_t size, data)."""
        handle = self.engine.hook(HOOK_BLOCK, function, begin, end - 1, data=data)
        self.engine.flush_translations()
        return handle

    def watch_filtered(self, function: int, data: int, filter_at: int, bits: int) -> int:
        """Like `watch_blocks_native` everywhere, for blocks only whose address a Bloom filter holds (Engine.choose_blocks); others may come
        too. Addresses can be added to the filter: then `drop_control` takes away what has been translated there."""
        handle = self.watch_blocks_native(1, 1, function, data)
        self.engine.choose_blocks(handle, function, data, filter_at, bits)
        self.engine.flush_translations()
        return handle

    @property
    def drop_control(self) -> int:
        """uc_ctl's control word for dropping translations, for native code: two addresses follow it."""
        return self.engine.drop_control

    def watch_pages(self, pages: Sequence[int], read: int, write: int, data: int) -> None:
        """Reads and writes of these pages become calls of C functions, which make them (Engine.map_device); offsets count from
        the first page, as if all lay one behind the other. Once a machine."""
        if pages:
            self.engine.map_device(DEVICES, len(pages) * PAGE, read, write, data)
            self.pages.move_elsewhere({page: DEVICES + n * PAGE for n, page in enumerate(pages)})

    def native_function(self, name: str) -> int:
        """Address of a function of Unicorn's C interface, for a native callback."""
        return self.engine.function(name)

    def register_file(self) -> int:
        """Address of the general registers for a native callback, or 0 (register_file.py)."""
        return locate(self.engine, self.bits)

    def unwatch(self, handle: int) -> None:
        self.engine.unhook(handle)

    def set_counter(self, counter: InstructionCounter) -> None:
        """Counts instructions from now on (the limit on them)."""
        self._counter = counter
        counter.attach(self.engine)
        self.engine.counting = True
        self.engine.flush_translations()

    def contexts(self) -> ThreadContexts:
        """For a program with several threads."""
        from uselib.emulator.machine.thread_contexts import ThreadContexts

        table = self._gdt_at()
        contexts = ThreadContexts(self.engine, self.cpu, table + 8 * TLS_ENTRIES[0] if table is not None else 0)
        if self.calls is not None:
            self.calls.share_turns(contexts.turns.address)
        return contexts

    def serve(self, threads: ThreadSwitching) -> None:
        """See interfaces.ThreadMachine."""
        assert self._threads is None, "the machine has a scheduler"
        self._threads = threads

    # -- run loop -----------------------------------------------------------------------------------------------------

    def run(self, kernel: Kernel, on_interrupt: Callable[[], None] = _not_interrupted) -> None:
        """Runs until the kernel raises ProcessEnded. on_interrupt: called with the CPU at rest after `interrupt`."""
        if self._threads is not None:
            self._threads.begin()
        try:
            self._loop(kernel, on_interrupt)
        finally:
            if self._threads is not None:
                self._threads.take_over()

    def _loop(self, kernel: Kernel, on_interrupt: Callable[[], None]) -> None:
        engine, calls = self.engine, self.calls
        pc = self.cpu.pc
        while True:
            if calls is not None:
                calls.heed()
            if self._interrupted or kernel.signal_pending:
                self._interrupted = False
                on_interrupt()
                kernel.deliver_pending()
                pc = self.cpu.pc
            self._event = _Event.NONE
            self.pages.refused = None
            if calls is not None:
                self._offer(kernel, calls)
            stops = self._stops_done
            status = engine.start(pc)
            if self._threads is not None:
                self._threads.settle()
            if calls is not None and calls.event:
                self._event = _NATIVE_EVENTS[calls.event]
            if engine.until != self._until and self._reached(status):
                pc = self.cpu.pc
                continue
            event = self._event if status == ERR_OK else _Event.NONE
            if event is _Event.CALL and calls is not None:
                pc = self._native_call(kernel, calls)
            elif event is _Event.SYSCALL or (event is _Event.VECTOR and self._vector == VECTOR_SYSTEM_CALL):
                pc = self._hooked_call(kernel)
            else:
                self._stopped(kernel, status, event, self._stops_begun != stops)
                pc = self.cpu.pc

    def _offer(self, kernel: Kernel, calls: NativeCalls) -> None:
        kernel.offer(calls)
        if self.shares_memory and self.pages.shares_code:
            calls.refuse()

    def _native_call(self, kernel: Kernel, calls: NativeCalls) -> int:
        """A call that native code has left to the kernel. Returns the program counter."""
        number, *arguments, pc, flags = calls.frame()
        try:
            result = self._carry_out(kernel.system_call, number, arguments)
        except ContextReplaced:
            return self.cpu.pc
        calls.finish(result, pc, flags)
        return pc

    def _hooked_call(self, kernel: Kernel) -> int:
        """Likewise one that hooks have seen."""
        number, *arguments, pc, flags = self._call_registers.load()
        try:
            if self._event is _Event.VECTOR and self.bits == 64:
                return self._legacy_call(kernel)
            result = self._carry_out(kernel.system_call, number & 0xFFFF_FFFF, arguments)
        except ContextReplaced:
            return self.cpu.pc
        if self.bits == 32:
            self._result_registers.store((result & 0xFFFF_FFFF,))
        else:
            self._result_registers.store((result & self._mask, pc, flags))
        return pc

    def _legacy_call(self, kernel: Kernel) -> int:
        """`int 0x80` of a 64-bit program: a call of i386, whose arguments are the lower halves of registers. Raises ContextReplaced."""
        if self._legacy_registers is None:
            registers = (r.RAX, r.RBX, r.RCX, r.RDX, r.RSI, r.RDI, r.RBP)
            self._legacy_registers = RegisterSet(self.engine, registers), RegisterSet(self.engine, (r.RAX,))
        asked, answered = self._legacy_registers
        number, *arguments = (value & 0xFFFF_FFFF for value in asked.load())
        result = self._carry_out(kernel.legacy_system_call, number, arguments)
        answered.store((result & self._mask,))
        return self.cpu.pc

    def _carry_out(self, call: Callable[[int, list[int]], int], number: int, arguments: list[int]) -> int:
        """Raises ContextReplaced."""
        threads = self._threads
        result = threads.system_call(call, number, arguments) if threads else call(number, arguments)
        if self.shares_memory:
            self.pages.check_shared_code()
        return result

    # -- exceptions ---------------------------------------------------------------------------------------------------

    def _stopped(self, kernel: Kernel, status: int, event: _Event, from_outside: bool) -> None:
        """The CPU has stopped, and not for a system call. from_outside: another thread has stopped it."""
        if self._x87 is not None:
            self._x87.settle(self.cpu.pc)
        if event is _Event.VECTOR and self._vector == faults.VECTOR_PAGE:
            self._host_fault(kernel)
        elif event is _Event.VECTOR:
            kernel.exception(stops.fault_of_vector(self._vector, self.space, self.cpu, self.engine))
        elif status == ERR_OK:
            if self._counter is not None and self._counter.exhausted:
                raise ProcessEnded(
                    signal=SIGKILL,
                    reason=f"the limit of {self._counter.limit} instructions is used up (--max-instructions)",
                )
            if from_outside or event is _Event.SIGNAL or self._interrupted:
                return  # a time slice may be over too; then the next run ends at once. `interrupt` may have come behind the run
            if self._threads is not None and self._threads.slice_over():
                return  # another thread runs now
            kernel.exception(stops.fault_without_error(self.space, self.cpu))
        else:
            self._failure(kernel, status)

    def _failure(self, kernel: Kernel, status: int) -> None:
        if status == ERR_INSN_INVALID:
            kernel.exception(faults.illegal_instruction(self.cpu.pc))
            return
        refused = self.pages.refused
        pc = self.cpu.pc
        if refused is None:
            kernel.exception(faults.general_protection())
            return
        page, access = refused
        if page > self._mask:  # Unicorn counts on where addresses of i386 wrap
            if access == MEM_FETCH:
                self.cpu.set_general(self.cpu.general())
                return
            kernel.exception(faults.page_fault(self.space, self.cpu, page & self._mask, access))
            return
        if self.pages.resolve(*refused, pc) or self._stop_before(*refused, pc):
            return
        pending = faults.pending_float(self.space, self.cpu) if access != MEM_FETCH else None
        fault = faults.page_fault(
            self.space, self.cpu, page, access, self.engine.looked_up, beyond_file=self.pages.beyond_file
        )
        kernel.exception(pending or fault)

    def _stop_before(self, page: int, access: int, pc: int) -> bool:
        """Code that runs on into a page that cannot be executed: Unicorn refuses the whole block. Has the next run stop before the
        instruction that does, so that all before it takes place. False if it is that instruction already."""
        if access != MEM_FETCH or not pc < page <= pc + PAGE:
            return False
        try:
            last = faults.reaching(self.space, self.cpu.code_bits, pc, page)
        except MemoryFault:
            return False
        self.engine.until = last if last > pc else self._until
        return last > pc

    def _reached(self, status: int) -> bool:
        """After a run to the place that _stop_before set: whether it has got there."""
        target, self.engine.until = self.engine.until, self._until
        return status == ERR_OK and self._event is _Event.NONE and self.cpu.pc == target

    def _host_fault(self, kernel: Kernel) -> None:
        """The host's memory was not there (native/core/host_faults.c)."""
        address, access = self.engine.host_fault()
        address = self.pages.virtual(address)
        if not self._stop_before(page_down(address), access, self.cpu.pc):
            kernel.exception(faults.of_host(self.space, self.cpu, address, access))
