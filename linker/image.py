"""Image: the contract between linker and loader.

Whatever the file format (ELF, a.out, COFF), a reader in linker/formats or linker/historical gives an `Image`, and the loader,
the tracer, the inspector and the ABI checker work on that. Immutable; no policy; no I/O.
"""

from __future__ import annotations

import enum

from uselib.linker.quick_dataclass import dataclass

PAGE = 4096

READ, WRITE, EXEC = 4, 2, 1  # segment permissions: ELF's PF_R, PF_W, PF_X


class Machine(enum.Enum):
    """The two machines; the value is ELF's e_machine."""

    I386 = 3
    X86_64 = 62

    @property
    def word(self) -> int:
        """Bytes in a pointer."""
        return 4 if self is Machine.I386 else 8

    @property
    def label(self) -> str:
        """The name on the command line: i386 or x86_64."""
        return "i386" if self is Machine.I386 else "x86_64"


@dataclass(frozen=True, order=True)
class Version:
    """Library version: major (incompatible releases), minor (compatible additions), patch (same interface)."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @classmethod
    def parse(cls, text: str) -> Version:
        """`X.Y.Z`, each 0..65535. Raises ValueError."""
        parts = text.split(".")
        if len(parts) != 3 or not all(part.isdecimal() and len(part) <= 5 and int(part) <= 0xFFFF for part in parts):
            raise ValueError(f"`{text}` is not a version: write MAJOR.MINOR.PATCH, each 0 to 65535")
        return cls(*(int(part) for part in parts))


@dataclass(frozen=True)
class Segment:
    """A range of memory at `address`, `memory_size` bytes, the first `file_size` of them from the file at `offset`."""

    address: int
    memory_size: int
    offset: int
    file_size: int
    flags: int  # READ | WRITE | EXEC
    alignment: int = PAGE

    @property
    def end(self) -> int:
        return self.address + self.memory_size


@dataclass(frozen=True)
class Identity:
    """Which library this is: what a program records when it is linked, and what start-up compares."""

    name: str  # "libc_s": the file name without its version
    version: Version
    base: int  # address of the ELF header in memory
    size: int  # bytes of address space from base, whole pages, bss included
    digest: bytes  # 32 bytes: SHA-256 of the file with this field zeroed
    slot_count: int

    @property
    def file_name(self) -> str:
        return f"{self.name}.{self.version}"

    @property
    def end(self) -> int:
        return self.base + self.size


@dataclass(frozen=True)
class LibraryHeader:
    """What the header page of a target library says of itself (note NT_LIBRARY, see formats/notes.py)."""

    machine: Machine
    identity: Identity
    bootstrap: int  # address of the bootstrap routine, or 0
    jump_table: int  # address of slot 1
    slot_size: int  # bytes
    init_array: tuple[int, int]  # address, count of pointers
    fini_array: tuple[int, int]
    segments: tuple[Segment, ...]  # what the bootstrap maps; the first begins at base
    dependencies: tuple[str, ...]  # file names of the libraries it refers to, nearest first
    continuation: int = 0  # address of a C library's bootstrap that maps all other libraries too, or 0

    def slot_address(self, number: int) -> int:
        """Address of slot `number`, counted from 1."""
        return self.jump_table + (number - 1) * self.slot_size


class ExportKind(enum.Enum):
    FUNCTION = "function"
    DATA = "data"


@dataclass(frozen=True)
class Export:
    """An exported name. `address` is what programs bind to: the slot of a function, the datum itself for data."""

    name: str
    kind: ExportKind
    address: int
    size: int  # bytes of the datum, or of the real function
    slot: int = 0  # slot number from 1; 0 for data
    implementation: int = 0  # where the slot leads to; 0 for data


@dataclass(frozen=True)
class Binding:
    """A symbol that a program or library took from a stub library, and the address it was bound to."""

    library: str  # identity name: "libc_s"
    symbol: str
    address: int
    kind: ExportKind


@dataclass(frozen=True)
class ImageSymbol:
    name: str
    address: int
    size: int
    function: bool
    absolute: bool = False


@dataclass(frozen=True)
class Image:
    """A linked program or target library, as read from its file."""

    machine: Machine
    entry: int
    segments: tuple[Segment, ...]
    tls: Segment | None
    program_headers: tuple[int, int, int]  # address in memory (0 if not mapped), size of one, count
    stack_executable: bool
    interpreter: str = ""
    library: LibraryHeader | None = None  # set for target libraries
    needs: tuple[Identity, ...] = ()  # the libraries it was linked with (notes NT_NEEDS)
    library_names: tuple[str, ...] = ()  # `.lib`, in file order
    library_path: str = ""  # `_SHARED_LIBRARY_PATH`, or empty
    bindings: tuple[Binding, ...] = ()
    symbols: tuple[ImageSymbol, ...] = ()
    exports: tuple[Export, ...] = ()  # target libraries: by slot number, then data by address
    version_rule: str = ""  # `_SHARED_LIBRARY_RULE`, or empty
    relative: bool = False  # ET_DYN: addresses count from a place that whoever maps the file chooses
