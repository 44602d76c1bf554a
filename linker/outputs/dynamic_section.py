"""The tables that a dynamic linker reads of an output: .dynsym, .dynstr, hash tables, versions, .dynamic.

Source: gABI, chapter 5; LSB core, "Symbol Versioning"; glibc's elf.h for the flags.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from uselib.linker.formats import elf
from uselib.linker.formats.dynamic_tables import (
    VersionNode,
    version_definitions,
    version_needs,
)
from uselib.linker.formats.elf import (
    SHF_ALLOC,
    SHF_WRITE,
    SHT_DYNAMIC,
    SHT_DYNSYM,
    SHT_HASH,
    SHT_STRTAB,
    ElfSymbol,
)
from uselib.linker.formats.shared_object import (
    SHT_GNU_HASH,
    SHT_GNU_VERDEF,
    SHT_GNU_VERNEED,
    SHT_GNU_VERSYM,
    VER_NDX_GLOBAL,
    VERSYM_HIDDEN,
)
from uselib.linker.formats.string_table import StringTableBuilder
from uselib.linker.options import Options
from uselib.linker.outputs import hash_tables
from uselib.linker.passes import native, packed_relatives
from uselib.linker.passes.dynamic_symbols import DynamicPlan
from uselib.linker.passes.dynamic_tables import DynamicTables, bound_late
from uselib.linker.passes.layout import Layout
from uselib.linker.passes.model import InputSection, OutputSection, Symbol
from uselib.linker.passes.output_symbols import section_of_provided
from uselib.linker.passes.resolution import Resolution

DT = {
    "NULL": 0, "NEEDED": 1, "PLTRELSZ": 2, "PLTGOT": 3, "HASH": 4, "STRTAB": 5, "SYMTAB": 6, "RELA": 7, "RELASZ": 8, "RELAENT": 9,
    "STRSZ": 10, "SYMENT": 11, "INIT": 12, "FINI": 13, "SONAME": 14, "RPATH": 15, "SYMBOLIC": 16, "REL": 17, "RELSZ": 18, "RELENT": 19,
    "PLTREL": 20, "DEBUG": 21, "TEXTREL": 22, "JMPREL": 23, "INIT_ARRAY": 25, "FINI_ARRAY": 26, "INIT_ARRAYSZ": 27, "FINI_ARRAYSZ": 28,
    "RUNPATH": 29, "FLAGS": 30, "PREINIT_ARRAY": 32, "PREINIT_ARRAYSZ": 33, "GNU_HASH": 0x6FFFFEF5, "VERSYM": 0x6FFFFFF0,
    "RELACOUNT": 0x6FFFFFF9, "RELCOUNT": 0x6FFFFFFA, "FLAGS_1": 0x6FFFFFFB, "VERDEF": 0x6FFFFFFC, "VERDEFNUM": 0x6FFFFFFD,
    "VERNEED": 0x6FFFFFFE, "VERNEEDNUM": 0x6FFFFFFF, "AUDIT": 0x6FFFFEFC, "DEPAUDIT": 0x6FFFFEFB, "AUXILIARY": 0x7FFFFFFD,
    "FILTER": 0x7FFFFFFF, "RELRSZ": 35, "RELR": 36, "RELRENT": 37, "GNU_FLAGS_1": 0x6FFFFDF4,
}  # fmt: skip
_DF = {"origin": 1, "symbolic": 2, "textrel": 4, "now": 8, "static_tls": 16}
_DF_1 = {
    "now": 1, "global": 2, "nodelete": 8, "loadfltr": 0x10, "initfirst": 0x20, "nodlopen": 0x40, "origin": 0x80, "interpose": 0x400,
    "nodefaultlib": 0x800, "nodump": 0x1000, "globalaudit": 0x01000000,
}  # fmt: skip
_DF_1_PIE = 0x08000000
_DF_GNU_1_UNIQUE = 1
_PACKED_VERSION = "GLIBC_ABI_DT_RELR"

_Row = tuple[str, int]
_Lookup = Callable[[str], OutputSection | None]


class DynamicSymbolTable:
    """The dynamic symbols with their numbers, and the sections that describe them."""

    def __init__(self, tables: DynamicTables, plan: DynamicPlan, options: Options, resolution: Resolution) -> None:
        self._tables, self._plan, self._options, self._resolution = tables, plan, options, resolution
        imports = _imports(tables)
        defined = [s for s in dict.fromkeys(plan.exports) if s.section is None or s.section.live]
        defined += [
            s for s in imports if s.dynamic is not None and s.dynamic.canonical
        ]  # others find their PLT entries
        imports = [s for s in imports if s.dynamic is None or not s.dynamic.canonical]
        names = _plain_names(defined)
        order = hash_tables.hash_order(names)
        defined = [defined[n] for n in order]
        self.symbols = [*imports, *defined]
        self._plain_names = [*_plain_names(imports), *(names[n] for n in order)]
        self._first_defined = 1 + len(imports)
        own: list[str] = []  # versions of exported symbols
        for number, symbol in enumerate(self.symbols, 1):
            dynamic = symbol.dynamic
            assert dynamic is not None
            dynamic.number = number
            if dynamic.version and dynamic.exported:
                own.append(dynamic.version)
        self.strings = StringTableBuilder()
        self._names = self.strings.add_all(self._plain_names)
        self.nodes = _nodes(own, plan, options.default_version)
        self._indices = {node.name: node.number for node in self.nodes}
        self._tls_start = 0  # laid_out
        self._layout: Layout | None = None
        self._needs = self._version_needs()
        self.soname = options.soname or os.path.basename(options.output)
        self.needed = [self.strings.add(library.soname) for library in resolution.shared if library.needed]
        self._texts = self._named_objects()
        self.sections = self._sections()

    def _named_objects(self) -> list[tuple[str, list[int]]]:
        """--audit, --filter and their like: tags and strings."""
        options, add = self._options, self.strings.add
        of_needed = [name for library in self._resolution.shared if library.needed for name in library.file.audit]
        audits = (("AUDIT", options.audit), ("DEPAUDIT", [*options.depaudit, *of_needed]))
        rows = [(tag, [add(":".join(names))] if names else []) for tag, names in audits]
        return [*rows, ("AUXILIARY", [*map(add, options.auxiliary)]), ("FILTER", [*map(add, options.filters[-1:])])]

    def _version_needs(self) -> dict[str, dict[str, int]]:
        """The versions that are needed of each shared object, with their indices, which follow those of the nodes."""
        found: dict[str, dict[str, int]] = {}
        if not self._resolution.shared:
            return found
        following = 2 + len(self.nodes)
        for symbol in self.symbols:
            dynamic = symbol.dynamic
            if (
                dynamic is None
                or dynamic.definition is None
                or dynamic.library is None
                or not dynamic.definition.version
            ):
                continue
            if symbol.rank and not dynamic.copied:
                continue
            versions = found.setdefault(dynamic.library.soname, {})
            if dynamic.definition.version not in versions:
                versions[dynamic.definition.version] = following
                following += 1
        if self._tables.packed is not None:
            for soname, versions in found.items():
                if soname.startswith("libc.so.") and any(version.startswith("GLIBC_2.") for version in versions):
                    versions[_PACKED_VERSION] = following  # an older C library refuses the program
        return found

    def _version_of(self, symbol: Symbol) -> int:
        """The symbol's number in .gnu.version."""
        dynamic = symbol.dynamic
        assert dynamic is not None
        if dynamic.definition is not None and dynamic.library is not None and (not symbol.rank or dynamic.copied):
            return self._needs.get(dynamic.library.soname, {}).get(dynamic.definition.version, VER_NDX_GLOBAL)
        index = self._indices.get(dynamic.version, VER_NDX_GLOBAL)
        return index if dynamic.default_version else index | VERSYM_HIDDEN

    def _sections(self) -> list[InputSection]:
        word, records = self._tables.machine.word, elf.class_of(self._resolution.machine)
        names, result = self._plain_names, []

        def add(name: str, kind: int, content: bytes, alignment: int, size: int = 0) -> InputSection:
            section = InputSection(None, 0, name, kind, SHF_ALLOC, len(content), alignment, size, content)
            result.append(section)
            return section

        style = self._options.hash_style
        if style in ("sysv", "both"):
            add(".hash", SHT_HASH, hash_tables.sysv_hash(names), word, 4)
        if style in ("gnu", "both"):
            first = self._first_defined
            add(".gnu.hash", SHT_GNU_HASH, hash_tables.gnu_hash(names[first - 1 :], first, word), word)
        table = add(".dynsym", SHT_DYNSYM, bytes(records.symbol.size * (1 + len(names))), word, records.symbol.size)
        table.build = self._packed
        if self._needs or self.nodes:
            numbers = [0, *(self._version_of(symbol) for symbol in self.symbols)]
            content = b"".join(number.to_bytes(2, "little") for number in numbers)
            add(".gnu.version", SHT_GNU_VERSYM, content, 2, 2)
        if self.nodes:
            content = version_definitions(self.soname, self.nodes, self.strings.add)
            add(".gnu.version_d", SHT_GNU_VERDEF, content, word)
        if self._needs:
            rows = [(soname, list(versions.items())) for soname, versions in self._needs.items()]
            add(".gnu.version_r", SHT_GNU_VERNEED, version_needs(rows, self.strings.add), word)
        return result

    def string_section(self) -> InputSection:
        """.dynstr. After it no string may be added."""
        content = bytes(self.strings.data)
        return InputSection(None, 0, ".dynstr", SHT_STRTAB, SHF_ALLOC, len(content), 1, 0, content)

    def _packed(self) -> bytes:
        """.dynsym, once addresses are final."""
        records = elf.class_of(self._resolution.machine)
        if native.AVAILABLE:
            from uselib.linker import _native
            from uselib.linker.passes.native_take import LAYOUT

            return _native.dynamic_symbols(LAYOUT, records.word, self.symbols, self._names, self._record)
        rows = [records.pack_symbol(ElfSymbol(0, 0, 0, 0, 0, 0))]
        rows += [
            records.pack_symbol(self._record(name, symbol))
            for name, symbol in zip(self._names, self.symbols, strict=True)
        ]
        return b"".join(rows)

    def _record(self, name: int, symbol: Symbol) -> ElfSymbol:
        dynamic = symbol.dynamic
        assert dynamic is not None
        binding = symbol.binding or elf.STB_GLOBAL
        if not symbol.rank and not dynamic.copied:
            binding = elf.STB_GLOBAL if symbol.strong_reference else elf.STB_WEAK
            value = symbol.address if dynamic.canonical else 0
            kind = elf.STT_FUNC if symbol.type == elf.STT_GNU_IFUNC else symbol.type
            return ElfSymbol(name, binding << 4 | kind, symbol.visibility, 0, value, 0)
        section = symbol.section
        index = section.output.index if section is not None and section.output is not None else elf.SHN_ABS
        if section is None and symbol.provided and self._layout is not None:
            index = section_of_provided(self._layout, symbol)  # an absolute symbol does not move with the output
        index = index if index <= elf.SHN_XINDEX else elf.SHN_XINDEX  # .dynsym has no table of further indices
        value, kind = symbol.location, symbol.type
        if symbol.type == elf.STT_TLS and section is not None:
            value -= self._tls_start
        elif kind == elf.STT_GNU_IFUNC and not self._plan.shared and symbol in self._tables.wants.ifuncs:
            value, kind = (
                symbol.address,
                elf.STT_FUNC,
            )  # the program's own PLT entry is the function's address everywhere
        return ElfSymbol(name, binding << 4 | kind, symbol.visibility, index, value, symbol.size)

    def laid_out(self, layout: Layout) -> None:
        """Addresses are final: st_value of thread-local symbols is an offset."""
        self._layout, self._tls_start = layout, layout.tls_start
        counts = {".gnu.version_d": 1 + len(self.nodes), ".gnu.version_r": len(self._needs), ".dynsym": 1}
        links = dict.fromkeys((".dynsym", ".gnu.version_d", ".gnu.version_r", ".dynamic"), ".dynstr")
        links |= dict.fromkeys(
            (".hash", ".gnu.hash", ".gnu.version", ".rela.dyn", ".rela.plt", ".rel.dyn", ".rel.plt"), ".dynsym"
        )
        for section in layout.sections:
            if section.flags & SHF_ALLOC:
                section.link, section.info = links.get(section.name, ""), counts.get(section.name, 0)

    # -- .dynamic --------------------------------------------------------------------------------------------------------

    def dynamic_section(self, find: _Lookup) -> InputSection:
        """.dynamic. find: gives output sections once they have addresses."""
        word = self._tables.machine.word
        path = self.strings.add(":".join(self._options.rpath)) if self._options.rpath else 0
        soname = self.strings.add(self.soname) if self._options.soname else 0
        count = len(self._entries(find, path, soname, sized=True))
        section = InputSection(
            None, 0, ".dynamic", SHT_DYNAMIC, SHF_ALLOC | SHF_WRITE, 2 * word * count, word, 2 * word
        )

        def build() -> bytes:
            rows = self._entries(find, path, soname, sized=False)
            return b"".join((value & ((1 << 8 * word) - 1)).to_bytes(word, "little") for row in rows for value in row)

        section.build = build
        return section

    def _entries(self, find: _Lookup, path: int, soname: int, *, sized: bool) -> list[tuple[int, int]]:
        """sized: only their number counts; there are no addresses yet, and the inputs tell which sections there will be."""
        there = self._expected() if sized else frozenset[str]()
        lookup: _Lookup = (lambda name: OutputSection(name) if name in there else None) if sized else find
        prefix = "RELA" if self._tables.rela else "REL"
        rows = [
            *self._named(path, soname),
            *self._code(lookup, sized),
            *self._tables_of(lookup),
            *self._relocations(lookup, prefix),
            *self._version_rows(lookup),
        ]
        if count := self._tables.relative_count:
            rows.append((f"{prefix}COUNT", count))
        return [*((DT[tag], value) for tag, value in rows), *[(0, 0)] * (1 + self._options.spare_tags)]

    def _named(self, path: int, soname: int) -> list[_Row]:
        """What is needed, what the output is called, where libraries are looked for."""
        rows: list[_Row] = [("NEEDED", name) for name in self.needed]
        rows += [("SONAME", soname)] * bool(soname)
        rows += [("RPATH" if self._options.old_dtags else "RUNPATH", path)] * bool(path)
        for tag, words in self._texts:
            rows += [(tag, word) for word in words]
        rows += [("SYMBOLIC", 0)] * (self._options.symbolic == "all" and self._plan.shared)
        return rows

    def _code(self, lookup: _Lookup, sized: bool) -> list[_Row]:
        """What is called at start-up and at the end."""
        rows: list[_Row] = []
        for tag, name in (("INIT", self._options.init), ("FINI", self._options.fini)):
            symbol = self._resolution.symbols.get(name)
            if symbol is not None and symbol.rank and symbol.section is not None:
                rows.append((tag, 0 if sized else symbol.address))
        for tag in ("PREINIT_ARRAY", "INIT_ARRAY", "FINI_ARRAY"):
            if (section := lookup(f".{tag.lower()}")) is not None:
                rows += [(tag, section.address), (f"{tag}SZ", section.size)]
        return rows

    def _tables_of(self, lookup: _Lookup) -> list[_Row]:
        """Hash tables, strings, symbols."""
        names = (("HASH", ".hash"), ("GNU_HASH", ".gnu.hash"), ("STRTAB", ".dynstr"), ("SYMTAB", ".dynsym"))
        rows = [(tag, section.address) for tag, name in names if (section := lookup(name)) is not None]
        strings = lookup(".dynstr")
        rows.append(("STRSZ", strings.size if strings is not None else 0))
        rows.append(("SYMENT", elf.class_of(self._resolution.machine).symbol.size))
        return rows if self._plan.shared else [*rows, ("DEBUG", 0)]

    def _relocations(self, lookup: _Lookup, prefix: str) -> list[_Row]:
        """The PLT's table, relocations, flags."""
        tables, got = self._tables, lookup(".got.plt")
        rows: list[_Row] = [("PLTGOT", got.address if got is not None else 0)]
        if tables.rela_plt is not None:
            section = lookup(f".{prefix.lower()}.plt") or OutputSection("")
            rows += [("PLTRELSZ", section.size), ("PLTREL", DT[prefix]), ("JMPREL", section.address)]
        if tables.rela_dyn is not None:
            section = lookup(f".{prefix.lower()}.dyn") or OutputSection("")
            rows += [(prefix, section.address), (f"{prefix}SZ", section.size), (f"{prefix}ENT", tables.entry_bytes)]
        if tables.packed is not None:
            section = lookup(packed_relatives.NAME) or OutputSection("")
            rows += [("RELR", section.address), ("RELRSZ", section.size), ("RELRENT", tables.machine.word)]
        flags, flags_1 = self._flags()
        rows += [("TEXTREL", 0)] * bool(flags & _DF["textrel"])
        rows += [("GNU_FLAGS_1", _DF_GNU_1_UNIQUE)] * ("unique" in self._options.keywords)
        return [*rows, *[("FLAGS", flags)] * bool(flags), *[("FLAGS_1", flags_1)] * bool(flags_1)]

    def _version_rows(self, lookup: _Lookup) -> list[_Row]:
        rows: list[_Row] = []
        counts = (
            ("VERDEF", ".gnu.version_d", len(self.nodes) + bool(self.nodes)),
            ("VERNEED", ".gnu.version_r", len(self._needs)),
        )
        for tag, name, count in counts:
            if count:
                section = lookup(name) or OutputSection("")
                rows += [(tag, section.address), (f"{tag}NUM", count)]
        if rows:
            section = lookup(".gnu.version") or OutputSection("")
            rows.append(("VERSYM", section.address))
        return rows

    def _expected(self) -> frozenset[str]:
        """The sections that .dynamic names, before there is a layout."""
        own = {section.name for section in self.sections} | {".dynstr"}
        arrays = {".preinit_array", ".init_array", ".fini_array"}
        names = {s.name for s in self._resolution.allocated()}
        found = {array for array in arrays if any(n == array or n.startswith(f"{array}.") for n in names)}
        for old, new in ((".ctors", ".init_array"), (".dtors", ".fini_array")):
            if any(n == old or n.startswith(f"{old}.") for n in names):
                found.add(new)
        return frozenset(own | found)

    def _flags(self) -> tuple[int, int]:
        """DT_FLAGS and DT_FLAGS_1."""
        words, needs = self._options.keywords, self._tables.wants
        flags = sum(_DF[word] for word in ("origin", "now") if word in words)
        flags |= _DF["symbolic"] if self._options.symbolic == "all" and self._plan.shared else 0
        flags |= _DF["static_tls"] if needs.static_tls else 0
        flags |= _DF["textrel"] if needs.text_relocations else 0
        flags_1 = sum(value for word, value in _DF_1.items() if word in words)
        return flags, flags_1 | (_DF_1_PIE if self._plan.pic and not self._plan.shared else 0)


def _plain_names(symbols: Iterable[Symbol]) -> list[str]:
    """Without versions."""
    return [name.partition("@")[0] if "@" in name else name for name in [symbol.name for symbol in symbols]]


def _imports(tables: DynamicTables) -> list[Symbol]:
    """What is looked up by name and not defined here, in the order of need."""
    needs = tables.wants
    wanted: list[object] = [
        *needs.plt,
        *needs.got,
        *needs.got_tp,
        *needs.got_tp_positive,
        *needs.tls_gd,
        *needs.tls_desc,
        *needs.imports,
    ]
    found: dict[Symbol, None] = {}
    for key in wanted:
        dynamic = key.dynamic if isinstance(key, Symbol) else None
        if isinstance(key, Symbol) and dynamic is not None and dynamic.preemptible and not dynamic.exported:
            found.setdefault(key)
    return [key for key in found if bound_late(key) or (key.dynamic is not None and key.dynamic.canonical)]


def _nodes(own: Iterable[str], plan: DynamicPlan, default: str) -> list[VersionNode]:
    """The versions that the output defines: --default-symver's, the script's, then those of .symver alone. own: the versions of its symbols."""
    used = dict.fromkeys(own)
    nodes: dict[str, VersionNode] = {default: VersionNode(default, 0)} if default in used else {}
    if plan.script is not None and plan.shared:
        for name, exported, hidden, parents in plan.script.versions:
            nodes[name] = VersionNode(name, 0, parents, weak=not (exported or hidden or name in used))
    for version in used:
        nodes.setdefault(version, VersionNode(version, 0))
    return [node._replace(number=number) for number, node in enumerate(nodes.values(), 2)]
