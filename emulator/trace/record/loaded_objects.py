"""The objects that a program's dynamic linker has mapped, in which order, and in whose scope names are looked up for each."""

from __future__ import annotations

import os
from collections.abc import Iterator

from uselib.emulator.trace.record.known_files import KnownFile
from uselib.linker.errors import ToolError
from uselib.linker.formats import elf
from uselib.linker.formats.dynamic_object import DynamicRow, RelocatedTo, SymbolicRelocation, read_dynamic_object
from uselib.loader.libraries.lookup import LoadedObject, Rules, breadth_first, joined_scope
from uselib.loader.memory.address_space import AddressSpace, MemoryFault

RTLD_GLOBAL = 0x100
_STRING = (1 << 17) + 1  # MAX_ARG_STRLEN of execve(2), and the NUL


class TracedObject:
    """One of them. group: 0: at start-up, else numbers of what dlopen has mapped at once. shared: names in it are found from everywhere.
    unbound: words of the PLT that no first call has bound yet, by address; relocated: the dynamic linker is done with it."""

    def __init__(self, loaded: LoadedObject, base: int, end: int, group: int) -> None:
        self.loaded, self.base, self.end, self.group = loaded, base, end, group
        self.shared = group == 0
        self.unbound: dict[int, SymbolicRelocation] = {}
        self.relocated = False

    @property
    def path(self) -> str:
        return self.loaded.path

    @property
    def relro(self) -> tuple[int, int]:
        low, high = self.loaded.object.relro
        return low + self.loaded.bias, high + self.loaded.bias

    def exported(self, name: str) -> int:
        """Address of a function that it exports, or 0."""
        there = self.loaded.object
        rows = (there.symbols[number] for number in there.hashed.get(name, ()))
        return next((row.value + self.loaded.bias for row in rows if row.defined and row.value and not row.hidden), 0)


class LoadedObjects:
    """Of one program. stack: its stack pointer at the first instruction, where LD_PRELOAD is looked for."""

    def __init__(self, space: AddressSpace, stack: int, word: int) -> None:
        self._space = space
        self.rules = Rules.GLIBC
        self.all: list[TracedObject] = []  # in the order in which they were mapped
        self._preloaded = list(_preloads(space, stack, word))
        self._group = 0

    def add(self, known: KnownFile, *, by_exec: bool) -> TracedObject | None:
        """None for a file without dynamic section, and for one that is there already. by_exec: the kernel has mapped it."""
        if any(one.path == known.path and one.base == known.base for one in self.all):
            return None
        try:
            found = read_dynamic_object(os.pread(known.file.fd, known.file.size(), 0), known.path)
        except (ToolError, OSError):
            return None
        if found is None:
            return None
        self.all = [one for one in self.all if one.end <= known.base or known.end <= one.base]
        program = bool(known.image.interpreter) and not any(one.loaded.program for one in self.all)
        linker = by_exec and not program
        if program:
            self.rules = Rules.of_interpreter(known.image.interpreter)
        if not program and not linker and all(one.relocated for one in self.all):
            self._group += 1  # what was mapped before is ready: this is dlopen
        one = TracedObject(
            LoadedObject(known.path, known.bias, found, program, linker), known.base, known.end, self._group
        )
        self.all.append(one)
        return one

    def at(self, address: int) -> TracedObject | None:
        return next((one for one in self.all if one.base <= address < one.end), None)

    def share(self, name: str) -> None:
        """dlopen with RTLD_GLOBAL of an object that is loaded."""
        rules = self.rules
        for one in self.all:
            if one.loaded.named(name, rules):
                for other in breadth_first([one.loaded], [o.loaded for o in self.all], rules):
                    next(o for o in self.all if o.loaded is other).shared = True

    def _there(self) -> list[TracedObject]:
        """Those that have not been unmapped."""
        self.all = [
            one
            for one in self.all
            if (vma := self._space.find(one.base)) is not None and vma.known is not None and vma.known.name == one.path
        ]
        return self.all

    def program_scope(self) -> list[LoadedObject]:
        """What is asked first, from everywhere."""
        there = self._there()
        start = [one.loaded for one in there if one.group == 0]
        roots = [one for one in start if one.program]
        roots += [one for name in self._preloaded for one in start if one.named(name, self.rules) and one not in roots]
        scope = breadth_first(roots, start, self.rules)
        return scope + [one.loaded for one in there if one.group and one.shared]

    def opened_scope(self, one: TracedObject) -> list[LoadedObject]:
        """What dlopen has given it: breadth first from what was opened when it was mapped."""
        there = self._there()
        root = next((other for other in there if other.group == one.group), one)
        return breadth_first([root.loaded], [other.loaded for other in there], self.rules)

    def scope(self, one: TracedObject) -> list[LoadedObject]:
        """Where names that it refers to are looked up."""
        found = self.program_scope()
        if one.group:
            found = joined_scope(found, self.opened_scope(one), self.rules)
        elif one.loaded not in found:  # of LD_AUDIT: a namespace of its own
            found = breadth_first([one.loaded], [other.loaded for other in self.all], self.rules)
        return [one.loaded, *found] if one.loaded.object.symbolic else found

    def handle_scope(self, one: TracedObject) -> list[LoadedObject]:
        """Where dlsym looks with the handle of an object."""
        if one.loaded.program:
            return self.program_scope()
        return breadth_first([one.loaded], [other.loaded for other in self._there()], self.rules)

    def next_scope(self, one: TracedObject) -> list[LoadedObject]:
        """Where dlsym looks with RTLD_NEXT, called from an object."""
        scope = self.opened_scope(one) if one.group else self.program_scope()
        return scope[scope.index(one.loaded) + 1 :] if one.loaded in scope else scope


def refers(symbol: DynamicRow, relocation: SymbolicRelocation) -> bool:
    """Whether a relocation leads to a look-up, and is shown: of a module and an offset in it only one is."""
    if symbol.binding == elf.STB_LOCAL or symbol.visibility in (elf.STV_HIDDEN, elf.STV_INTERNAL):
        return False
    return relocation.use.use is not RelocatedTo.TLS or "DTPOFF" not in relocation.use.name


def _preloads(space: AddressSpace, stack: int, word: int) -> Iterator[str]:
    """What LD_PRELOAD names, in its order. Behind argc and argv lies the environment."""
    try:
        at = stack + (int.from_bytes(space.read(stack, word), "little") + 2) * word
        while pointer := int.from_bytes(space.read(at, word), "little"):
            text = space.read_string(pointer, _STRING)
            if text.startswith(b"LD_PRELOAD="):
                yield from text[11:].decode("utf-8", "surrogateescape").replace(":", " ").split()
            at += word
    except (MemoryFault, OSError):
        return
