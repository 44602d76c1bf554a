"""x86-64 in dynamic outputs: relocations that are not linear, and the code of the PLT (psABI 1.0, sections 4.4 and 5.2; TLS: Drepper).

In a program thread-local accesses become initial-exec where the symbol is preemptible, else local-exec as in static programs. A
shared object keeps the general forms.
"""

from __future__ import annotations

from collections.abc import Callable

from uselib.linker.passes import x86_64
from uselib.linker.passes.dynamic_scan import (
    DynamicTypes,
    constant,
    dynamic_needs,
    local_exec,
    makes_shared,
    preemptible,
    scan_descriptor,
    scan_general_dynamic,
    scan_local_dynamic,
)
from uselib.linker.passes.relocations import Applying, MachineRelocations, Needs, Site, SpecialRelocation
from uselib.linker.passes.x86_64 import S32, relaxes

TYPES = DynamicTypes(
    word=1,
    relative=8,
    chosen=8,
    glob_dat=6,
    jump_slot=7,
    copy=5,
    tpoff=18,
    tpoff_positive=0,
    dtpmod=16,
    dtpoff=17,
    tlsdesc=36,
)
_PLT_ENTRY = 16  # bytes


def plt_header(address: int, got: int, pic: bool) -> bytes:
    """ff 35 pushq GOT+8(%rip); ff 25 jmp *GOT+16(%rip); 0f 1f 40 00 nopl 0(%rax)"""
    push, jump = got + 8 - (address + 6), got + 16 - (address + 12)
    return b"\xff\x35" + _word(push) + b"\xff\x25" + _word(jump) + b"\x0f\x1f\x40\0"


def plt_entry(address: int, slot: int, number: int, start: int, got: int, pic: bool) -> bytes:
    """ff 25 jmp *slot(%rip); 68 pushq $number; e9 jmp PLT0"""
    return (
        b"\xff\x25"
        + _word(slot - address - 6)
        + b"\x68"
        + _word(number)
        + b"\xe9"
        + _word(start - address - _PLT_ENTRY)
    )


def plt_got_entry(address: int, slot: int, got: int, pic: bool) -> bytes:
    """ff 25 jmp *slot(%rip); 66 90 xchg %ax,%ax"""
    return b"\xff\x25" + _word(slot - address - 6) + b"\x66\x90"


def ibt_plt_entry(address: int, slot: int, number: int, start: int, got: int, pic: bool) -> bytes:
    """f3 0f 1e fa endbr64; 68 pushq $number; e9 jmp PLT0; 66 90 xchg %ax,%ax"""
    return b"\xf3\x0f\x1e\xfa\x68" + _word(number) + b"\xe9" + _word(start - address - 14) + b"\x66\x90"


def ibt_plt_got_entry(address: int, slot: int, got: int, pic: bool) -> bytes:
    """f3 0f 1e fa endbr64; ff 25 jmp *slot(%rip); 66 0f 1f 44 00 00 nopw 0(%rax,%rax,1)"""
    return x86_64.iplt_entry(address, slot)


def _word(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def _scan_got(needs: Needs, site: Site) -> None:
    needs.add_got(site)


def _scan_gotx(needs: Needs, site: Site) -> None:
    how, plan = relaxes(site), dynamic_needs(needs).plan
    moves = plan is not None and plan.pic and constant(site) and how != "lea"
    if not how or preemptible(site) or moves:
        needs.add_got(site)


def _got_pcrelx(run: Applying, site: Site) -> None:
    special = x86_64.SPECIAL[9 if site.key in run.got_entries else site.type]
    special.apply(run, site)


def _gd(run: Applying, site: Site) -> None:
    """Shared object: the address of the pair (module, offset). Program, preemptible: mov %fs:0,%rax; 48 03 05 add x@gottpoff(%rip),%rax"""
    place = run.place + site.offset
    if site.key in run.tls_gd_entries:
        run.put(site, run.tls_gd_entries[site.key] + run.addend(site) - place, low=S32[0], high=S32[1])
    elif preemptible(site):
        large = x86_64.is_large_sequence(site)  # it begins a byte later, and its call is longer
        entry = run.got_tp_entries[site.key] - place - (13 if large else 12)
        code = x86_64.MOV_FS_RAX + b"\x48\x03\x05" + _word(entry)
        run.patch(site, -3 if large else -4, code + (x86_64.NOP_6 if large else b""))
    else:
        x86_64.SPECIAL[19].apply(run, site)


def _ld(run: Applying, site: Site) -> None:
    if run.tls_ld_entry:
        run.put(site, run.tls_ld_entry + run.addend(site) - (run.place + site.offset), low=S32[0], high=S32[1])
    else:
        x86_64.SPECIAL[20].apply(run, site)


def _dtpoff(width: int, number: int) -> SpecialRelocation:
    def apply(run: Applying, site: Site) -> None:
        """S + A - the start of the output's block, where local-dynamic code keeps its form."""
        if run.shared:
            value = run.symbol(site, addend=run.addend(site, width)) - run.tls_start
            run.put(site, value, width)
        else:
            x86_64.SPECIAL[number].apply(run, site)

    return SpecialRelocation(x86_64.SPECIAL[number].name, None, apply)


def _scan_ie(needs: Needs, site: Site) -> None:
    if makes_shared(needs):
        dynamic_needs(needs).static_tls = True
    if makes_shared(needs) or preemptible(site) or not x86_64.ie_relaxes(site):
        needs.add_got_tp(site)


def _ie(run: Applying, site: Site) -> None:
    """The GOT entry holds the offset from TP."""
    if site.key in run.got_tp_entries:
        entry = run.got_tp_entries[site.key]
        run.put(site, entry + run.addend(site) - (run.place + site.offset), low=S32[0], high=S32[1])
    else:
        x86_64.SPECIAL[22].apply(run, site)


def _desc(run: Applying, site: Site) -> None:
    """Program, preemptible: 8d lea x@tlsdesc(%rip),%reg -> 8b mov x@gottpoff(%rip),%reg"""
    place = run.place + site.offset
    if site.key in run.tls_desc_entries:
        run.put(site, run.tls_desc_entries[site.key] + run.addend(site) - place, low=S32[0], high=S32[1])
    elif preemptible(site):
        run.patch(site, -2, b"\x8b")
        run.put(site, run.got_tp_entries[site.key] + run.addend(site) - place, low=S32[0], high=S32[1])
    else:
        x86_64.SPECIAL[34].apply(run, site)


def _desc_call(run: Applying, site: Site) -> None:
    if not run.shared:
        x86_64.SPECIAL[35].apply(run, site)


def _row(
    number: int, scan: Callable[[Needs, Site], None], apply: Callable[[Applying, Site], None]
) -> SpecialRelocation:
    return SpecialRelocation(x86_64.SPECIAL[number].name, scan, apply)


SPECIAL = x86_64.SPECIAL | {
    17: _dtpoff(8, 17),
    18: local_exec(x86_64.SPECIAL[18]),
    19: _row(19, scan_general_dynamic, _gd),
    20: _row(20, scan_local_dynamic, _ld),
    21: _dtpoff(4, 21),
    22: _row(22, _scan_ie, _ie),
    23: local_exec(x86_64.SPECIAL[23]),
    34: _row(34, scan_descriptor, _desc),
    35: SpecialRelocation(x86_64.SPECIAL[35].name, None, _desc_call),
    41: _row(41, _scan_gotx, _got_pcrelx),
    42: _row(42, _scan_gotx, _got_pcrelx),
}
RELOCATIONS: MachineRelocations = x86_64.RELOCATIONS._replace(special=SPECIAL)
