"""The facts of one library or program: the data that pass from readers (reading.py, dwarf, headers) to rules (check.py).

Immutable; no policy; no I/O. Facts that a file does not contain are None or empty, and `unknown` names them: the report lists everything that
could not be checked.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from uselib.linker.c_types.types import TypeId, Types
from uselib.linker.image import Binding, Identity, Machine


class FileKind(enum.Enum):
    TARGET = "target library"
    STUB = "stub library"
    SHARED_OBJECT = "shared object"  # ordinary ELF .so
    PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class FunctionFact:
    """An exported function. address: what programs bind to (the slot of a fixed-address library); 0 where binding is by name (.so).

    size: bytes of the implementation, 0 if unknown. type: a FunctionType in the file's Types, or None without type information.
    symbol_version: `VERS_1` and default True for `f@@VERS_1`. retired: the slot is kept and traps.
    """

    name: str
    address: int = 0
    slot: int = 0
    implementation: int = 0
    size: int = 0
    type: TypeId | None = None
    interposable: bool = False
    weak: bool = False
    retired: bool = False
    former_names: tuple[str, ...] = ()  # declared renames
    symbol_version: str = ""
    default_version: bool = True
    place: str = ""  # FILE:LINE of the declaration or definition
    code: bytes = b""  # digest of the code bytes with relocated fields as they are; empty if unknown
    pointer: int = 0  # address of the pointer of an interposable function (`f$pointer`), which old programs' start-up sets; 0 if unknown


@dataclass(frozen=True, slots=True)
class DataFact:
    """An exported variable or constant. size in bytes. writable: by the segment it lies in; None if unknown (stub).
    contents: its initial bytes (of constants: what programs see), None if unknown or longer than 64 KiB."""

    name: str
    address: int = 0
    size: int = 0
    type: TypeId | None = None
    writable: bool | None = None
    contents: bytes | None = None
    retired: bool = False
    former_names: tuple[str, ...] = ()
    symbol_version: str = ""
    default_version: bool = True
    place: str = ""


@dataclass(frozen=True, slots=True)
class Constant:
    """An object-like macro of a public header whose value is a constant: a number or a string."""

    name: str
    value: int | float | str
    place: str = ""


@dataclass(frozen=True)
class Facts:
    """A library. `functions` and `data` by name (versioned symbols of a .so: `name@VERSION` for those that are not default).

    slots: every slot of the jump table with what it holds: a name; "" an empty slot. fixed: programs bind by address.
    public: the names that headers declare, None without headers: then every export is public.
    record_names: tags and typedef names that the public headers define completely (others are opaque to programs); None without headers.
    """

    path: str
    kind: FileKind
    machine: Machine
    identity: Identity | None = None  # of a fixed-address library
    soname: str = ""
    fixed: bool = True
    dependencies: tuple[str, ...] = ()
    functions: dict[str, FunctionFact] = field(default_factory=dict)
    data: dict[str, DataFact] = field(default_factory=dict)
    slots: dict[int, str] = field(default_factory=dict)
    types: Types = field(default_factory=Types)
    typed: bool = False  # there is type information (DWARF or headers)
    constants: dict[str, Constant] | None = None
    public: frozenset[str] | None = None
    record_names: frozenset[str] | None = None
    symbol_versions: tuple[str, ...] = ()  # defined by a .so
    text: tuple[int, int] = (0, 0)  # address range of code
    data_range: tuple[int, int] = (0, 0)
    producer: str = ""  # compiler, from DWARF
    unknown: tuple[str, ...] = ()  # one sentence each: what could not be read
    declared: Facts | None = None  # the same with the headers' types, where `types` are from debug information
    inlines: dict[str, str] | None = None  # functions that headers define -> their text; None without headers


@dataclass(frozen=True, slots=True)
class Use:
    """A name that a program takes from a library. type: as the program saw it declared, in its own Types, or None."""

    name: str
    kind: str  # function or data
    library: str = ""  # file name linked with; empty if not recorded
    address: int = 0
    symbol_version: str = ""
    type: TypeId | None = None


@dataclass(frozen=True)
class ProgramFacts:
    """A program (or a library, seen as a user of other libraries).

    needs: identities of the fixed-address libraries it was linked with; sonames: DT_NEEDED of an ordinary dynamic program.
    uses None: not recorded (linked by another linker without the binding note, and stripped).
    records: numbers in `types` of the structures, unions and enumerations it knows the contents of, by tag or typedef name.
    """

    path: str
    machine: Machine
    needs: tuple[Identity, ...] = ()
    sonames: tuple[str, ...] = ()
    uses: tuple[Use, ...] | None = None
    bindings: tuple[Binding, ...] = ()
    types: Types = field(default_factory=Types)
    typed: bool = False
    records: dict[str, TypeId] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    defines: frozenset[str] | None = (
        None  # global functions of its own, which may replace a library's; None if stripped
    )
