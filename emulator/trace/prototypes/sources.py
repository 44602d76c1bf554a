"""Where prototypes come from, in order of preference; what was found is cached.

1. files that the user names (`--prototypes FILE`)
2. DWARF of the program or library that defines the function, then of the others
3. the standard C library's declarations, where the function is one of its names
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from uselib.emulator.trace.prototypes.damage import Warn, unsaid
from uselib.emulator.trace.prototypes.type_views import (
    EnumerationView,
    IntegerView,
    PointerView,
    Prototype,
    PrototypeParameter,
    TypeView,
)
from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import replace

_LARGEST_FILE = 16 << 20  # bytes of a header


class PrototypeSource(Protocol):
    """Gives prototypes by name."""

    def find(self, name: str) -> Prototype | None: ...


class Prototypes:
    """Sources in order; the first that has a function wins, refined by what later ones say of it (flag sets, `out`)."""

    def __init__(self, sources: Sequence[PrototypeSource]) -> None:
        self._sources = tuple(sources)
        self._found: dict[str, Prototype | None] = {}

    def find(self, name: str) -> Prototype | None:
        """The prototype of a function, or None. Never raises: sources report their errors when they are opened."""
        if name not in self._found:
            self._found[name] = self._search(name)
        return self._found[name]

    def _search(self, name: str) -> Prototype | None:
        first: Prototype | None = None
        for source in self._sources:
            found = source.find(name)
            if found is not None:
                first = found if first is None else refined(first, found)
        return first


def refined(base: Prototype, hint: Prototype) -> Prototype:
    """`base`, with names for its values, `out`, lengths and formats from `hint`, if that describes the same function: as many
    parameters, of the same sizes and kinds. DWARF says `int flags`; the C library's file says which flags."""
    pairs = list(zip(base.parameters, hint.parameters, strict=False))
    if len(base.parameters) != len(hint.parameters) or base.variadic != hint.variadic:
        return base
    if not all(_alike(a.type, b.type) for a, b in pairs) or not _alike(base.result, hint.result):
        return base
    formatted = base if base.format_index >= 0 else hint
    return replace(
        base,
        result=_better(base.result, hint.result),
        parameters=tuple(_merged(a, b) for a, b in pairs),
        format_index=formatted.format_index,
        format_kind=formatted.format_kind,
        noreturn=base.noreturn or hint.noreturn,
    )


def _alike(a: TypeView, b: TypeView) -> bool:
    integers = IntegerView | EnumerationView
    return a.size == b.size and ((isinstance(a, integers) and isinstance(b, integers)) or type(a) is type(b))


def _better(a: TypeView, b: TypeView) -> TypeView:
    plain = isinstance(a, IntegerView) and a.style == "decimal"
    named = isinstance(b, EnumerationView) or (isinstance(b, IntegerView) and b.style != "decimal")
    return b if plain and named else a


def _merged(a: PrototypeParameter, b: PrototypeParameter) -> PrototypeParameter:
    type_ = _better(a.type, b.type)
    if isinstance(a.type, PointerView) and isinstance(b.type, PointerView) and a.type.const != b.type.const:
        type_ = replace(a.type, const=b.type.const)  # clang's declarations of builtins have no const
    return PrototypeParameter(a.name or b.name, type_, a.out or b.out, a.length or b.length)


class PrototypeFile(NamedTuple):
    """A user's header or prototype file, read and not yet parsed: what it declares depends on the machine and on the C library."""

    path: str
    text: str

    @classmethod
    def read(cls, path: str) -> PrototypeFile:
        """Raises FormatError: PATH: what is wrong."""
        try:
            data = Path(path).read_bytes()
        except OSError as problem:
            raise FormatError(Diagnostic(path, problem.strerror or str(problem))) from None
        if len(data) > _LARGEST_FILE:
            raise FormatError(
                Diagnostic(path, f"{len(data)} bytes is not a prototype file", remedy="give it the declarations only")
            )
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
        if "\0" in text:
            raise FormatError(Diagnostic(path, "not text; give a C header or prototype file"))
        return cls(path, text)

    def parsed(self, machine: Machine, library: str = "musl") -> PrototypeSource:
        """Raises FormatError: PATH:LINE: what is wrong."""
        from uselib.emulator.trace.prototypes.declarations import from_file

        return from_file(self.text, self.path, machine, library)


def read_prototype_file(path: str, machine: Machine, library: str = "musl") -> PrototypeSource:
    """A user's header or prototype file. Raises FormatError: PATH:LINE: what is wrong."""
    return PrototypeFile.read(path).parsed(machine, library)


def open_prototypes(
    machine: Machine,
    binaries: Iterable[str] = (),
    files: Iterable[str | PrototypeFile] = (),
    library: str = "musl",
    warn: Warn = unsaid,
    names: Mapping[str, str] | None = None,
) -> Prototypes:
    """All sources of prototypes.

    binaries: paths of the program and its libraries, for their DWARF (skipped where there is none, or the file cannot be read: traces
    are shown elsewhere too). files: what `--prototypes` named, or what was read of it. library: whose standard C library (`musl`,
    `glibc`, `mini`). warn: takes a sentence for each binary whose DWARF is damaged. names: what to call binaries, if not by their
    path. Raises FormatError for `files` only."""
    from uselib.emulator.trace.prototypes.declarations import standard
    from uselib.emulator.trace.prototypes.dwarf import read_dwarf

    read = [file if isinstance(file, PrototypeFile) else PrototypeFile.read(file) for file in files]
    sources: list[PrototypeSource] = [file.parsed(machine, library) for file in read]
    sources += [
        source
        for path in binaries
        if (source := read_dwarf(path, machine, warn, (names or {}).get(path, path))) is not None
    ]
    return Prototypes([*sources, standard(machine, library)])
