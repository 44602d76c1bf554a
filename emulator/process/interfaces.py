"""The protocols by which machine, kernel and tracer use each other. They use nothing else of each other.

The machine runs guest code and stops at three kinds of event: a system call, a CPU exception, an interruption from the
host (a signal, a limit). The kernel answers; the tracer watches (hooks.py). None of them imports another's modules for types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from uselib.linker.quick_dataclass import dataclass
from uselib.linker.quick_typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from uselib.linker.image import Image
    from uselib.loader.memory.address_space import AddressSpace
    from uselib.loader.programs.exec import Started


class ProcessEnded(Exception):
    """The guest process is over (exit_group, or a fatal signal). Raised by the kernel out of the run loop.

    code: exit status 0..255; signal: number of the signal that killed it, or 0; fault: the CPU exception behind it;
    reason: what else the user should know ("the limit of 10 s is used up"); sent: another process of the guest has sent the signal.
    """

    def __init__(
        self, code: int = 0, signal: int = 0, fault: Fault | None = None, reason: str = "", *, sent: bool = False
    ) -> None:
        super().__init__(f"signal {signal}" if signal else f"exit {code}")
        self.code = code
        self.signal = signal
        self.fault = fault
        self.reason = reason
        self.sent = sent


@dataclass(frozen=True)
class ThreadWait:
    """A thread that waits for ever. futex: the address of the word; ends: the thread whose end it waits for, or 0; owner: the thread that
    has the lock, or 0; pc, sp: its registers."""

    thread: int
    futex: int
    ends: int
    owner: int
    pc: int
    sp: int


class Deadlock(ProcessEnded):
    """All threads of the process wait for each other (kernel/threads/deadlock.py)."""

    def __init__(self, signal: int, reason: str, waits: Sequence[ThreadWait]) -> None:
        super().__init__(signal=signal, reason=reason)
        self.waits = waits


class ProgramReplaced(Exception):
    """execve has succeeded: the run goes on with a new machine over `space`."""

    def __init__(self, space: AddressSpace, image: Image, started: Started) -> None:
        super().__init__("execve")
        self.space = space
        self.image = image
        self.started = started


class ContextReplaced(Exception):
    """A system call set all registers itself (sigreturn): it has no result to store."""


@dataclass(frozen=True)
class Fault:
    """A CPU exception, in the kernel's terms (sigaction(2), siginfo_t).

    signal, code: SIGSEGV/SEGV_MAPERR, ...; address: si_addr; access: "read", "write" or "execute" for memory faults;
    trap: x86 vector (14 page fault, 0 divide error, ...); error: the page-fault error code that a signal frame shows;
    note: what a user wants to know beyond that ("stack overflow").
    """

    signal: int
    code: int
    address: int
    access: str = ""
    trap: int = 14
    error: int = 0
    note: str = ""


class CpuState(Protocol):
    """The registers, as the kernel sees them. All values are unsigned; 32-bit registers leave the upper half clear."""

    bits: int

    @property
    def code_bits(self) -> int:
        """How instructions are executed: 32 in the 32-bit code segment of a 64-bit program."""

    @property
    def pc(self) -> int: ...
    @property
    def sp(self) -> int: ...

    def general(self) -> list[int]:
        """In the order of registers.GENERAL_64 / GENERAL_32 (16 or 8 registers), then program counter and flags."""

    def set_general(self, values: list[int]) -> None: ...

    def float_state(self) -> bytes:
        """512 bytes in FXSAVE's layout."""

    def set_float_state(self, state: bytes) -> None: ...

    def allow_time_stamps(self, allowed: bool) -> None:
        """Whether RDTSC is the program's, or a general protection fault."""

    def set_fs_base(self, address: int) -> None: ...

    def fs_base(self) -> int: ...

    def set_gs_base(self, address: int) -> None: ...

    def gs_base(self) -> int: ...

    def set_descriptor(self, entry: int, descriptor: int) -> None:
        """32-bit mode: writes GDT entry `entry` (an 8-byte x86 segment descriptor)."""

    def descriptor_base(self, selector: int) -> int:
        """32-bit mode: base address of the segment that a selector names; 0 if there is none."""

    def cpuid(self, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
        """EAX, EBX, ECX, EDX as the CPUID instruction gives them."""

    def segments(self) -> dict[str, int]:
        """Selectors by name: cs ds es fs gs ss."""

    def set_segments(self, selectors: dict[str, int]) -> None:
        """Data segments of 32-bit mode, `cs` and `ss` of 64-bit mode. Raises MemoryFault: a program may not have these."""

    def reset(self, pc: int, sp: int) -> None:
        """Registers as execve leaves them: all zero but program counter and stack pointer; FPU as Linux starts it."""


class AnswerTable(Protocol):
    """Where the kernel says which system calls native code answers by itself (machine/native_calls.py). Addresses are the host's."""

    def connect(self, names: Mapping[int, str], elapsed: int, files: int, waiters: int) -> None:
        """Once. names: of the calls by number; elapsed: address of the clock (int64, ns); files: of 1,024 uint64, a word for each descriptor
        (Description.native); waiters: of 1,024 uint16, how many threads wait for futexes whose addresses are alike (threads/futex.py)."""

    def allow(
        self, patient: bool, wakeup: int, many: bool, writable: bool, pid: int, tid: int, wall: int, sleeps: bool
    ) -> None:
        """Calls may be answered until `refuse`. patient: a wait ends when the descriptor `wakeup` is ready (-1: there is none); many: there are
        several threads, so nothing may wait; writable: there is no limit on the size of files; wall: ns by which the date is ahead of the clock,
        -1 if the clock is the host's, -2 if the kernel has to see the next reading of the date; sleeps: a yield lets others run."""

    def refuse(self) -> None:
        """All calls come to the kernel."""

    def show_state(self, address: int) -> None:
        """Where the letter is that tells the guest's other processes what this one does (proc(5))."""


class Kernel(Protocol):
    """What the machine calls."""

    def offer(self, calls: AnswerTable) -> None:
        """Before each run of the CPU: says what native code may answer until the next stop."""

    def system_call(self, number: int, arguments: list[int]) -> int:
        """Carries out one call (arguments: six unsigned words); returns the result, errors as -errno.

        Raises ProcessEnded, ContextReplaced.
        """

    def exception(self, fault: Fault) -> None:
        """Delivers a CPU exception as a signal: enters the guest's handler or raises ProcessEnded."""

    def deliver_pending(self) -> None:
        """Enters the handler of a pending, unblocked signal, if there is one. Raises ProcessEnded."""

    def legacy_system_call(self, number: int, arguments: list[int]) -> int:
        """`int 0x80` in a 64-bit program: a call of i386, with six unsigned words of 32 bits. As `system_call`."""

    @property
    def signal_pending(self) -> bool:
        """Whether `deliver_pending` has anything to do."""


class ThreadSwitching(Protocol):
    """What the machine asks when the program has several threads (kernel/threads/scheduler.py)."""

    def system_call(self, call: Callable[[int, list[int]], int], number: int, arguments: list[int]) -> int:
        """Carries out a call (Kernel.system_call, Kernel.legacy_system_call) of the thread that runs.
        Raises what Kernel.system_call raises; ContextReplaced: the registers are those of
        another thread now."""

    def begin(self) -> None:
        """The run loop is entered: the registers are to be those of a thread that can run."""

    def settle(self) -> None:
        """The CPU has stopped: native code may have put another thread on it."""

    def take_over(self) -> bool:
        """The run loop is left: no thread is native code's affair any more."""

    def slice_over(self) -> bool:
        """The CPU has stopped: if the time slice is used up, the registers are those of the thread whose turn it is now."""


class TurnQueue(Protocol):
    """The contexts of threads that can run, in the order in which they wait for it (machine/turns.py). Native code takes turns as well."""

    def append(self, context: int, python: bool) -> None:
        """python: only the kernel can go on with it, because it is in the middle of a handler."""

    def take(self, position: int) -> int:
        """Takes one out; 0: the one that has waited longest."""

    def remove(self, context: int) -> None: ...
    def clear(self) -> None:
        """Nobody can run, and nobody sleeps by native code's doing."""

    def rename(self, context: int, tid: int) -> None:
        """The thread has another number now."""

    def __contains__(self, context: object) -> bool: ...
    def __len__(self) -> int: ...

    def note_sequence(self, context: int, address: int) -> None:
        """Where the word is that is not 0 in a restartable sequence of the thread; 0: it has none."""

    def allow(self, blocks: int, deadline: int) -> None:
        """Native code may take turns until the CPU stops. blocks: of a slice; deadline: ns of the clock from which it may not."""

    def refuse(self) -> None:
        """The kernel takes all turns."""

    def waits(self) -> list[tuple[int, list[int]]]:
        """Futex calls in which native code has put threads to sleep, since this was asked last: context; number and arguments."""


class ThreadProcessor(Protocol):
    """What the scheduler asks of the machine: registers of threads that do not run, turns, time slices (machine/thread_contexts.py). load
    makes a context the current one."""

    @property
    def turns(self) -> TurnQueue: ...
    @property
    def current(self) -> int: ...
    def settle(self) -> None:
        """Native code has made another context the current one."""

    def new(self, tid: int) -> int:
        """Raises OSError(EAGAIN)."""

    def save(self, context: int) -> None: ...
    def load(self, context: int) -> None: ...
    def drop(self, context: int) -> None: ...
    def finish_call(self, result: int) -> None: ...
    def begin_slice(self, blocks: int) -> None: ...

    @property
    def slice_over(self) -> bool: ...


class ThreadMachine(Protocol):
    """A machine that can run several threads."""

    def contexts(self) -> ThreadProcessor:
        """Made when the program starts its second thread."""

    def serve(self, threads: ThreadSwitching) -> None:
        """From the second thread on: `threads` carries out system calls and chooses the thread that runs. Once a machine: the next
        execve ends the other threads, and makes a new machine."""


class WatchableMachine(Protocol):
    """What an observer may ask of a machine."""

    bits: int

    @property
    def cpu(self) -> CpuState: ...

    def watch_blocks(self, begin: int, end: int, callback: Callable[[int], None]) -> int:
        """Calls `callback(address)` for each basic block entered in [begin, end), or everywhere if that is empty; returns a
        handle."""

    def watch_blocks_native(self, begin: int, end: int, function: int, data: int) -> int:
        """Likewise with a C function, void f(uc_engine *, uint64_t address, uint32_t size, void *data)."""

    def watch_filtered(self, function: int, data: int, filter_at: int, bits: int) -> int:
        """Likewise, everywhere, for blocks whose address a Bloom filter holds (2 ** bits bits); others may come too."""

    @property
    def drop_control(self) -> int:
        """For a native callback: uc_ctl's control word for dropping translations."""

    def watch_pages(self, pages: Sequence[int], read: int, write: int, data: int) -> None:
        """Reads and writes of these pages become calls of C functions: u64 read(uc_engine *, u64 offset, unsigned size, void *data),
        void write(uc_engine *, u64 offset, unsigned size, u64 value, void *data); offsets count from the first page."""

    def register_file(self) -> int:
        """Address of the general registers in the order of their encoding, 64 bits each, for a native callback; 0: unknown."""

    def native_function(self, name: str) -> int:
        """Address of a function of the CPU's C library, for a native callback."""

    def unwatch(self, handle: int) -> None: ...
