"""i386 in dynamic outputs: relocations that are not linear, and the code of the PLT (psABI 1.1, sections 4.3 and 5.2; TLS: Drepper).

Position-independent code has the address of .got.plt in %ebx when it calls through the PLT.
"""

from __future__ import annotations

from collections.abc import Callable

from uselib.linker.passes import i386
from uselib.linker.passes.dynamic_scan import (
    DynamicTypes,
    constant,
    dynamic_needs,
    is_chosen,
    local_exec,
    makes_shared,
    preemptible,
    scan_descriptor,
    scan_general_dynamic,
    scan_local_dynamic,
)
from uselib.linker.passes.i386 import has_base, ie_relaxes, relaxes
from uselib.linker.passes.relocations import Applying, MachineRelocations, Needs, Site, SpecialRelocation

TYPES = DynamicTypes(
    word=1,
    relative=8,
    chosen=42,
    glob_dat=6,
    jump_slot=7,
    copy=5,
    tpoff=14,
    tpoff_positive=37,
    dtpmod=35,
    dtpoff=36,
    tlsdesc=41,
)
_PLT_ENTRY = 16  # bytes
_NOPL = b"\x0f\x1f\x40\0"
_REL = 8  # bytes of a relocation: the PLT pushes offsets, not numbers


def plt_header(address: int, got: int, pic: bool) -> bytes:
    """ff 35 pushl GOT+4; ff 25 jmp *GOT+8. PIC: ff b3 pushl 4(%ebx); ff a3 jmp *8(%ebx)"""
    if pic:
        return b"\xff\xb3\x04\0\0\0\xff\xa3\x08\0\0\0\0\0\0\0"
    return b"\xff\x35" + _word(got + 4) + b"\xff\x25" + _word(got + 8) + b"\0\0\0\0"


def plt_entry(address: int, slot: int, number: int, start: int, got: int, pic: bool) -> bytes:
    """ff 25 jmp *slot, or ff a3 jmp *slot@GOT(%ebx); 68 pushl $offset; e9 jmp PLT0"""
    jump = b"\xff\xa3" + _word(slot - got) if pic else b"\xff\x25" + _word(slot)
    return jump + b"\x68" + _word(number * _REL) + b"\xe9" + _word(start - address - _PLT_ENTRY)


def plt_got_entry(address: int, slot: int, got: int, pic: bool) -> bytes:
    """ff 25 jmp *slot, or ff a3 jmp *slot@GOT(%ebx); 66 90 xchg %ax,%ax"""
    return (b"\xff\xa3" + _word(slot - got) if pic else b"\xff\x25" + _word(slot)) + b"\x66\x90"


def ibt_plt_header(address: int, got: int, pic: bool) -> bytes:
    """As plt_header; 0f 1f 40 00 nopl 0(%eax)"""
    return plt_header(address, got, pic)[:12] + _NOPL


def ibt_plt_entry(address: int, slot: int, number: int, start: int, got: int, pic: bool) -> bytes:
    """f3 0f 1e fb endbr32; 68 pushl $offset; e9 jmp PLT0; 66 90 xchg %ax,%ax"""
    return b"\xf3\x0f\x1e\xfb\x68" + _word(number * _REL) + b"\xe9" + _word(start - address - 14) + b"\x66\x90"


def ibt_plt_got_entry(address: int, slot: int, got: int, pic: bool) -> bytes:
    """f3 0f 1e fb endbr32; ff 25 jmp *slot, or ff a3 jmp *slot@GOT(%ebx); 66 0f 1f 44 00 00 nopw 0(%eax,%eax,1)"""
    entry = i386.iplt_entry(address, slot)
    return entry[:4] + b"\xff\xa3" + _word(slot - got) + entry[10:] if pic else entry


def _word(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def _pic(needs: Needs) -> bool:
    plan = dynamic_needs(needs).plan
    return plan is not None and plan.pic


def _scan_got(needs: Needs, site: Site) -> None:
    if _pic(needs) and not has_base(site):
        dynamic_needs(needs).problem(
            site, i386.SPECIAL[site.type].name, "an absolute address of a GOT entry, in code that moves"
        )
    needs.add_got(site)


def _scan_gotx(needs: Needs, site: Site) -> None:
    needs.uses_got = True
    how = relaxes(site)
    if how == "mov" and _pic(needs):
        dynamic_needs(needs).problem(site, "R_386_GOT32X", "an absolute address of a GOT entry, in code that moves")
    elif not how or preemptible(site) or (_pic(needs) and (constant(site) or is_chosen(site))):
        needs.add_got(site)


def _got32x(run: Applying, site: Site) -> None:
    i386.SPECIAL[3 if site.key in run.got_entries else 43].apply(run, site)


def _gd(run: Applying, site: Site) -> None:
    """Shared object: the pair (module, offset), relative to GOT. Program, preemptible: 65 a1 mov %gs:0,%eax; 03 80+r add x@gotntpoff(%r),%eax"""
    if site.key in run.tls_gd_entries:
        run.put(site, run.tls_gd_entries[site.key] + run.addend(site) - run.got)
    elif preemptible(site):
        code = site.before(3)
        with_index = len(code) == 3 and code[:2] == b"\x8d\x04"  # lea x@tlsgd(,%ebx,1),%eax
        register = code[2] >> 3 & 7 if with_index else code[-1] & 7
        entry = run.got_tp_entries[site.key] - run.got
        run.patch(site, -3 if with_index else -2, b"\x65\xa1\0\0\0\0\x03" + bytes((0x80 | register,)) + _word(entry))
    else:
        i386.SPECIAL[18].apply(run, site)


def _ldm(run: Applying, site: Site) -> None:
    if run.tls_ld_entry:
        run.put(site, run.tls_ld_entry + run.addend(site) - run.got)
    else:
        i386.SPECIAL[19].apply(run, site)


def _ldo_32(run: Applying, site: Site) -> None:
    if run.shared:
        run.put(site, run.symbol(site, addend=run.addend(site)) - run.tls_start)
    else:
        i386.SPECIAL[32].apply(run, site)


def _scan_ie(needs: Needs, site: Site) -> None:
    if makes_shared(needs):
        dynamic_needs(needs).static_tls = True
    if site.type == 15 and _pic(needs) and (preemptible(site) or not ie_relaxes(site) or makes_shared(needs)):
        dynamic_needs(needs).problem(site, "R_386_TLS_IE", "an absolute address of a GOT entry, in code that moves")
    if makes_shared(needs) or preemptible(site) or not ie_relaxes(site):
        needs.add_got_tp(site)


def _ie(run: Applying, site: Site) -> None:
    if site.key in run.got_tp_entries:
        entry = run.got_tp_entries[site.key] + run.addend(site)
        run.put(site, entry if site.type == 15 else entry - run.got)
    else:
        i386.SPECIAL[site.type].apply(run, site)


def _scan_ie_32(needs: Needs, site: Site) -> None:
    if makes_shared(needs):
        dynamic_needs(needs).static_tls = True
    needs.add_got_tp_positive(site)


def _desc(run: Applying, site: Site) -> None:
    """Program, preemptible: 8d lea x@tlsdesc(%ebx),%eax -> 8b mov x@gotntpoff(%ebx),%eax"""
    if site.key in run.tls_desc_entries:
        run.put(site, run.tls_desc_entries[site.key] + run.addend(site) - run.got)
    elif preemptible(site):
        run.patch(site, -2, b"\x8b")
        run.put(site, run.got_tp_entries[site.key] + run.addend(site) - run.got)
    else:
        i386.SPECIAL[39].apply(run, site)


def _desc_call(run: Applying, site: Site) -> None:
    if not run.shared:
        i386.SPECIAL[40].apply(run, site)


def _row(
    number: int, scan: Callable[[Needs, Site], None], apply: Callable[[Applying, Site], None]
) -> SpecialRelocation:
    return SpecialRelocation(i386.SPECIAL[number].name, scan, apply)


SPECIAL = i386.SPECIAL | {
    3: _row(3, _scan_got, i386.SPECIAL[3].apply),
    43: _row(43, _scan_gotx, _got32x),
    15: _row(15, _scan_ie, _ie),
    16: _row(16, _scan_ie, _ie),
    17: local_exec(i386.SPECIAL[17]),
    18: _row(18, scan_general_dynamic, _gd),
    19: _row(19, scan_local_dynamic, _ldm),
    32: SpecialRelocation("R_386_TLS_LDO_32", None, _ldo_32),
    33: _row(33, _scan_ie_32, i386.SPECIAL[33].apply),
    34: local_exec(i386.SPECIAL[34]),
    39: _row(39, scan_descriptor, _desc),
    40: SpecialRelocation("R_386_TLS_DESC_CALL", None, _desc_call),
}
RELOCATIONS: MachineRelocations = i386.RELOCATIONS._replace(special=SPECIAL)
