"""PageTable: answers Unicorn's page lookups from the address space, with no page both writable and executable.

Unicorn asks when a page is not in its TLB (UC_HOOK_TLB_FILL). What is settled for a page goes into a table that native code reads
(native_pages.py), so Python is asked once for each region and not for each page. Stores to pages that were never executable are fast;
a page the guest mapped RWX (a library under uselib(2), an old a.out program) is therefore answered either RW- or R-X,
by what it was last used for, and changes over when it is used the other way: the lookup is refused, the run loop calls
`resolve`, which drops the page's translations, and the instruction runs again.
A page whose code writes to the page itself, or that changes over again and again, is answered RWX: slow, but right.
The same memory may be mapped in several places: code_aliases.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from uselib.emulator.machine.code_aliases import CodeAliases, SharedCode, ranges
from uselib.emulator.machine.engine import MEM_FETCH, MEM_READ, MEM_WRITE, Engine
from uselib.emulator.machine.native_pages import PAGE_BITS, RUNS, LookupTable, NoLookups, lookups
from uselib.linker.quick_typing import TYPE_CHECKING
from uselib.loader.memory.address_space import (
    PAGE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    AddressSpace,
    Vma,
    page_down,
    page_up,
)
from uselib.loader.memory.host_memory import Reservation, Window
from uselib.loader.memory.vma import FileIdentity

if TYPE_CHECKING:
    from uselib.emulator.machine.x87 import X87

_WRITABLE = PROT_READ | PROT_WRITE  # Unicorn's permission bits are the same as PROT_*
_RUNNABLE = PROT_READ | PROT_EXEC
_BOTH = PROT_READ | PROT_WRITE | PROT_EXEC
_AT_ONCE = 64 << 20  # bytes of a mapping that are entered into the table together
FAR = (
    1 << 48
)  # physical addresses of reservations (loader/memory/windows.py) begin here; the others are the virtual ones
MAX_CHANGES = 16  # of one page between writable and executable, before it becomes both


def _nobody_asks() -> None:
    """Nobody wants to know."""


class PageTable:
    """Listener of an AddressSpace, and the TLB callback's policy.

    refused: the last lookup that was answered no: (page, access), for the run loop. beyond_file: because the mapped file ended before the page;
    it may be longer again when the run loop looks. on_shared_code: called when another process could change what is executed from now on.
    """

    def __init__(
        self,
        engine: Engine,
        space: AddressSpace,
        kernel_pages: frozenset[int],
        x87: X87 | None,
        on_mapped: Callable[[Vma], None],
    ) -> None:
        self._engine = engine
        self._space = space
        self._kernel_pages = kernel_pages  # the GDT: the CPU reads it, the guest has no address there
        self._twofold: dict[int, int] = {}  # RWX page -> permissions it has now
        self._changes: dict[int, int] = {}
        self._executed: set[int] = set()  # pages that may have translations
        self._aliases = CodeAliases(space.vmas)
        self._reservations: dict[Reservation, int] = {}  # and their physical addresses
        self._shared_code = SharedCode()
        self._apart: set[int] = set()  # executed pages that are not taken for the file's any more
        self._stand_ins: dict[int, int] = {}  # page -> executed page of the same memory that is written in its place
        self._x87 = x87
        self._on_mapped = on_mapped
        self._scanned: set[int] = set()  # pages whose x87 instructions are hooked, as their contents are now
        self._unhooked: set[int] = set()  # executed pages with a new hook, so that their translations are out of date
        self._dropping = False
        self.on_shared_code: Callable[[], None] = _nobody_asks
        self._withheld: frozenset[int] = frozenset()
        self._elsewhere: dict[int, int] = {}
        bits = space.layout.bits
        self._table: LookupTable = lookups(engine, bits, self.fill, self._elsewhere)
        self.refused: tuple[int, int] | None = None
        self.beyond_file = False

    def close(self) -> None:
        """After the engine."""
        self._table.close()
        self._table = NoLookups()

    @property
    def shares_code(self) -> bool:
        """Whether other processes could change what is executed."""
        return bool(self._shared_code)

    @property
    def withheld(self) -> frozenset[int]:
        """Pages that answer no write (watchpoints)."""
        return self._withheld

    def withhold(self, pages: Iterable[int]) -> None:
        """These pages answer no write from now on, and no others."""
        before, self._withheld = self._withheld, frozenset(pages)
        for page in before ^ self._withheld:
            self._table.forget(page >> PAGE_BITS, 1)

    def move_elsewhere(self, pages: Mapping[int, int]) -> None:
        """Reads and writes of these pages have other physical addresses (VirtualMachine.watch_pages)."""
        self._elsewhere.update(pages)
        for page in pages:
            self._table.forget(page >> PAGE_BITS, 1)

    # -- the callback -------------------------------------------------------------------------------------------------

    def fill(self, page: int, access: int) -> int:
        """Permissions for a page (0: fault)."""
        vma = self._space.vmas.find(page)
        if vma is None and page in self._kernel_pages:
            return _BOTH
        vma = vma or self._grown_to(page)
        if vma is None:
            return self._refuse(page, access)
        prot = vma.prot & ~PROT_WRITE if page in self._withheld else vma.prot
        wanted = PROT_WRITE if access == MEM_WRITE else PROT_EXEC if access == MEM_FETCH else _BOTH
        if not prot & wanted:
            return self._refuse(page, access)
        if self._beyond_end(vma, page):
            return self._refuse(page, access, beyond_file=True)
        if access == MEM_FETCH and not self._may_execute(vma, page):
            return self._put_off(page, access)
        if page in self._stand_ins:
            return _BOTH
        held = vma.shared and not self._dropping and bool(prot & PROT_WRITE and self._aliases.others(vma, page))
        if held and access == MEM_WRITE:
            return self._put_off(page, access)
        return self._settle(vma, page, access, prot, held)

    def _grown_to(self, page: int) -> Vma | None:
        """The stack, if it grows down to the page."""
        return None if self._dropping or not self._space.grow_stack(page) else self._space.vmas.find(page)

    def _put_off(self, page: int, access: int, *, beyond_file: bool = False) -> int:
        """The run loop has something to do first (`resolve`); then the page is looked up again."""
        self.refused, self.beyond_file = (page, access), beyond_file
        return 0

    def _settle(self, vma: Vma, page: int, access: int, prot: int, held: bool) -> int:
        """The permissions of a page that may be accessed, noted for the next time. held: it is executed elsewhere, and answers no write."""
        if prot & PROT_WRITE and prot & PROT_EXEC:
            perms = self._fill_twofold(page, access) & ~(PROT_WRITE if held else 0)
            if page not in self._executed:
                perms &= ~PROT_EXEC  # it is looked up once more, to be noted
            if perms:
                self._enter(page, perms)
            return perms
        if held:
            prot &= ~PROT_WRITE
        if prot & PROT_EXEC and page not in self._executed:
            prot &= ~PROT_EXEC  # it is looked up once more, to be scanned, before it is executed
        self._enter_around(vma, page, prot | PROT_READ)
        return prot | PROT_READ

    def _refuse(self, page: int, access: int, *, beyond_file: bool = False) -> int:
        """A fault; but while translations are dropped every page is found."""
        return _BOTH if self._dropping else self._put_off(page, access, beyond_file=beyond_file)

    def _may_execute(self, vma: Vma, page: int) -> bool:
        """Notes that the page is executed. False if translations have to be dropped first, which cannot be done within a lookup."""
        if page not in self._executed:
            self._executed.add(page)
            if vma.backing is not None and page not in self._apart:
                self._withdraw_writing(vma, page)
        if page not in self._scanned:
            self._scan(vma, page)
            return not self._unhooked or self._dropping
        return True

    def _withdraw_writing(self, vma: Vma, page: int) -> None:
        """A page that other mappings may show as well is executed from now on."""
        for other in self._aliases.executed(vma, page):
            if self._stand_ins.pop(other, None) is not None:
                del self._elsewhere[other]
            self._table.forget(other >> PAGE_BITS, 1)
        if vma.shared or (vma.file is not None and vma.file.mutable):
            self._shared_code.note(page, page + self._window(page).delta)
            self.on_shared_code()

    def _enter(self, page: int, perms: int) -> None:
        """Notes the answer for a page."""
        if page not in self._elsewhere and not self._dropping:
            runs = RUNS if perms & PROT_EXEC and page in self._executed else 0
            self._table.put(page >> PAGE_BITS, perms & _WRITABLE | runs)

    def _enter_around(self, vma: Vma, page: int, perms: int) -> None:
        """Notes the answer for a page, and what holds for reads and writes of the pages around it."""
        if perms & PROT_EXEC or self._withheld or self._elsewhere or self._aliases.concerns(vma):
            self._enter(page, perms)
            return
        start, end = max(vma.start, page & -_AT_ONCE), min(vma.end, (page & -_AT_ONCE) + _AT_ONCE)
        if vma.backing is not None:
            end = min(end, page_up(vma.start - vma.offset + vma.backing.size()))
        self._table.allow(start >> PAGE_BITS, (end - start) >> PAGE_BITS, perms)

    def _scan(self, vma: Vma, page: int) -> None:
        self._scanned.add(page)
        if self._x87 is not None:
            behind = page + PAGE
            more = behind < min(vma.end, self._window(page).end) and not self._beyond_end(vma, behind)
            hooked_behind = self._x87.scan(self._window(page), page, PAGE + 2 if more else PAGE)
            if hooked_behind and behind in self._executed:
                self._unhooked.add(behind)

    def _window(self, page: int) -> Window:
        window = self._space.windows.find(page)
        assert window is not None
        return window

    @staticmethod
    def _beyond_end(vma: Vma, page: int) -> bool:
        return vma.backing is not None and vma.offset + page - vma.start >= vma.backing.size()

    def _fill_twofold(self, page: int, access: int) -> int:
        now = self._twofold.get(page)
        if now is None:
            if access == MEM_READ:
                return PROT_READ
            now = self._twofold[page] = _RUNNABLE if access == MEM_FETCH else _WRITABLE
        elif (access == MEM_FETCH and not now & PROT_EXEC) or (access == MEM_WRITE and not now & PROT_WRITE):
            return self._refuse(page, access)
        return now

    # -- the run loop's side ------------------------------------------------------------------------------------------

    def resolve(self, page: int, access: int, pc: int) -> bool:
        """After a refusal: True if the page has changed over and the instruction can run again, False for a fault."""
        if self._unhooked:
            self._drop(page, page)
            return True
        now = self._twofold.get(page)
        vma = self._space.vmas.find(page)
        if page in self._withheld:
            return False
        if access == MEM_WRITE and vma is not None and (stale := self._aliases.others(vma, page)):
            self._let_write(vma, page, stale, pc)
            return True
        if now is None or vma is None or not (vma.prot & PROT_WRITE and vma.prot & PROT_EXEC) or now == _BOTH:
            return False
        count = self._changes[page] = self._changes.get(page, 0) + 1
        writes_itself = access != MEM_FETCH and page in (page_down(pc), page_down(pc + 14))
        if writes_itself or count > MAX_CHANGES:
            self._twofold[page] = _BOTH
            if self._x87 is not None:
                self._x87.watch_page(self._window(page), page)
        else:
            self._twofold[page] = _RUNNABLE if access == MEM_FETCH else _WRITABLE
        if access == MEM_WRITE:
            self._forget_pages([page])
        else:
            self._scanned.discard(page)
            self._table.forget(page >> PAGE_BITS, 1)
        return True

    def _let_write(self, vma: Vma, page: int, stale: set[int], pc: int) -> None:
        """A write to `page` changes executed pages elsewhere. If the instruction itself is in one of them, or this happens again and again, that
        one stays: the CPU then writes to it instead of `page`, and sees as always that it has translations."""
        count = self._changes[page] = self._changes.get(page, 0) + 1
        itself = stale & {page_down(pc), page_down(pc + 14)}
        often = count > MAX_CHANGES and not vma.prot & PROT_EXEC
        for code in sorted(itself or (stale if often else ()))[:1]:
            executed = self._space.vmas.find(code)
            if executed is not None and executed.shared:
                self._stand_ins[page] = self._elsewhere[page] = code
                stale = stale - {code}
            elif code in itself:
                self._apart.add(code)  # its own copy, as it will be after its first write
                self._aliases.forget([code])
                stale = stale - {code}
        self._forget_pages(stale)
        self._table.forget(page >> PAGE_BITS, 1)

    def _drop(self, start: int, end: int) -> None:
        """Forgets the translations of a range of pages, and of pages that hooks were added to."""
        self._dropping = True  # Unicorn looks the pages up once more; it must find them
        try:
            if start < end:
                self._engine.drop_translations(start, end)
            while self._unhooked:
                page = self._unhooked.pop()
                self._engine.drop_translations(page, page + PAGE)
        finally:
            self._dropping = False

    # -- Listener -----------------------------------------------------------------------------------------------------

    @property
    def catches_faults(self) -> bool:
        return self._engine.core is not None

    def window_added(self, window: Window) -> None:
        if window.reservation is None:
            self._engine.map_host(window.start, window.end - window.start, window.start + window.delta)
            return
        if window.reservation not in self._reservations:
            place = max((at + reservation.size for reservation, at in self._reservations.items()), default=FAR)
            self._engine.map_host(place, window.reservation.size, window.reservation.host)
            self._reservations[window.reservation] = place
        shift = self._reservations[window.reservation] - window.reservation.host + window.delta
        self._table.place(window.start >> PAGE_BITS, (window.end - window.start) >> PAGE_BITS, shift)

    def virtual(self, address: int) -> int:
        """The guest's address of a physical one."""
        for reservation, place in self._reservations.items():
            if place <= address < place + reservation.size:
                window = self._space.windows.of_host(address - place + reservation.host)
                return address if window is None else address - place + reservation.host - window.delta
        return address

    def mapped(self, vma: Vma) -> None:
        """Nothing was there, so nothing is cached."""
        self._on_mapped(vma)

    def changed(self, start: int, end: int) -> None:
        self._forget_code(start, end, twofold=True)
        self._table.forget(start >> PAGE_BITS, (end - start) >> PAGE_BITS)

    def lost_page(self) -> int:
        return self._engine.lost_page()

    def exchange_word(self, host: int, expected: int, value: int) -> int | None:
        return self._engine.exchange_word(host, expected, value)

    def code_written(self, start: int, end: int) -> None:
        start, end = page_down(start), page_up(end)
        self._forget_code(start, end, twofold=False)
        if self._aliases:
            for vma in self._space.vmas.overlapping(start, end):
                self._forget_pages(self._aliases.reached(vma, start, end))

    def file_changed(self, identity: FileIdentity) -> None:
        if self._aliases:
            self._forget_pages(self._aliases.of_file(identity))

    def check_shared_code(self) -> None:
        """Another process may have changed executable memory that it shares with this one."""
        if self._shared_code:
            changed = self._shared_code.changed()
            self._space.recover_lost()
            self._forget_pages(changed)

    def _forget_code(self, start: int, end: int, *, twofold: bool) -> None:
        pages = range(start, end, PAGE)
        if len(pages) > len(self._executed) + len(self._twofold):
            stale = [page for page in self._executed if start <= page < end]
            marked = [page for page in self._twofold if start <= page < end]
        else:
            stale = [page for page in pages if page in self._executed]
            marked = [page for page in pages if page in self._twofold]
        self._forget_pages(stale)
        if twofold:
            for page in marked:
                del self._twofold[page]
                self._changes.pop(page, None)
            if self._apart or self._stand_ins:
                self._apart = {page for page in self._apart if not start <= page < end}
                self._forget_stand_ins(start, end)

    def _forget_pages(self, pages: Collection[int]) -> None:
        """They have been executed, and what they contain is not what it was."""
        if not pages:
            return
        for start, end in ranges(pages):
            for first in range(start, end, PAGE if self._reservations else end - start):
                self._drop(first, first + PAGE if self._reservations else end)
        for page in pages:
            self._table.forget(page >> PAGE_BITS, 1)
        self._executed.difference_update(pages)
        self._scanned.difference_update(pages)
        self._aliases.forget(pages)
        self._shared_code.forget(pages)

    def _forget_stand_ins(self, start: int, end: int) -> None:
        for page, code in list(self._stand_ins.items()):
            if start <= page < end or start <= code < end:
                del self._stand_ins[page], self._elsewhere[page]
                self._table.forget(page >> PAGE_BITS, 1)
