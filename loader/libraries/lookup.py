"""Which definition a dynamic linker binds a name to, and how many objects it asks: the rules of glibc's and musl's, over loaded objects.

    scope       the objects that are asked, in their order: breadth first over DT_NEEDED from the program and what LD_PRELOAD names
    look_up     the first that has the name, with a version that fits

An object that dlopen has loaded asks the program's scope, then that of what was opened (glibc: once more from its start, objects that are
in both are asked twice; musl: those that are not in the program's).

Source: elf/dl-lookup.c (do_lookup_x, check_match) and elf/dl-deps.c of glibc; ldso/dynlink.c (find_sym2, load_deps) of musl; tests compare
with what LD_DEBUG=symbols,bindings says.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from uselib.linker.formats import elf
from uselib.linker.formats.dynamic_object import DynamicObject, DynamicRow, RelocatedTo
from uselib.linker.quick_dataclass import dataclass

_BINDINGS = (elf.STB_GLOBAL, elf.STB_WEAK, elf.STB_GNU_UNIQUE)
_TYPES = (elf.STT_NOTYPE, elf.STT_OBJECT, elf.STT_FUNC, elf.STT_COMMON, elf.STT_TLS, elf.STT_GNU_IFUNC)
_IN_MUSL = ("c", "pthread", "rt", "m", "dl", "util", "xnet")  # libraries that its dynamic linker is itself


class Rules(Enum):
    """Whose."""

    GLIBC = "glibc"
    MUSL = "musl"

    @classmethod
    def of_interpreter(cls, path: str) -> Rules:
        return cls.MUSL if os.path.basename(path).startswith("ld-musl") else cls.GLIBC


@dataclass(frozen=True, eq=False)
class LoadedObject:
    """path: guest's; bias: added to the addresses in the file; program: it is the program itself; linker: the dynamic linker."""

    path: str
    bias: int
    object: DynamicObject
    program: bool = False
    linker: bool = False

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    def named(self, needed: str, rules: Rules) -> bool:
        """Whether a DT_NEEDED means it."""
        if rules is Rules.MUSL and self.linker and needed.startswith("lib"):
            return needed[3:].partition(".")[0] in _IN_MUSL
        return needed in (self.path, self.object.soname) or ("/" not in needed and needed == self.name)


class Definition(NamedTuple):
    """address: where it is in memory; of thread-local data the offset in its object's; of an IFUNC its resolver."""

    where: LoadedObject
    symbol: DynamicRow
    address: int


class Answer(NamedTuple):
    """found: None: nowhere; asked: how many objects were."""

    found: Definition | None
    asked: int


def breadth_first(roots: Iterable[LoadedObject], loaded: Sequence[LoadedObject], rules: Rules) -> list[LoadedObject]:
    """The roots, what they need, what that needs, and so on; each once. Needed objects that are not loaded are left out."""
    order = list(dict.fromkeys(roots))
    for one in order:  # it grows
        for needed in one.object.needed:
            other = next((other for other in loaded if other.named(needed, rules)), None)
            if other is not None and other not in order:
                order.append(other)
    return order


def joined_scope(program: Sequence[LoadedObject], opened: Sequence[LoadedObject], rules: Rules) -> list[LoadedObject]:
    """Of an object that dlopen has loaded. opened: breadth first from what was opened."""
    if rules is Rules.MUSL:
        return list(dict.fromkeys([*program, *opened]))
    return [*program, *opened]


def look_up(
    name: DynamicRow,
    scope: Sequence[LoadedObject],
    rules: Rules,
    use: RelocatedTo = RelocatedTo.ADDRESS,
    *,
    newest: bool = False,
) -> Answer:
    """name: the reference. use: of COPY the program's own definition is none; of SLOT a PLT entry of the program's is none. newest: without
    version, the default one (dlsym)."""
    asked = 0
    for one in scope:
        if use is RelocatedTo.COPY and one.program:
            continue
        asked += 1
        symbol = _definition(one.object, name, rules, use, newest)
        if symbol is not None:
            bias = 0 if symbol.type == elf.STT_TLS or symbol.absolute else one.bias
            return Answer(Definition(one, symbol, bias + symbol.value), asked)
    return Answer(None, asked)


def _definition(
    there: DynamicObject, name: DynamicRow, rules: Rules, use: RelocatedTo, newest: bool
) -> DynamicRow | None:
    """What an object has under the name."""
    fits = _fits_musl if rules is Rules.MUSL else _fits_glibc
    other_versions = []
    for number in there.hashed.get(name.name, ()):
        symbol = there.symbols[number]
        usable = symbol.value or symbol.absolute or symbol.type == elf.STT_TLS
        if not usable or symbol.binding not in _BINDINGS or symbol.type not in _TYPES:
            continue
        if not symbol.defined and (use is RelocatedTo.SLOT or symbol.type == elf.STT_TLS):
            continue
        if fits(there, symbol, name, newest):
            return symbol
        if not name.version and not symbol.hidden:
            other_versions.append(symbol)
    return other_versions[0] if rules is Rules.GLIBC and len(other_versions) == 1 else None


def _fits_glibc(there: DynamicObject, symbol: DynamicRow, name: DynamicRow, newest: bool) -> bool:
    if not there.versioned:
        return True
    if name.version:
        return symbol.version == name.version or not (symbol.version or symbol.hidden or name.hidden)
    oldest = 2 if newest else 3  # indices 0 and 1 have no version; 2 is the first that a file defines
    return symbol.version_index < oldest


def _fits_musl(there: DynamicObject, symbol: DynamicRow, name: DynamicRow, newest: bool) -> bool:
    return not symbol.hidden
