"""The tables of a dynamic output that the scan found to be needed: .got, .got.plt, .plt, .rela.dyn, .rela.plt, copies of variables.

    .got       addresses; offsets from TP; (module, offset) pairs of general-dynamic and local-dynamic accesses; descriptors; one word
               for each function that is resolved at start-up (IRELATIVE)
    .got.plt   the address of .dynamic, two words for the dynamic linker, one word for each PLT entry

.rela.dyn has RELATIVE first (DT_RELACOUNT), unless they are packed (packed_relatives.py), then what names symbols, IRELATIVE last, as glibc
wants it. i386 has Elf32_Rel, whose addends are in the fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from uselib.linker.formats import elf
from uselib.linker.formats.elf import (
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_WRITE,
    SHT_PROGBITS,
    SHT_REL,
    SHT_RELA,
    ElfRelocation,
)
from uselib.linker.formats.rows import packed_columns, packed_words
from uselib.linker.image import Machine
from uselib.linker.passes.dynamic_code import DynamicCode
from uselib.linker.passes.dynamic_plt import DynamicPlt
from uselib.linker.passes.dynamic_scan import DynamicNeeds, chosen_by_word
from uselib.linker.passes.dynamic_symbols import DynamicPlan
from uselib.linker.passes.dynamic_words import Placing, packed_rows, sorted_rows
from uselib.linker.passes.got import Tables
from uselib.linker.passes.model import InputSection, ObjectFile, Symbol
from uselib.linker.passes.packed_relatives import PackedRelatives, packable
from uselib.linker.passes.relocations import IPLT_SIZE, Applying, MachineRelocations, SymbolKey

RESERVED = 3  # words of .got.plt


def bound_late(key: SymbolKey) -> bool:
    """Whether the dynamic linker looks the symbol up: preemptible, and not made its own by the program (a copy, a canonical PLT entry)."""
    dynamic = key.dynamic if isinstance(key, Symbol) else None
    return dynamic is not None and dynamic.preemptible and not dynamic.copied and not dynamic.canonical


class DynamicTables(Tables):
    """The tables of a dynamic output, with their sizes; contents come from `fill` and `relocations`."""

    def __init__(
        self,
        machine: MachineRelocations,
        needs: DynamicNeeds,
        plan: DynamicPlan,
        code: DynamicCode,
        *,
        pack: bool,
        ibt: bool,
    ) -> None:
        """pack: relative relocations are packed. ibt: the PLT begins its entries with ENDBR."""
        super().__init__(machine, needs, None, None, None)
        self.wants, self.plan, self.code = needs, plan, code
        word = machine.word
        count = sum(size for _, size in self._parts())
        flags = SHF_ALLOC | SHF_WRITE
        if count:
            self.got = InputSection(None, 0, ".got", SHT_PROGBITS, flags, count * word, word, word)
        self.got_plt = InputSection(
            None, 0, ".got.plt", SHT_PROGBITS, flags, (RESERVED + len(needs.plt)) * word, word, word
        )
        plt_code = code.ibt if ibt else code.plain
        self.plt = DynamicPlt(plt_code, word, len(needs.plt), len(needs.plt_got), plan.pic)
        if needs.ifuncs:
            size = len(needs.ifuncs) * IPLT_SIZE
            self.iplt = InputSection(None, 0, ".plt.ifunc", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, size, 16, 16)
        self.rela = word == 8
        self.entry_bytes = 24 if self.rela else 8
        prefix, kind = (".rela", SHT_RELA) if self.rela else (".rel", SHT_REL)
        self.packed: PackedRelatives | None = None
        if pack and plan.pic:
            self._packed_words = needs.words.take_out(code.types.relative, packable)
            self.packed = PackedRelatives(word) if len(self._packed_words) or self._relative_got() else None
        self.rela_dyn = self._relocation_section(f"{prefix}.dyn", kind, self._count())
        self.rela_plt = self._relocation_section(f"{prefix}.plt", kind, len(needs.plt))
        self.copies = [symbol.section for symbol in needs.copies if symbol.section is not None]

    def _relocation_section(self, name: str, kind: int, count: int) -> InputSection | None:
        if not count:
            return None
        size = count * self.entry_bytes
        return InputSection(None, 0, name, kind, SHF_ALLOC, size, self.machine.word, self.entry_bytes, bytes(size))

    def _parts(self) -> list[tuple[str, int]]:
        """The parts of .got in their order, with their numbers of words."""
        needs = self.wants
        return [
            ("got", len(needs.got)),
            ("got_tp", len(needs.got_tp)),
            ("got_tp_positive", len(needs.got_tp_positive)),
            ("tls_gd", 2 * len(needs.tls_gd)),
            ("tls_ld", 2 * needs.tls_ld),
            ("tls_desc", 2 * len(needs.tls_desc)),
            ("ifuncs", len(needs.ifuncs)),
        ]

    def _start(self, part: str) -> int:
        """The address of a part of .got."""
        before = 0
        for name, size in self._parts():
            if name == part:
                break
            before += size
        return (self.got.address if self.got is not None else 0) + before * self.machine.word

    def _addresses(self, part: str, keys: Iterable[SymbolKey], words: int = 1) -> dict[SymbolKey, int]:
        start, step = self._start(part), words * self.machine.word
        return {key: start + n * step for n, key in enumerate(keys)}

    @property
    def sections(self) -> list[InputSection]:
        """What goes to the layout."""
        found = (self.got, self.got_plt, *self.plt.sections, self.iplt, self.rela_dyn, self.rela_plt, *self.copies)
        packed = [self.packed.section] if self.packed is not None else []
        return [*(section for section in found if section is not None), *packed]

    @property
    def got_address(self) -> int:
        return self.got_plt.address

    def got_entries(self) -> dict[SymbolKey, int]:
        return self._addresses("got", self.wants.got)

    def got_tp_entries(self) -> dict[SymbolKey, int]:
        return self._addresses("got_tp", self.wants.got_tp)

    def got_tp_positive_entries(self) -> dict[SymbolKey, int]:
        return self._addresses("got_tp_positive", self.wants.got_tp_positive)

    def ifunc_slots(self) -> list[int]:
        return list(self._addresses("ifuncs", self.wants.ifuncs).values())

    def plt_slots(self) -> range:
        """The addresses of the words of .got.plt that functions are bound in."""
        first, word = self.got_plt.address + RESERVED * self.machine.word, self.machine.word
        return range(first, first + len(self.wants.plt) * word, word)

    def settle_canonical(self) -> None:
        """Addresses are final: functions whose PLT entry is their address get it."""
        for number, symbol in enumerate(self.wants.plt):
            if symbol.dynamic is not None and symbol.dynamic.canonical:
                symbol.address = self.plt.address(number)

    def prepare(self, run: Applying) -> None:
        """Tells `run` where the entries for thread-local data are."""
        run.shared = self.plan.shared
        run.tls_gd_entries = self._addresses("tls_gd", self.wants.tls_gd, 2)
        run.tls_desc_entries = self._addresses("tls_desc", self.wants.tls_desc, 2)
        run.tls_ld_entry = self._start("tls_ld") if self.wants.tls_ld else 0

    # -- contents --------------------------------------------------------------------------------------------------------

    def fill(self, run: Applying, dynamic: int) -> None:
        """The contents of .got, .got.plt and .plt. dynamic: the address of .dynamic."""
        needs = self.wants
        if self.got is not None:
            self.got.content = self._got_content(run)
        self.got_plt.content = packed_words([dynamic, 0, 0, *self.plt.unbound()], self.machine.word)
        words = self.got_entries() if needs.plt_got else {}
        self.plt.fill(self.plt_slots(), [words[symbol] for symbol in needs.plt_got], self.got_plt.address)
        if self.iplt is not None:
            entry, got, pic = self.code.ibt.got_entry, self.got_plt.address, self.plan.pic
            rows = enumerate(self.ifunc_slots())
            self.iplt.content = b"".join(entry(self.iplt_address(n), slot, got, pic) for n, slot in rows)

    def _got_content(self, run: Applying) -> bytes:
        needs = self.wants
        by_word = chosen_by_word(self.code.types, self.plan)
        resolvers = dict(zip(needs.ifuncs, self.resolvers, strict=True)) if by_word else {}

        def value(key: SymbolKey, place: tuple[ObjectFile, int]) -> int:
            file, index = place
            if key in resolvers:
                return resolvers[key]
            return 0 if bound_late(key) else run.values(file).references[index] or 0

        def thread(key: SymbolKey, place: tuple[ObjectFile, int]) -> int:
            return 0 if bound_late(key) else value(key, place) - run.tls_start

        values = [value(*item) for item in needs.got.items()]
        for sign, rows in ((1, needs.got_tp), (-1, needs.got_tp_positive)):
            for key, place in rows.items():
                if bound_late(key):
                    values.append(0)
                elif self.plan.shared:
                    values.append(sign * thread(key, place))
                else:
                    values.append(sign * (value(key, place) - run.thread_pointer))
        for key, place in needs.tls_gd.items():
            values += [0, thread(key, place)]
        values += [0, 0] * needs.tls_ld
        for key, place in needs.tls_desc.items():
            values += [0, thread(key, place)]
        values += self.resolvers if self.machine.word == 4 else [0] * len(needs.ifuncs)
        return packed_words(values, self.machine.word)

    # -- relocations for the dynamic linker --------------------------------------------------------------------------------

    def _moves(self, key: SymbolKey, place: tuple[ObjectFile, int]) -> bool:
        """Whether a GOT word has an address of the output, which moves with it."""
        if not self.plan.pic or bound_late(key):
            return False
        if isinstance(key, Symbol):
            return key.section is not None or key.provided or (key.dynamic is not None and key.dynamic.canonical)
        file, index = place
        return 0 < file.symbols[index].section != elf.SHN_ABS

    def _word_type(self, key: SymbolKey) -> int:
        """The relocation type of a GOT word that moves."""
        types = self.code.types
        return types.chosen if key in self.wants.ifuncs and chosen_by_word(types, self.plan) else types.relative

    @property
    def relative_count(self) -> int:
        """How many relocations are RELATIVE, in .rela.dyn or .rel.dyn."""
        relative = self.code.types.relative
        found = self.wants.words.count(relative)
        return found if self.packed is not None else found + len(self._relative_got())

    def _relative_got(self) -> list[int]:
        """The addresses of the GOT words that have a RELATIVE relocation."""
        relative, rows = self.code.types.relative, zip(self.wants.got.items(), self.got_entries().values(), strict=True)
        return [at for item, at in rows if self._moves(*item) and self._word_type(item[0]) == relative]

    def fit(self) -> bool:
        """Addresses have been assigned. False: .relr.dyn has grown, and they have to be assigned again."""
        return self.packed is None or self.packed.fit([*self._packed_words.addresses(), *self._relative_got()])

    def _count(self) -> int:
        """How many relocations .rela.dyn has."""
        needs, shared = self.wants, self.plan.shared
        tp = [*needs.got_tp, *needs.got_tp_positive]
        return (
            len(needs.words)
            + sum(self._moves(*item) for item in needs.got.items())
            + sum(map(bound_late, needs.got))
            + sum(shared or bound_late(key) for key in tp)
            + sum(1 + bound_late(key) for key in needs.tls_gd)
            + needs.tls_ld
            + len(needs.tls_desc)
            + len(needs.copies)
            + len(needs.ifuncs)
            - (len(self._relative_got()) if self.packed is not None else 0)
        )

    def relocations(self, image: bytearray, run: Applying) -> tuple[bytes, bytes]:
        """The contents of .rela.dyn and .rela.plt. The image has been relocated; i386's fields with symbolic relocations get their
        addends."""
        types, records = self.code.types, elf.class_of(Machine.X86_64 if self.rela else Machine.I386)
        singles = [*self._of_got(), *self._of_threads(run)]
        singles += [ElfRelocation(symbol.address, types.copy, _number(symbol), 0) for symbol in self.wants.copies]
        if self.packed is not None:
            packed = frozenset(self._relative_got())
            singles = [row for row in singles if row.type != types.relative or row.offset not in packed]
        irelative = self.machine.irelative
        entries = self.iplt.address if self.iplt is not None else 0
        how = Placing(image, records, self.rela, types.word, irelative, entries, self.resolvers)
        rows = self.wants.words.placed(how)
        rows += packed_rows(singles)
        dynamic = sorted_rows(rows, types.relative, irelative, records, self.rela)
        pack = self._packed(records)
        slots = zip(self.ifunc_slots(), self.resolvers, strict=True)
        dynamic += b"".join(pack(ElfRelocation(slot, irelative, 0, resolver)) for slot, resolver in slots)
        shift = 32 if self.rela else 8  # of the symbol's number in r_info
        bindings = [symbol.dynamic for symbol in self.wants.plt]
        infos = [dynamic.number << shift | types.jump_slot for dynamic in bindings if dynamic is not None]
        columns = [self.plt_slots(), infos, *([[0] * len(infos)] if self.rela else ())]
        return dynamic, packed_columns(columns, self.machine.word)

    def _packed(self, records: elf.ElfClass) -> Callable[[ElfRelocation], bytes]:
        if self.rela:
            return records.pack_relocation
        return lambda row: records.pack_relocation(row._replace(addend=None))

    def _of_got(self) -> list[ElfRelocation]:
        types, word, rows = self.code.types, self.machine.word, []
        for (key, place), address in zip(self.wants.got.items(), self.got_entries().values(), strict=True):
            if bound_late(key):
                rows.append(ElfRelocation(address, types.glob_dat, _number(key), 0))
            elif self._moves(key, place):
                at = address - self.got.address if self.got is not None else 0
                content = self.got.content if self.got is not None else b""
                value = int.from_bytes(bytes(content[at : at + word]), "little", signed=True)
                rows.append(ElfRelocation(address, self._word_type(key), 0, value))
        return rows

    def _of_threads(self, run: Applying) -> list[ElfRelocation]:
        needs, types, word, shared = self.wants, self.code.types, self.machine.word, self.plan.shared
        rows: list[ElfRelocation] = []

        def offset(key: SymbolKey, place: tuple[ObjectFile, int]) -> int:
            file, index = place
            return 0 if bound_late(key) else (run.values(file).references[index] or 0) - run.tls_start

        tables: tuple[tuple[int, Mapping[SymbolKey, tuple[ObjectFile, int]], Mapping[SymbolKey, int]], ...] = (
            (types.tpoff, needs.got_tp, self.got_tp_entries()),
            (types.tpoff_positive, needs.got_tp_positive, self.got_tp_positive_entries()),
        )
        for kind, keys, entries in tables:
            for key, place in keys.items():
                if shared or bound_late(key):
                    rows.append(ElfRelocation(entries[key], kind, _number(key), offset(key, place)))
        for key, address in self._addresses("tls_gd", needs.tls_gd, 2).items():
            rows.append(ElfRelocation(address, types.dtpmod, _number(key), 0))
            if bound_late(key):
                rows.append(ElfRelocation(address + word, types.dtpoff, _number(key), 0))
        if needs.tls_ld:
            rows.append(ElfRelocation(self._start("tls_ld"), types.dtpmod, 0, 0))
        for (key, place), address in zip(
            needs.tls_desc.items(), self._addresses("tls_desc", needs.tls_desc, 2).values(), strict=True
        ):
            rows.append(ElfRelocation(address, types.tlsdesc, _number(key), offset(key, place)))
        return rows


def _number(key: SymbolKey) -> int:
    """The number in .dynsym; 0 for what is not looked up by name."""
    if (
        isinstance(key, Symbol)
        and key.dynamic is not None
        and (bound_late(key) or key.dynamic.copied or key.dynamic.plt >= 0)
    ):
        return key.dynamic.number
    return 0
