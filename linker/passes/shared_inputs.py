"""The shared objects of a link: what they define, what they refer to, and which of them the output needs.

Definitions are only offered: a symbol of the link is bound to one when all inputs are read (`bind`), since an object may come later that
defines it.
"""

from __future__ import annotations

from collections.abc import Iterable

from uselib.linker.errors import Diagnostic
from uselib.linker.formats.shared_object import SharedObject, SharedSymbol
from uselib.linker.passes.model import UNDEFINED, DynamicBinding, ObjectFile, SharedInput, Symbol


class SharedInputs:
    """`libraries` by SONAME, in the order of the command line; `offered`: by `name` and `name@version`, the first definition."""

    def __init__(self) -> None:
        self.libraries: dict[str, SharedInput] = {}
        self.offered: dict[str, tuple[SharedInput, SharedSymbol]] = {}
        self._references: set[str] = set()
        self._versions: list[str] = []  # references of objects to `name@version`

    def add(self, file: SharedObject, as_needed: bool, symbols: dict[str, Symbol], undefined: dict[str, None]) -> None:
        """Takes a shared object. symbols, undefined: those of the link so far; what the object defines is undefined no more, and what only
        it refers to is, so that a member of an archive is taken for it."""
        if (known := self.libraries.get(file.soname)) is not None:
            known.as_needed &= as_needed
            return
        library = self.libraries[file.soname] = SharedInput(file, as_needed)
        offered = self.offered
        for definition in file.defined:
            if definition.default:
                offered.setdefault(definition.name, (library, definition))
            if definition.version:
                offered.setdefault(f"{definition.name}@{definition.version}", (library, definition))
        for name in [name for name in undefined if name in offered]:
            if name not in symbols or not symbols[name].hidden:
                del undefined[name]
        for name, weak in file.undefined:
            self._references.add(name)
            symbol = symbols.get(name)
            if not weak and name not in offered and (symbol is None or symbol.rank == UNDEFINED):
                undefined[name] = None

    def knows(self, name: str) -> bool:
        """Whether a shared object defines the name or refers to it."""
        return name in self.offered or name in self._references

    def refer(self, name: str) -> None:
        """An object refers to `name@version`, which a shared object may define (settle_versions)."""
        self._versions.append(name)

    def settle_versions(self, symbols: dict[str, Symbol], files: Iterable[ObjectFile]) -> list[Diagnostic]:
        """All inputs are read: references to `name@version` for which no shared object has that version are for `name`. Result: those of
        them for which nobody has a definition."""
        problems = []
        for name in dict.fromkeys(self._versions):
            symbol = symbols[name]
            if symbol.rank != UNDEFINED or name in self.offered:
                continue
            del symbols[name]
            base = name.partition("@")[0]
            target = symbols.get(base) or symbols.setdefault(base, Symbol(base))
            target.referenced |= symbol.referenced
            target.strong_reference |= symbol.strong_reference
            if target.rank == UNDEFINED and base not in self.offered and symbol.strong_reference:
                where = next((file.where for file in files if symbol in file.globals), "ld")
                text = f"undefined symbol: {name}: no input defines this version"
                problems.append(Diagnostic(where, text, remedy="link with the shared object that has it"))
            for file in files:
                file.globals = [target if known is symbol else known for known in file.globals]
        return problems

    def bind(self, symbols: dict[str, Symbol]) -> None:
        """All inputs are read: which symbols are definitions of shared objects, and which shared objects are needed."""
        if not self.libraries:
            return
        for name, symbol in symbols.items():
            offer, referenced = self.offered.get(name), name in self._references
            if offer is None and not referenced:
                continue
            dynamic = symbol.dynamic = symbol.dynamic or DynamicBinding()
            dynamic.referenced = referenced
            if offer is not None and not symbol.hidden:
                dynamic.library, dynamic.definition = offer
                if symbol.rank == UNDEFINED and symbol.strong_reference and symbol.referenced:
                    offer[0].needed = True
        for library in self.libraries.values():
            library.needed |= not library.as_needed
        for symbol in symbols.values():
            known = symbol.dynamic
            if known is not None and known.library is not None and not known.library.needed:
                known.library = known.definition = None


def versioned_definition(name: str) -> tuple[str, str, bool]:
    """`name@@version` defines `name`, the one for references without a version; `name@version` only itself. Result: the symbol's name, the
    version, whether it is the default."""
    base, marks, version = name.partition("@@")
    if not marks:
        return name, name.partition("@")[2], False
    return base, version.removeprefix("@"), True  # .symver with @@@
