"""Guest: what a running program and a library loaded by itself have in common.

Breakpoints and replacements are traps in the machine (control.py), not patched bytes: nothing is written into the
guest. Removing one leaves the guest as it was, slots in read-only or shared memory are no special case, and a program
without any runs at full speed. A replaced slot leaves the CPU at each call, which costs little compared with running
a Python function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

from uselib.emulator.api import values
from uselib.emulator.api.control import LostCall, MachineControl
from uselib.emulator.api.errors import GuestExited, ProgramOver, SymbolError
from uselib.emulator.api.memory import GuestMemory, GuestRegisters, Where
from uselib.emulator.api.session import Session, StandardFiles
from uselib.emulator.api.symbols import Symbols
from uselib.emulator.machine.machine import VirtualMachine
from uselib.emulator.process.hooks import RunHooks
from uselib.emulator.process.host import Loader, load_program
from uselib.emulator.process.interfaces import ProcessEnded
from uselib.emulator.process.run_options import RunOptions
from uselib.emulator.trace.symbols import SymbolMap, SymbolOffset
from uselib.loader.memory.access import MemoryFault
from uselib.loader.memory.address_space import PROT_EXEC
from uselib.loader.memory.vma import Vma


@dataclass(frozen=True)
class Stop:
    """The guest stands at the first instruction of something. reason: `breakpoint` or `call` (through a slot).

    symbol: the function; library, slot: set at a slot, library in a shared object too (its file's name); caller: the return
    address, if this is a function's beginning.
    """

    reason: str
    address: int
    symbol: str
    library: str
    slot: int
    caller: int
    guest: Guest = field(repr=False, compare=False)

    def argument(self, number: int) -> int:
        """Argument word `number`, from 0; unsigned."""
        return values.argument(self.guest.machine, number)

    def string(self, number: int) -> bytes:
        """The C string that argument `number` points to. Raises MemoryFault."""
        return self.guest.memory.read_string(self.argument(number))


class Paused(BaseException):
    """Leaves the run loop at a stop that no callback has handled."""

    def __init__(self, stop: Stop) -> None:
        super().__init__()
        self.stop = stop


class Trap:
    """Something set at a place, which may not be mapped yet, in a program that may be replaced (execve). A context manager:
    removed at its end."""

    def __init__(self, guest: Guest, where: Where) -> None:
        self.where = where
        self.address: int | None = None
        self._guest = guest
        self._control: MachineControl | None = None

    @property
    def pending(self) -> bool:
        """Whether the place is not mapped yet."""
        return self._control is None

    def _bind(self, control: MachineControl) -> None:
        """Sets it, if its place is known. Called whenever something was mapped."""
        if self._control is control:
            return
        try:
            self.address = self._guest.address(self.where)
        except SymbolError:
            self._control = None
            return
        self._control = control
        self._set(control, self.address)

    def _set(self, control: MachineControl, address: int) -> None:
        raise NotImplementedError

    def _unset(self, control: MachineControl, address: int) -> None:
        raise NotImplementedError

    def remove(self) -> None:
        """Takes it away; nothing happens if that was done."""
        if self._control is not None and self.address is not None:
            self._unset(self._control, self.address)
        self._control = None
        self._guest._traps.discard(self)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


T = TypeVar("T", bound=Trap)


class Breakpoint(Trap):
    """hits: how often it was reached."""

    def __init__(self, guest: Guest, where: Where, callback: Callable[[Stop], Any] | None) -> None:
        super().__init__(guest, where)
        self.hits = 0
        self._callback = callback

    def _set(self, control: MachineControl, address: int) -> None:
        control.add(address, self._reached)

    def _unset(self, control: MachineControl, address: int) -> None:
        control.remove(address, self._reached)

    def _reached(self, address: int) -> None:
        self.hits += 1
        stop = self._guest._stop("breakpoint", address)
        if self._callback is not None:
            self._callback(stop)
        else:
            self._guest._pause(stop)


class Replacement(Trap):
    """A function that stands for another. calls: how often it was called."""

    def __init__(self, guest: Guest, where: Where, implementation: Callable[..., Any] | Where) -> None:
        super().__init__(guest, where)
        self.calls = 0
        self._implementation = implementation
        self._signature = values.Signature.of(implementation) if callable(implementation) else None

    def _set(self, control: MachineControl, address: int) -> None:
        control.redirect(address, self._reached)

    def _unset(self, control: MachineControl, address: int) -> None:
        control.restore(address)

    def _reached(self, _address: int) -> None:
        self.calls += 1
        guest = self._guest
        if self._signature is not None:
            guest._python_function(self._implementation, self._signature)  # type: ignore[arg-type]
        else:
            guest.registers["pc"] = guest.address(self._implementation)  # type: ignore[arg-type]

    def original(self, *arguments: object, result: str = "int") -> Any:
        """Calls what has been replaced; for use inside the replacement. See Guest.call."""
        if self.address is None:
            raise SymbolError(f"{self.where} is not mapped yet")
        return self._guest._call(self.address, arguments, result, original=True)

    def restore(self) -> None:
        """The same as `remove`."""
        self.remove()


class _MappingHook(RunHooks):
    """Tells a guest of its new mappings."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    def on_mapped(self, vma: Vma) -> None:
        self._guest._mapped(vma)


class Guest:
    """memory, registers: of the guest, while it is at rest. A context manager: `close` at its end. load, hooks: see Session."""

    def __init__(
        self,
        options: RunOptions,
        standard: StandardFiles,
        load: Loader = load_program,
        hooks: Sequence[RunHooks] = (),
    ) -> None:
        self._session = Session(options, standard, load, (*hooks, _MappingHook(self)))
        self._traps: set[Trap] = set()
        self._control: MachineControl | None = None
        self._callbacks: dict[Callable[..., Any], int] = {}
        self.memory = GuestMemory(lambda: self.machine, self.address)
        self.registers = GuestRegisters(lambda: self.machine)
        self._ended = False

    # -- life ----------------------------------------------------------------------------------------------------------

    @property
    def machine(self) -> VirtualMachine:
        """The machine itself, for what this interface does not offer. Raises ProgramOver after `close`."""
        if not self._session.open:
            raise ProgramOver("it has been closed")
        return self._session.runner.machine

    @property
    def bits(self) -> int:
        """32 or 64."""
        return self.machine.bits

    @property
    def stdout(self) -> bytes:
        """What the guest has written to its standard output so far, if that is captured."""
        return self._session.standard.written(1)

    @property
    def stderr(self) -> bytes:
        return self._session.standard.written(2)

    def close(self) -> None:
        """Ends the guest, wherever it is, and frees everything."""
        self._session.close()
        self._traps.clear()

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _attach(self) -> None:
        """There is a new machine."""
        machine = self.machine
        runner = self._session.runner
        self._control = MachineControl(machine, runner.kernel, runner.at_rest, self._bind_traps)
        self._symbols = Symbols(machine.space)
        self._places = SymbolMap(machine.space)
        self._callbacks = {}
        self._bind_traps()

    def _mapped(self, vma: Vma) -> None:
        """Symbols are read at the next moment of rest: this may be in the middle of a system call."""
        self._symbols.forget()
        is_code = bool(vma.prot & PROT_EXEC)  # of a shared object, whose first page comes before
        if vma.file is not None and (is_code or not vma.offset) and any(trap.pending for trap in self._traps):
            self.machine.interrupt()

    def _bind_traps(self) -> None:
        for trap in list(self._traps):
            trap._bind(self._running())

    def _running(self) -> MachineControl:
        if self._control is None or not self._session.open or self._ended:
            raise ProgramOver("it has ended" if self._ended else "it has been closed")
        return self._control

    # -- names ---------------------------------------------------------------------------------------------------------

    def address(self, where: Where) -> int:
        """The address of `NAME` or `LIBRARY:NAME` (`libc_s:strlen`, `libc.so.6:qsort`): a library's function is its slot, and `NAME$impl`
        the function behind it; the program's own names come first. Of an IFUNC it is the resolver. An address is itself. Raises
        SymbolError."""
        if isinstance(where, str):
            self.machine  # noqa: B018 (closed?)
            return self._symbols.address(where)
        return where

    def place(self, address: int) -> SymbolOffset | None:
        """What lies at an address: symbol, offset, file. None: nothing is mapped there."""
        self.machine  # noqa: B018
        return self._places.place(address)

    def _stop(self, reason: str, address: int) -> Stop:
        slot = self._symbols.slot(address)
        machine = self.machine
        try:
            caller = int.from_bytes(machine.space.read(machine.cpu.sp, machine.bits // 8), "little")
        except MemoryFault:
            caller = 0
        if slot is not None:
            return Stop(reason, address, slot[2], slot[0].name, slot[1], caller, self)
        place = self._places.place(address)
        symbol = "" if place is None else place.symbol + (f"+{place.offset:#x}" if place.offset else "")
        return Stop(reason, address, symbol, self._symbols.shared_object(address), 0, caller, self)

    # -- traps ---------------------------------------------------------------------------------------------------------

    def breakpoint(self, where: Where, callback: Callable[[Stop], Any] | None = None) -> Breakpoint:
        """Stops before the instruction at a place, each time: calls `callback` and goes on, or ends `resume`. A name that is
        not mapped yet waits for it. Calls of the library's own, which do not pass its slots, reach `NAME$impl` only."""
        return self._trap(Breakpoint(self, where, callback))

    def replace(self, where: Where, implementation: Callable[..., Any] | Where) -> Replacement:
        """Calls to a function go to another: a Python function, or a place in the guest (`libnew_s:strlen`).

        A Python function gets as many argument words (unsigned ints; doubles where a parameter is annotated `float`) as it
        has parameters, and returns an int, a float (`double`) or None. Raises ValueError if there is a replacement."""
        return self._trap(Replacement(self, where, implementation))

    def _trap(self, trap: T) -> T:
        control = self._running()
        trap._bind(control)
        self._traps.add(trap)
        return trap

    def _pause(self, stop: Stop) -> None:
        """A stop without a callback. Within a call from Python, and in a forked child, no `run` waits for it."""
        control = self._running()
        if not control.depth and not self._session.runner.process.forked:
            raise Paused(stop)

    def _python_function(self, function: Callable[..., Any], signature: values.Signature) -> None:
        machine = self.machine
        before = machine.cpu.general()
        result = function(*signature.arguments(machine))
        machine.cpu.set_general(before)
        values.return_from(machine, result)

    # -- calls ---------------------------------------------------------------------------------------------------------

    def callback(self, function: Callable[..., Any]) -> int:
        """A function pointer for C that leads to a Python function (see `replace` for what it gets and returns). It stays
        valid until the guest ends; one function has one address."""
        if function not in self._callbacks:
            signature = values.Signature.of(function)
            control = self._running()
            self._callbacks[function] = control.trampoline(lambda _: self._python_function(function, signature))
        return self._callbacks[function]

    def call(self, function: Where, *arguments: object, result: str = "int") -> Any:
        """Calls a function of the guest, which is at rest, and gives back its result.

        Arguments: int, float (`double`), bool, None (NULL), ctypes numbers for other sizes (`c_int64`, `c_float`); bytes and
        str are copied, with a NUL behind; bytearray, array, ctypes arrays and structures are copied in, and back afterwards;
        a Python function becomes a function pointer. result: `int`, `uint`, `long`, `ulong`, `pointer`, `int64`, ...,
        `double`, `float`, `string` (bytes, or None for NULL), `void`.

        Raises GuestFault, GuestExited, SymbolError, TypeError, ValueError. The registers are afterwards as before."""
        return self._call(self.address(function), arguments, result)

    def _call(
        self, address: int, arguments: tuple[object, ...], result: str, *, original: bool = False, keep: bool = False
    ) -> Any:
        """keep: a BaseException leaves the registers as they are then."""
        if result not in values.RESULTS:
            raise ValueError(f"result `{result}` is not one of {', '.join(values.RESULTS)}")
        control, machine = self._running(), self.machine
        before: list[int] | None = machine.cpu.general()
        try:
            frame = values.arrange(machine, arguments, self.callback)
            values.load_floats(machine, frame.floats)
            try:
                after = control.run_function(address, frame.values, original=original)
                found = values.result_of(machine, after, result)
            finally:
                if self._session.open:
                    values.give_back(machine, frame)
        except ProcessEnded as end:
            if self._session.runner.process.forked:
                self._session.runner.finish(end)  # does not come back
            raise (self._session.fault(end) if end.signal else GuestExited(end)) from None
        except LostCall as lost:
            raise RuntimeError(str(lost)) from None
        except BaseException:
            before = None if keep else before
            raise
        finally:
            if self._session.open and before is not None:
                machine.cpu.set_general(before)
        return found
