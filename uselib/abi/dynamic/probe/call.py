"""One library, ready to be called again and again from the same state.

After its initialisers have run, all memory that the guest may write is copied. Before each call that copy goes back (some 200 KB:
20 us), registers, floating-point state, clock, random bytes and heap are as they were then, and the arguments lie at the same
addresses in every library that is probed. So a call's outcome depends on its arguments alone. A call that does more than memory
can undo (opens files, sets signal handlers, ...) costs a fresh start of the library (20 ms).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from uselib.abi.dynamic.probe.strategies import Refused
from uselib.abi.dynamic.probe.values import Arena, Region, Value, encode
from uselib.emulator.api.control import LostCall
from uselib.emulator.api.errors import SymbolError
from uselib.emulator.api.library import Library
from uselib.emulator.api.values import from_extended
from uselib.emulator.kernel import table
from uselib.emulator.kernel.process import Talk
from uselib.emulator.kernel.table import Undo
from uselib.emulator.machine.counter import InstructionCounter
from uselib.emulator.machine.registers import INDEX
from uselib.emulator.process.interfaces import ProcessEnded
from uselib.emulator.trace.prototypes.conventions import Arguments, Part, Where, in_memory, result_parts
from uselib.linker.c_types.value_types import Floating, Prototype, Type, Void
from uselib.linker.image import ExportKind, Machine
from uselib.loader.memory.access import MemoryCeiling, MemoryFault

ARENA = 0x2000_0000  # where arguments lie: between heap and libraries on both machines
ARENA_SIZE = 1 << 20
BETWEEN = 1 << 16  # bytes from the arguments of one call of a sequence to those of the next
_XMM = 160  # in FXSAVE's image
_ST = 32
_STACK_ROOM = 256  # bytes above the stack pointer that stay untouched
_REGISTERS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
_LARGEST_DATUM = 1 << 16
_LARGEST_OUTPUT = 1 << 20  # bytes that are compared
_MEMORY = 256 << 20  # bytes that the guest may map


@dataclass(frozen=True)
class Outcome:
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


@dataclass(frozen=True)
class Prepared:
    """Arguments in their places. words, vectors: registers; stack: bytes from the first argument on; memory: of the arena."""

    words: tuple[int, ...]
    vectors: tuple[bytes, ...]
    stack: bytes
    memory: bytes
    regions: tuple[Region, ...]
    result_at: int = 0  # where a result in memory goes
    base: int = ARENA  # where the memory lies


def prepare(prototype: Prototype, values: Sequence[Value], machine: Machine, base: int = ARENA) -> Prepared:
    """Puts values into registers, stack and arena by the calling convention."""
    arena = Arena(base, machine.word)
    words: dict[int, int] = {}
    vectors: dict[int, bytes] = {}
    stack = bytearray()
    i386 = machine is Machine.I386
    arguments = Arguments(machine, prototype.result)
    result_at = 0

    def store(parts: Sequence[Part], data: bytes) -> None:
        position = 0
        for part in parts:
            piece = data[position : position + part.size]
            position += part.size
            if part.where is Where.VECTOR:
                vectors[part.index] = piece
            elif part.where is Where.WORD and not i386:
                words[part.index] = int.from_bytes(piece, "little")
            else:
                at = part.index * 4 if part.where is Where.WORD else part.index
                stack.extend(bytes(max(at + part.size - len(stack), 0)))
                stack[at : at + part.size] = piece

    if in_memory(prototype.result, machine):
        result_at = arena.add("result", prototype.result, 1, bytes(prototype.result.size))
        store((Part(Where.WORD, 0, machine.word),), result_at.to_bytes(machine.word, "little"))
    for number, (parameter, value) in enumerate(zip(prototype.parameters, values, strict=True)):
        data = encode(parameter.type, value, arena, parameter.name or f"argument{number + 1}")
        store(arguments.next(parameter.type), _widened(parameter.type, data, machine))
    if base + len(arena.data) > ARENA + ARENA_SIZE:
        raise Refused("its arguments are too large")
    ordered = [words.get(n, 0) for n in range(max(words, default=-1) + 1)]
    floats = [vectors.get(n, b"") for n in range(max(vectors, default=-1) + 1)]
    return Prepared(
        tuple(ordered), tuple(floats), bytes(stack), bytes(arena.data), tuple(arena.regions), result_at, base
    )


def _widened(type_: Type, data: bytes, machine: Machine) -> bytes:
    """Compilers extend small integers to 32 bits at the call, and some callees rely on it."""
    if type_.size >= 4 or not data or isinstance(type_, Floating):
        return data
    signed = bool(getattr(type_, "signed", False))
    if not hasattr(type_, "signed"):
        return data
    return int.from_bytes(data, "little", signed=signed).to_bytes(4, "little", signed=signed)


class Subject:
    """One version of the library. A context manager."""

    def __init__(
        self, path: str, standard: Sequence[int], library_path: Sequence[str] = (), max_instructions: int = 1_000_000
    ) -> None:
        """standard: descriptors of three empty files for standard input, output and error, the same for all subjects. Raises
        ToolError."""
        self._fds = tuple(standard)
        self.path = path
        self._library_path = tuple(library_path)
        self.limit = max_instructions
        self.restarts = self.calls = 0
        self._open()

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *_: object) -> None:
        self.library.close()

    # -- state -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self.library = library = Library(self.path, library_path=self._library_path, max_memory=_MEMORY)
        machine, space = library.machine, library.machine.space
        self.bits = library.bits
        self.machine = Machine.I386 if library.bits == 32 else Machine.X86_64
        self._counter = InstructionCounter(self.limit)
        machine.set_counter(self._counter)
        if space.find(ARENA) is None:
            space.map(ARENA, ARENA_SIZE, 3, placement="noreplace", name="[arguments]")
        self._control: Any = library._running()
        if not self._control._return_at:  # mapped now, lest it count as something that a call has mapped
            self._control._return_at = self._control.trampoline(self._control._on_return)
        self._dirty = ""
        self._watch_system_calls()
        self._errno = self._errno_address()
        self._flush = self._address("fflush")
        process = library._session.runner.process
        process.talk = _Silent()
        self._clock, self._random = process.clock, process.random
        for own, common in zip(library._session.standard.fds, self._fds, strict=True):
            os.dup2(common, own, inheritable=False)
        self._used = 0  # bytes of the arena that may not be zero
        self._save()

    def _watch_system_calls(self) -> None:
        kernel: Any = self.library.machine.kernel
        rows, inner = table.for_machine(self.machine), kernel.system_call

        def system_call(number: int, arguments: Sequence[int]) -> int:
            row = rows.get(number)  # without a row: ENOSYS, and nothing to undo
            if row is not None and row.undo is Undo.NEVER:
                raise _Forbidden(row.name)
            if row is not None and row.undo is Undo.FRESH:
                self._dirty = row.name
            return int(inner(number, arguments))

        kernel.system_call = system_call

    def _address(self, name: str) -> int:
        try:
            return self.library.address(name)
        except SymbolError:
            return 0

    def _errno_address(self) -> int:
        """musl's and glibc's errno is a thread's own; ours a variable."""
        if self._address("__errno_location"):
            return int(self.library.call("__errno_location", result="pointer"))
        return self._address("errno")

    def _save(self) -> None:
        machine, space = self.library.machine, self.library.machine.space
        self._general = machine.cpu.general()
        self._float = machine.cpu.float_state()
        self._brk = space.brk
        self._vmas = [(vma.start, vma.end, vma.prot) for vma in space]
        writable = [v for v in space if v.prot & 2 and not v.prot & 4 and not v.shared and v.start != ARENA]
        self._pages = [(v.start, space.read(v.start, v.size)) for v in writable]
        self._static = [(start, page) for start, page in self._pages if not self._is_stack(start)]
        self._time = self._clock.elapsed
        self._seed = (self._random.seed, self._random.state, self._random.rest)
        self._data = {name: space.read(address, size) for name, address, size in self.exported_data}

    def _is_stack(self, address: int) -> bool:
        vma = self.library.machine.space.find(address)
        return vma is not None and vma.grows_down

    @cached_property
    def exported_data(self) -> list[tuple[str, int, int]]:
        """Name, address and size of the library's exported variables that it may write."""
        found = []
        for export in self.image.exports:
            if export.kind is ExportKind.DATA and 0 < export.size <= _LARGEST_DATUM:
                vma = self.library.machine.space.find(export.address)
                if vma is not None and vma.prot & 2:
                    found.append((export.name, export.address, export.size))
        return found

    @cached_property
    def image(self) -> Any:
        from uselib.linker.formats.elf_image import read_image
        from uselib.linker.reading import read_file

        return read_image(read_file(self.path), self.path)

    def _restore(self) -> None:
        if self._dirty:
            self.library.close()
            self.restarts += 1
            self._open()
            return
        space = self.library.machine.space
        if [(vma.start, vma.end, vma.prot) for vma in space] != self._vmas and not self._unmap_new():
            self._dirty = "mappings"
            self._restore()
            return
        for start, page in self._pages:
            space.poke(start, page)
        if self._used:
            space.poke(ARENA, bytes(self._used))
            self._used = 0
        self._clock.elapsed = self._time
        self._random.seed, self._random.state, self._random.rest = self._seed
        self.library.machine.cpu.set_float_state(self._float)

    def _unmap_new(self) -> bool:
        """Takes away what a call has mapped. False: it has also changed what was there."""
        space = self.library.machine.space
        space.set_brk(self._brk)
        for vma in list(space):
            at = vma.start
            for start, end, _ in [
                *(v for v in self._vmas if v[1] > vma.start and v[0] < vma.end),
                (vma.end, vma.end, 0),
            ]:
                if start > at:
                    space.unmap(at, start - at)
                at = max(at, end)
        return [(vma.start, vma.end, vma.prot) for vma in space] == self._vmas

    # -- calls -----------------------------------------------------------------------------------------------------

    def initial(self, name: str) -> bytes:
        """What an exported variable holds before a call."""
        return self._data[name]

    def call(self, address: int, prototype: Prototype, ready: Prepared, fresh: bool = True) -> Outcome:
        """Calls a function with prepared arguments, from the saved state, or if it is not `fresh` from the one that the last call has
        left. Raises Refused if it cannot be called at all."""
        if fresh:
            self._restore()
        self.calls += 1
        machine = self.library.machine
        space = machine.space
        space.poke(ready.base, ready.memory)
        self._used = max(self._used, ready.base - ARENA + len(ready.memory))
        values = list(self._general)
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
        if self._errno:
            space.poke(self._errno, bytes(4))
        for fd in self._fds:  # standard input is empty, output begins anew
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
        self._counter._cells[0] = 0
        try:
            after = self._control.run_function(address, values)
        except ProcessEnded as end:
            return self._ended(end)
        except LostCall:
            self._dirty = "longjmp"
            return Outcome("lost", report="is left by another way than its return")
        except _Forbidden as call:
            self._dirty = call.name
            raise Refused(f"it calls {call.name}") from None
        except (MemoryCeiling, MemoryFault) as failure:
            self._dirty = "memory"
            return Outcome("signal", 9, report=str(failure))
        return self._returned(prototype, ready, after)

    def _load_vectors(self, vectors: Sequence[bytes]) -> None:
        if vectors:
            state = bytearray(self._float)
            for number, data in enumerate(vectors):
                state[_XMM + 16 * number : _XMM + 16 * number + 16] = data.ljust(16, b"\0")
            self.library.machine.cpu.set_float_state(bytes(state))

    def _ended(self, end: ProcessEnded) -> Outcome:
        session = self.library._session
        out = self._output()
        if self._counter.exhausted:
            return Outcome("limit", stdout=out[0], stderr=out[1])
        if end.signal:
            return Outcome("signal", end.signal, stdout=out[0], stderr=out[1], report=session.describe(end))
        return Outcome("exit", end.code, stdout=out[0], stderr=out[1])

    def _returned(self, prototype: Prototype, ready: Prepared, after: list[int]) -> Outcome:
        space = self.library.machine.space
        try:
            space.check(ready.base, len(ready.memory), "read")
        except MemoryFault:
            self._dirty = "munmap"
            return Outcome("lost", report="takes the memory of its arguments away")
        result = self._result(prototype, ready, after)
        errno = int.from_bytes(space.read(self._errno, 4), "little") if self._errno else None
        memory = space.read(ready.base, len(ready.memory))
        data = {}
        for name, address, size in self.exported_data:
            now = space.read(address, size)
            if now != self._data[name]:
                data[name] = now
        if self._flush and any(space.read(start, len(page)) != page for start, page in self._static):
            self._flush_output()
        out = self._output()
        return Outcome("returned", 0, result, memory, errno, out[0], out[1], data)

    def _flush_output(self) -> None:
        values = list(self._general)
        values[7] = ((values[7] - _STACK_ROOM) & -16) - self.bits // 8
        if self.bits == 64:
            values[INDEX[64]["rdi"]] = 0
        else:
            self.library.machine.space.write(values[7] + 4, bytes(4))
        self._counter._cells[0] = 0
        try:
            self._control.run_function(self._flush, values)
        except (ProcessEnded, LostCall, _Forbidden):
            self._dirty = "fflush"

    def _output(self) -> tuple[bytes, bytes]:
        return os.pread(self._fds[1], _LARGEST_OUTPUT, 0), os.pread(self._fds[2], _LARGEST_OUTPUT, 0)

    def _result(self, prototype: Prototype, ready: Prepared, after: list[int]) -> bytes:
        type_, index = prototype.result, INDEX[self.bits]
        if isinstance(type_, Void):
            return b""
        if ready.result_at:
            return self.library.machine.space.read(ready.result_at, type_.size)
        words = [after[index[name]] for name in (("eax", "edx") if self.bits == 32 else ("rax", "rdx"))]
        out = bytearray()
        state = b""
        for part in result_parts(type_, self.machine):
            if part.where is Where.WORD:
                out += words[part.index].to_bytes(self.bits // 8, "little")[: part.size]
                continue
            state = state or self.library.machine.cpu.float_state()
            if part.where is Where.VECTOR:
                out += state[_XMM + 16 * part.index : _XMM + 16 * part.index + part.size]
            else:
                out += _x87(state[_ST + 16 * part.index : _ST + 16 * part.index + 10], part.size)
        return bytes(out)

    # -- what addresses mean ---------------------------------------------------------------------------------------

    def meaning(self, address: int) -> tuple[str, ...]:
        """What a pointer is in terms that two versions share: an argument's memory, an exported name, the library, the heap."""
        if ARENA <= address < ARENA + ARENA_SIZE:
            return ("argument", hex(address))
        space = self.library.machine.space
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
            return self.library.machine.space.read_string(address, 4096)
        except (MemoryFault, OSError):
            return None

    def read(self, address: int, size: int) -> bytes | None:
        """Memory, if it is there."""
        try:
            return self.library.machine.space.read(address, size)
        except MemoryFault:
            return None


class _Silent(Talk):
    """What `uselib run` would say on stderr is no part of a probe's report."""

    def once(self, message: str) -> None:
        pass


class _Forbidden(BaseException):
    """A system call that would leave this process."""

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
