"""Library: a target library loaded by itself, whose functions Python calls.

The library and what it depends on are mapped into a fresh address space, and where one of them is a C library its own
start-up runs (`__libc_start_main`: thread pointer, stdio, environment), as for a program, with an address of ours as `main`:
when that is reached, initialisers run in dependency order, and the library is ready. There is no program file; the stack is
that of a program without arguments.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from uselib.emulator.api.control import Handler
from uselib.emulator.api.errors import GuestExited, SymbolError
from uselib.emulator.api.guest import Guest
from uselib.emulator.api.session import StandardFiles
from uselib.emulator.kernel.process import Process
from uselib.emulator.process.hooks import RunHooks
from uselib.emulator.process.interfaces import ProgramReplaced
from uselib.emulator.process.run_options import RunOptions
from uselib.linker.errors import error
from uselib.linker.image import Image, LibraryHeader, Segment, Version
from uselib.loader.memory.address_space import PAGE, AddressSpace
from uselib.loader.programs.exec import StartInfo, build_stack
from uselib.loader.programs.headers import library_header
from uselib.loader.programs.segments import map_segment, prot_of

_HEAP = 0x1000_0000  # where brk begins: below the libraries' region on both machines
_START = "__libc_start_main"


class _MainReached(BaseException):
    """The C library's start-up has called `main`."""


def _header(path: str) -> LibraryHeader:
    """Raises ToolError."""
    try:
        with open(path, "rb") as file:
            found = library_header(file.read(PAGE), path)
    except OSError as failure:
        raise error(path, failure.strerror or str(failure)) from None
    if found is None:
        raise error(path, "is not a target library", remedy="give a file such as DIR/shlib/libc_s.1.2.3")
    return found


def _find(name: str, folders: Sequence[str], wanted_by: str) -> str:
    """The file of a dependency: the version it was linked with, or else the newest compatible one. Raises ToolError."""
    stem, _, text = name.rpartition("/")[2].partition(".")
    try:
        version = Version.parse(text)
    except ValueError:
        raise error(wanted_by, f"depends on `{name}`, which is not the name of a library") from None
    for folder in folders:
        exact = os.path.join(folder, f"{stem}.{version}")
        if os.path.exists(exact):
            return exact
        found = []
        for entry in os.listdir(folder) if os.path.isdir(folder) else ():
            start, _, rest = entry.partition(".")
            try:
                other = Version.parse(rest)
            except ValueError:
                continue
            if start == stem and other.major == version.major and other >= version:
                found.append((other, entry))
        if found:
            return os.path.join(folder, max(found)[1])
    raise error(wanted_by, f"depends on {name}, which is not in {', '.join(folders)}", remedy="use library_path")


def _closure(path: str, library_path: Sequence[str]) -> list[tuple[str, LibraryHeader]]:
    """The library and all that it depends on, dependencies first. Raises ToolError."""
    folders = [*library_path, os.path.dirname(os.path.abspath(path))]
    done: dict[str, tuple[str, LibraryHeader]] = {}
    entered: set[str] = set()

    def visit(file: str) -> None:
        header = _header(file)
        name = header.identity.name
        if name in entered:
            return  # a cycle is cut where it closes
        entered.add(name)
        for dependency in header.dependencies:
            visit(_find(dependency, folders, file))
        done[name] = file, header

    visit(path)
    return list(done.values())


class _LibraryLoader:
    """Maps libraries instead of a program (host.Loader). argv: afterwards, the address of the argument vector."""

    def __init__(self, libraries: list[tuple[str, LibraryHeader]]) -> None:
        self._files = libraries
        self.argv = 0

    def __call__(self, process: Process, options: RunOptions, environment: list[bytes]) -> None:
        _, header = self._files[-1]
        space = AddressSpace(header.machine.word * 8, ceiling=options.max_memory)
        try:
            for path, library in self._files:
                self._map(space, path, library)
            image = Image(
                header.machine, 0, (Segment(0, 0, 0, 0, 0),), None, (0, 0, 0), False, "", None, (), (), "", (), (), ()
            )
            name = os.fsencode(options.program)
            started = build_stack(space, image, [name], environment, StartInfo(name, process.random.take(16)))
        except BaseException:
            space.release()
            raise
        space.start_brk(_HEAP)
        self.argv = started.stack_pointer + header.machine.word
        process.identity.executable = options.program
        raise ProgramReplaced(space, image, started)

    @staticmethod
    def _map(space: AddressSpace, path: str, library: LibraryHeader) -> None:
        if library.machine.word * 8 != space.layout.bits:
            raise error(path, f"is for {library.machine.label}, unlike the others")
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            for segment in library.segments:
                if segment.offset + segment.file_size > size:
                    raise error(path, "is shorter than its headers say")
                map_segment(space, segment, fd, os.path.abspath(path), prot_of(segment.flags), "noreplace")
        except OSError as failure:
            raise error(path, f"cannot be mapped at {library.identity.base:#x}: {failure.strerror}") from None
        finally:
            os.close(fd)


class Buffer:
    """Memory of the guest that belongs to Python: passed to functions as its address. size: bytes."""

    def __init__(self, library: Library, address: int, size: int) -> None:
        self._library = library
        self.address = address
        self.size = size

    def __index__(self) -> int:
        return self.address

    def __len__(self) -> int:
        return self.size

    def __bytes__(self) -> bytes:
        return self._library.memory.read(self.address, self.size)

    def write(self, data: bytes, offset: int = 0) -> None:
        """Raises ValueError if it does not fit."""
        if offset < 0 or offset + len(data) > self.size:
            raise ValueError(f"{len(data)} bytes at {offset} do not fit into {self.size}")
        self._library.memory.write(self.address + offset, data)


class Library(Guest):
    """A target library, ready to be called: `Library("DIR/shlib/libc_s.1.2.3").call("strlen", b"abc") == 3`.

    library_path: where its dependencies are looked for before its own directory. env, stdin, capture, readable, writable: as
    for Program. hooks: other parts of uselib that take part in the run. Raises ToolError. A context manager.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        library_path: Sequence[str | os.PathLike[str]] = (),
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = b"",
        capture: bool = True,
        readable: Sequence[str | os.PathLike[str]] = (),
        writable: Sequence[str | os.PathLike[str]] = (),
        max_instructions: int | None = None,
        max_seconds: float | None = None,
        max_memory: int | None = None,
        hooks: Sequence[RunHooks] = (),
    ) -> None:
        libraries = _closure(os.fspath(path), [os.fspath(name) for name in library_path])
        options = RunOptions(
            os.fspath(path),
            environment=tuple(f"{name}={value}" for name, value in (env or {}).items()),
            readable=tuple(os.fspath(name) for name in readable),
            writable=tuple(os.fspath(name) for name in writable),
            max_instructions=max_instructions,
            max_seconds=max_seconds,
            max_memory=max_memory,
        )
        loader = _LibraryLoader(libraries)
        super().__init__(options, StandardFiles(stdin, capture), loader, hooks)
        self._arena = self._arena_end = 0
        try:
            self._attach()
            self._initialise(libraries, loader.argv)
        except BaseException:
            self.close()
            raise

    def _initialise(self, libraries: list[tuple[str, LibraryHeader]], argv: int) -> None:
        self._start_c_library(argv)
        word = self.bits // 8
        for _, header in libraries:
            begin, count = header.init_array
            for at in range(begin, begin + count * word, word):
                self.call(self.memory.read_int(at, signed=False), result="void")

    def _start_c_library(self, argv: int) -> None:
        """Afterwards the stack is that of `main`."""
        try:
            start = self.address(_START)
        except SymbolError:
            return
        control = self._running()
        handler: Handler = self._main_reached
        main = control.trampoline(handler)
        try:
            self._call(start, (main, 1, argv, 0, 0, 0), "void", keep=True)
        except _MainReached:
            return
        except GuestExited as end:
            raise error(self._session.runner.options.program, f"its start-up ended with status {end.code}") from None

    @staticmethod
    def _main_reached(_address: int) -> None:
        raise _MainReached

    def buffer(self, contents: int | bytes) -> Buffer:
        """Memory for functions to work in: so many zero bytes, or a copy. It is valid as long as the library is open."""
        data = bytes(contents) if isinstance(contents, int) else contents
        size = max((len(data) + 15) & -16, 16)
        if self._arena + size > self._arena_end:
            room = max(size, 1 << 16)
            self._arena = self.machine.space.map(0, room, 3, name="[buffers]")
            self._arena_end = self._arena + room
        address, self._arena = self._arena, self._arena + size
        self.memory.write(address, data)
        return Buffer(self, address, len(data))

    def function(self, name: str, result: str = "int") -> Any:
        """A Python function that calls one of the library's. Raises SymbolError."""
        address = self.address(name)
        return lambda *arguments: self._call(address, arguments, result)
