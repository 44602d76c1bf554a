"""One library, ready to be called again and again from the same state (saved_state.py).

The arguments lie at the same addresses in every library that is probed, so a call's outcome depends on its arguments alone. A call that does
things the saved state does not undo (opens files, sets signal handlers, ...) costs a fresh start of the library (20 ms).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from uselib.abi.dynamic.probe.argument_layout import ARENA, ARENA_SIZE, PreparedArguments
from uselib.abi.dynamic.probe.saved_state import SavedState
from uselib.abi.dynamic.probe.spec import Refused
from uselib.emulator.api.control import LostCall
from uselib.emulator.api.errors import SymbolError
from uselib.emulator.api.library import Library
from uselib.emulator.api.values import from_extended
from uselib.emulator.kernel import table
from uselib.emulator.kernel.process import Talk
from uselib.emulator.kernel.table import Undo
from uselib.emulator.machine.counter import InstructionCounter
from uselib.emulator.machine.registers import INDEX
from uselib.emulator.process.hooks import RunHooks
from uselib.emulator.process.interfaces import Kernel, ProcessEnded, WatchableMachine
from uselib.emulator.process.kernel_tap import KernelTap
from uselib.emulator.trace.prototypes.conventions import Where, result_parts
from uselib.emulator.trace.prototypes.type_views import Prototype, VoidView
from uselib.linker.formats.elf_image import read_image
from uselib.linker.image import ExportKind, Image, Machine
from uselib.linker.reading import read_file
from uselib.loader.memory.access import MemoryCeiling, MemoryFault
from uselib.loader.memory.address_space import AddressSpace

_XMM = 160  # in FXSAVE's image
_ST = 32
_STACK_ROOM = 256  # bytes above the stack pointer that stay untouched
_REGISTERS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
_LARGEST_DATUM = 1 << 16
_LARGEST_OUTPUT = 1 << 20  # bytes that are compared
_MEMORY = 256 << 20  # bytes that the guest may map


@dataclass(frozen=True)
class CallOutcome:
    """What a call did. end: `returned`, `exit`, `signal`, `limit`, `lost`; detail: status or number. result: its bytes, as the type
    lies in memory. memory: the arena's bytes. data: exported data that changed, name -> bytes."""

    end: str
    detail: int = 0
    result: bytes = b""
    memory: bytes = b""
    errno: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    data: dict[str, bytes] = field(default_factory=dict)
    report: str = ""


class _Loaded(RunHooks):
    """A library that has been started. dirty: something that a call did and the saved state does not undo; empty: nothing."""

    def __init__(self, path: str, library_path: Sequence[str], max_instructions: int, standard: Sequence[int]) -> None:
        self.dirty = ""
        self._started = False  # system calls of its start-up are allowed
        self.guest = library = Library(path, library_path=library_path, max_memory=_MEMORY, hooks=(self,))
        space = library.machine.space
        self.counter = InstructionCounter(max_instructions)
        library.machine.set_counter(self.counter)
        if space.find(ARENA) is None:
            space.map(ARENA, ARENA_SIZE, 3, placement="noreplace", name="[arguments]")
        self.control: Any = library._running()
        if not self.control._return_at:  # mapped now, so that it does not count as something that a call has mapped
            self.control._return_at = self.control.trampoline(self.control._on_return)
        self._started = True
        self.errno = self._errno_address()
        self.flush = self._address("fflush")
        self.process = library._session.runner.process
        self.process.talk = _Silent()
        for own, common in zip(library._session.standard.fds, standard, strict=True):
            os.dup2(common, own, inheritable=False)

    def on_exec(self, machine: WatchableMachine, space: AddressSpace, process: int, program: str) -> None:
        self._rows = table.for_machine(Machine.I386 if machine.bits == 32 else Machine.X86_64)

    def wrap_kernel(self, kernel: Kernel) -> Kernel:
        return KernelTap(kernel, system_call=self._system_call)

    def _system_call(self, kernel: Kernel, number: int, arguments: list[int]) -> int:
        row = self._rows.get(number)  # without a row: ENOSYS, and nothing to undo
        if row is not None and self._started:
            if row.undo is Undo.NEVER:
                raise _Forbidden(row.name)
            if row.undo is Undo.FRESH:
                self.dirty = row.name
        return kernel.system_call(number, arguments)

    def _address(self, name: str) -> int:
        try:
            return self.guest.address(name)
        except SymbolError:
            return 0

    def _errno_address(self) -> int:
        """Where errno is: musl and glibc have one for each thread; the small C library has a variable."""
        if self._address("__errno_location"):
            return int(self.guest.call("__errno_location", result="pointer"))
        return self._address("errno")


class ProbedLibrary:
    """One version of the library, which can be called again and again from the same state. A context manager.

    restarts: how often it was started afresh. exported_data: name, address and size of the exported variables that it may write.
    """

    def __init__(
        self, path: str, standard: Sequence[int], library_path: Sequence[str] = (), max_instructions: int = 1_000_000
    ) -> None:
        """standard: descriptors of three empty files for standard input, output and error, the same for all libraries. Raises
        ToolError."""
        self._fds = tuple(standard)
        self.path = path
        self.image = read_image(read_file(path), path)
        self._library_path = tuple(library_path)
        self.limit = max_instructions
        self.restarts = self.calls = 0
        self._used = 0  # bytes of the arena that may not be zero
        self._loaded = self._load()
        self.bits = self._loaded.guest.bits
        self.machine = _machine_of(self._loaded.guest)
        self.exported_data = _exported_data(self.image, self._loaded.guest)
        self._state = self._save()

    def __enter__(self) -> ProbedLibrary:
        return self

    def __exit__(self, *_: object) -> None:
        self._loaded.guest.close()

    def _load(self) -> _Loaded:
        return _Loaded(self.path, self._library_path, self.limit, self._fds)

    def _save(self) -> SavedState:
        return SavedState(self._loaded.guest, self._loaded.process, self.exported_data, (ARENA, ARENA + ARENA_SIZE))

    def _restore(self) -> None:
        if not self._loaded.dirty and self._state.restore(self._used):
            self._used = 0
            return
        self._loaded.guest.close()
        self.restarts += 1
        self._used = 0
        self._loaded = self._load()
        self._state = self._save()

    # -- calls -----------------------------------------------------------------------------------------------------

    def initial(self, name: str) -> bytes:
        """The bytes of an exported variable before a call."""
        return self._state.data[name]

    def call(self, address: int, prototype: Prototype, ready: PreparedArguments, fresh: bool = True) -> CallOutcome:
        """Calls a function with prepared arguments, from the saved state, or without `fresh` from the state after the last call. Raises
        Refused if it cannot be called at all.
        """
        if fresh:
            self._restore()
        self.calls += 1
        machine = self._loaded.guest.machine
        space = machine.space
        space.poke(ready.base, ready.memory)
        self._used = max(self._used, ready.base - ARENA + len(ready.memory))
        values = list(self._state.registers)
        index = INDEX[self.bits]
        word = self.bits // 8
        if self.bits == 64:
            for name, number in zip(_REGISTERS, ready.words, strict=False):
                values[index[name]] = number
            values[index["rax"]] = len(ready.vectors)
            self._load_vectors(ready.vectors)
        sp = (values[7] - _STACK_ROOM - len(ready.stack)) & -16
        if ready.stack:
            space.write(sp, ready.stack)
        values[7] = sp - word
        if self._loaded.errno:
            space.poke(self._loaded.errno, bytes(4))
        for fd in self._fds:  # standard input is empty, output begins empty
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
        self._loaded.counter._cells[0] = 0
        try:
            after = self._loaded.control.run_function(address, values)
        except ProcessEnded as end:
            return self._ended(end)
        except LostCall:
            self._loaded.dirty = "longjmp"
            return CallOutcome("lost", report="does not end by its return")
        except _Forbidden as call:
            self._loaded.dirty = call.name
            raise Refused(f"it calls {call.name}") from None
        except (MemoryCeiling, MemoryFault) as failure:
            self._loaded.dirty = "memory"
            return CallOutcome("signal", 9, report=str(failure))
        return self._returned(prototype, ready, after)

    def _load_vectors(self, vectors: Sequence[bytes]) -> None:
        if vectors:
            state = bytearray(self._state.float_state)
            for number, data in enumerate(vectors):
                state[_XMM + 16 * number : _XMM + 16 * number + 16] = data.ljust(16, b"\0")
            self._loaded.guest.machine.cpu.set_float_state(bytes(state))

    def _ended(self, end: ProcessEnded) -> CallOutcome:
        session = self._loaded.guest._session
        out = self._output()
        if self._loaded.counter.exhausted:
            return CallOutcome("limit", stdout=out[0], stderr=out[1])
        if end.signal:
            return CallOutcome("signal", end.signal, stdout=out[0], stderr=out[1], report=session.describe(end))
        return CallOutcome("exit", end.code, stdout=out[0], stderr=out[1])

    def _returned(self, prototype: Prototype, ready: PreparedArguments, after: list[int]) -> CallOutcome:
        space = self._loaded.guest.machine.space
        try:
            space.check(ready.base, len(ready.memory), "read")
        except MemoryFault:
            self._loaded.dirty = "munmap"
            return CallOutcome("lost", report="unmaps the memory of its arguments")
        result = self._result(prototype, ready, after)
        errno = int.from_bytes(space.read(self._loaded.errno, 4), "little") if self._loaded.errno else None
        memory = space.read(ready.base, len(ready.memory))
        data = {}
        for name, address, size in self.exported_data:
            now = space.read(address, size)
            if now != self._state.data[name]:
                data[name] = now
        if self._loaded.flush and self._state.memory_changed():
            self._flush_output()
        out = self._output()
        return CallOutcome("returned", 0, result, memory, errno, out[0], out[1], data)

    def _flush_output(self) -> None:
        values = list(self._state.registers)
        values[7] = ((values[7] - _STACK_ROOM) & -16) - self.bits // 8
        if self.bits == 64:
            values[INDEX[64]["rdi"]] = 0
        else:
            self._loaded.guest.machine.space.write(values[7] + 4, bytes(4))
        self._loaded.counter._cells[0] = 0
        try:
            self._loaded.control.run_function(self._loaded.flush, values)
        except (ProcessEnded, LostCall, _Forbidden):
            self._loaded.dirty = "fflush"

    def _output(self) -> tuple[bytes, bytes]:
        return os.pread(self._fds[1], _LARGEST_OUTPUT, 0), os.pread(self._fds[2], _LARGEST_OUTPUT, 0)

    def _result(self, prototype: Prototype, ready: PreparedArguments, after: list[int]) -> bytes:
        type_, index = prototype.result, INDEX[self.bits]
        if isinstance(type_, VoidView):
            return b""
        if ready.result_at:
            return self._loaded.guest.machine.space.read(ready.result_at, type_.size)
        words = [after[index[name]] for name in (("eax", "edx") if self.bits == 32 else ("rax", "rdx"))]
        out = bytearray()
        state = b""
        for part in result_parts(type_, self.machine):
            if part.where is Where.WORD:
                out += words[part.index].to_bytes(self.bits // 8, "little")[: part.size]
                continue
            state = state or self._loaded.guest.machine.cpu.float_state()
            if part.where is Where.VECTOR:
                out += state[_XMM + 16 * part.index : _XMM + 16 * part.index + part.size]
            else:
                out += _x87(state[_ST + 16 * part.index : _ST + 16 * part.index + 10], part.size)
        return bytes(out)

    # -- what addresses point to ---------------------------------------------------------------------------------------

    def pointer_target(self, address: int) -> tuple[str, ...]:
        """The target of a pointer in terms that two versions share: an argument's memory, an exported name, the library, the heap."""
        if ARENA <= address < ARENA + ARENA_SIZE:
            return ("argument", hex(address))
        space = self._loaded.guest.machine.space
        for name, start, size in self.exported_data:
            if start <= address < start + max(size, 1):
                return ("data", name, hex(address - start))
        vma = space.find(address)
        if vma is None:
            return ("number", hex(address))
        if vma.name in ("[heap]", "[stack]"):
            return (vma.name,)
        header = self.image.library
        if header is not None and header.identity.base <= address < header.identity.end:
            return ("library",)
        return (os.path.basename(vma.name) or "memory",)

    def string(self, address: int) -> bytes | None:
        """The string at an address, if there is one."""
        try:
            return self._loaded.guest.machine.space.read_string(address, 4096)
        except (MemoryFault, OSError):
            return None

    def read(self, address: int, size: int) -> bytes | None:
        """Memory of the guest, if it is mapped."""
        try:
            return self._loaded.guest.machine.space.read(address, size)
        except MemoryFault:
            return None


class _Silent(Talk):
    """Drops the messages that `uselib run` would print on stderr; a probe's report has no place for them."""

    def once(self, message: str) -> None:
        pass


class _Forbidden(BaseException):
    """A system call that would act on other processes."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def _x87(data: bytes, size: int) -> bytes:
    """st0 as a float or double, as the caller stores it; 80 bits as they are."""
    if size > 8:
        return data.ljust(size, b"\0")
    value = from_extended(data)
    try:
        return struct.pack("<d" if size == 8 else "<f", value)
    except OverflowError:
        return struct.pack("<f", float("inf") if value > 0 else float("-inf"))


def _machine_of(library: Library) -> Machine:
    return Machine.I386 if library.bits == 32 else Machine.X86_64


def _exported_data(image: Image, library: Library) -> list[tuple[str, int, int]]:
    """Name, address and size of the library's exported variables that it may write."""
    found = []
    for export in image.exports:
        if export.kind is ExportKind.DATA and 0 < export.size <= _LARGEST_DATUM:
            vma = library.machine.space.find(export.address)
            if vma is not None and vma.prot & 2:
                found.append((export.name, export.address, export.size))
    return found
