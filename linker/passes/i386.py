"""Relocations of i386 (psABI 1.1, table 4.10; relaxations: section B.2; TLS: Drepper, "ELF Handling For Thread-Local
Storage", section 5). Fields are SHT_REL: the addend is in the field. Addresses wrap at 2^32, so 32-bit fields always fit."""

from __future__ import annotations

from uselib.linker.formats.elf import SHF_ALLOC
from uselib.linker.passes.relocations import (
    Applying,
    LinearRelocation,
    MachineRelocations,
    Needs,
    Site,
    SpecialRelocation,
)
from uselib.linker.passes.x86_64 import B8, B16, S8, S16, tp_offset

#   type       name         size  s  p  g  range
LINEAR = {
    1: LinearRelocation("R_386_32", 4, 1, 0, 0),
    2: LinearRelocation("R_386_PC32", 4, 1, 1, 0),
    4: LinearRelocation("R_386_PLT32", 4, 1, 1, 0, branch=True),
    9: LinearRelocation("R_386_GOTOFF", 4, 1, 0, -1),
    10: LinearRelocation("R_386_GOTPC", 4, 0, 1, 1),
    20: LinearRelocation("R_386_16", 2, 1, 0, 0, *B16),
    21: LinearRelocation("R_386_PC16", 2, 1, 1, 0, *S16),
    22: LinearRelocation("R_386_8", 1, 1, 0, 0, *B8),
    23: LinearRelocation("R_386_PC8", 1, 1, 1, 0, *S8),
}


def has_base(site: Site) -> bool:
    """Whether the operand at the field has a base register (PIC: relative to GOT) or none (absolute)."""
    code = site.before(1)
    return not code or code[0] & 0xC7 != 5


def relaxes(site: Site) -> str:
    """What becomes of the instruction at a GOT32X field: "lea", "mov", "call", "jmp", or "" (it needs a GOT entry)."""
    code = site.before(2)
    if len(code) < 2 or bytes(site.section.content[site.offset : site.offset + 4]) != b"\0\0\0\0":
        return ""
    if code[0] == 0x8B and (code[1] & 0xC7 == 5 or (code[1] & 0xC0 == 0x80 and code[1] & 7 != 4)):
        return "mov" if code[1] & 0xC7 == 5 else "lea"
    if code[0] == 0xFF and code[1] & 0x38 == 0x10 and (code[1] & 0xC7 == 5 or code[1] & 0xC0 == 0x80):
        return "call"
    if code[0] == 0xFF and code[1] & 0x38 == 0x20 and (code[1] & 0xC7 == 5 or code[1] & 0xC0 == 0x80):
        return "jmp"
    return ""


def _scan_got(needs: Needs, site: Site) -> None:
    needs.add_got(site)


def _scan_gotx(needs: Needs, site: Site) -> None:
    needs.uses_got = True
    if not relaxes(site):
        needs.add_got(site)


def _got32(run: Applying, site: Site) -> None:
    """G + A with G relative to GOT; without a base register the entry's address."""
    entry = run.got_entries[site.key] + run.addend(site)
    run.put(site, entry - run.got if has_base(site) else entry)


def _got32x(run: Applying, site: Site) -> None:
    """mov foo@GOT(%b),%r -> lea foo@GOTOFF(%b),%r; mov foo@GOT,%r -> mov $foo,%r; call/jmp *foo@GOT(%b) -> call/jmp foo"""
    how = relaxes(site)
    place = run.place + site.offset
    if how == "lea":
        run.patch(site, -2, b"\x8d")  # 8b /r mov -> 8d /r lea
        run.put(site, run.symbol(site) - run.got)
    elif how == "mov":
        run.patch(site, -2, bytes((0xC7, 0xC0 | site.before(1)[0] >> 3 & 7)))  # c7 c0+r imm32 mov $foo,%r
        run.put(site, run.symbol(site))
    elif how == "call":
        run.patch(site, -2, b"\x67\xe8")  # ff /2 disp32 call *disp(%b) -> 67 e8 rel32 addr32 call
        run.put(site, run.symbol(site, branch=True) - (place + 4))
    elif how == "jmp":
        run.put(site, run.symbol(site, branch=True) - (place + 3), offset=-1)
        run.patch(site, -2, b"\xe9")  # ff /4 disp32 jmp *disp(%b) -> e9 rel32 jmp; 90 nop
        run.patch(site, 3, b"\x90")
    else:
        _got32(run, site)


def _size(run: Applying, site: Site) -> None:
    """Z + A."""
    symbol = site.file.global_symbol(site.index)
    z = symbol.size if symbol is not None else site.file.symbols[site.index].size
    run.put(site, z + run.addend(site))


def _le(run: Applying, site: Site) -> None:
    """S + A - TP."""
    run.put(site, tp_offset(run, site, run.addend(site)))


def _le_32(run: Applying, site: Site) -> None:
    """TP - S - A: for `sub`."""
    run.put(site, -tp_offset(run, site, run.addend(site)))


def _ldo_32(run: Applying, site: Site) -> None:
    """In code, behind a local-dynamic sequence that became local-exec: S + A - TP. In debug data: S + A - start."""
    value = tp_offset(run, site, run.addend(site))
    if not site.section.flags & SHF_ALLOC:
        value += run.thread_pointer - run.tls_start
    run.put(site, value)


def ie_relaxes(site: Site) -> bool:
    """a1 mov x@indntpoff,%eax; 8b mov or 03 add with an operand of 32-bit displacement."""
    code = site.before(2)
    if site.type == 15 and code[-1:] == b"\xa1":
        return True
    return (
        len(code) == 2
        and code[0] in (0x8B, 0x03)
        and (code[1] & 0xC7 == 5 or code[1] & 0xC0 == 0x80)
        and code[1] & 7 != 4
    )


def _scan_ie(needs: Needs, site: Site) -> None:
    if not ie_relaxes(site):
        needs.add_got_tp(site)


def _ie(run: Applying, site: Site) -> None:
    """TLS_IE (absolute operand) and TLS_GOTIE (relative to GOT): mov -> mov $x@ntpoff,%r; add -> add $x@ntpoff,%r"""
    addend = run.addend(site)
    if not ie_relaxes(site):
        entry = run.got_tp_entries[site.key] + addend
        run.put(site, entry if site.type == 15 else entry - run.got)
        return
    code = site.before(2)
    if site.type == 15 and code[-1] == 0xA1:
        run.patch(site, -1, b"\xb8")  # a1 moffs32 mov x,%eax -> b8 imm32 mov $x,%eax
    else:
        run.patch(site, -2, bytes((0xC7 if code[0] == 0x8B else 0x81, 0xC0 | code[1] >> 3 & 7)))
    run.put(site, tp_offset(run, site, addend))


def _scan_ie_32(needs: Needs, site: Site) -> None:
    needs.add_got_tp_positive(site)


def _ie_32(run: Applying, site: Site) -> None:
    """The GOT entry holds TP - S; relative to GOT."""
    run.put(site, run.got_tp_positive_entries[site.key] + run.addend(site) - run.got)


def _gd(run: Applying, site: Site) -> None:
    """8d 04 1d lea x@tlsgd(,%ebx,1),%eax; e8 call, or 8d 80+r lea x@tlsgd(%r),%eax; e8 call; 90 nop | ff 90+r | 67 e8 call
    -> 65 a1 0 mov %gs:0,%eax; 81 c0 add $x@ntpoff,%eax (12 bytes)"""
    code = site.before(3)
    if not site.calls_tls(TLS_CALL) or len(code) < 2 or 0x8D not in (code[0], code[-2]):
        run.problem(site, "not the general-dynamic sequence of the ABI")
        return
    value = tp_offset(run, site, run.addend(site))
    start = -3 if len(code) == 3 and code[:2] == b"\x8d\x04" else -2
    run.patch(site, start, b"\x65\xa1\0\0\0\0\x81\xc0" + (value & 0xFFFFFFFF).to_bytes(4, "little"))


def _ldm(run: Applying, site: Site) -> None:
    """8d 80+r lea x@tlsldm(%r),%eax; e8 call ___tls_get_addr -> 65 a1 0 mov %gs:0,%eax; 90 nop; 8d 74 26 00 lea 0(%esi),%esi
    (with a 6-byte call, 8d b6 0 lea 0(%esi),%esi)"""
    if not site.calls_tls(TLS_CALL) or site.before(2)[:1] != b"\x8d":
        run.problem(site, "not the local-dynamic sequence of the ABI")
        return
    tail = b"\x90\x8d\x74\x26\0" if site.after(1) == b"\xe8" else b"\x8d\xb6\0\0\0\0"
    run.patch(site, -2, b"\x65\xa1\0\0\0\0" + tail)


def _gotdesc(run: Applying, site: Site) -> None:
    """8d 80+b+8r lea x@tlsdesc(%b),%r -> 8d 05+8r lea x@ntpoff,%r"""
    code = site.before(2)
    if len(code) != 2 or code[0] != 0x8D or code[1] & 0xC0 != 0x80:
        run.problem(site, "not the TLS descriptor sequence of the ABI")
        return
    value = tp_offset(run, site, run.addend(site))
    run.patch(site, -1, bytes((0x05 | code[1] & 0x38,)))
    run.put(site, value)


def _desc_call(run: Applying, site: Site) -> None:
    """ff 10 call *(%eax) -> 66 90 xchg %ax,%ax"""
    start = run.at + site.offset
    if bytes(run.out[start : start + 2]) == b"\xff\x10":
        run.out[start : start + 2] = b"\x66\x90"


TLS_CALL = frozenset(("___tls_get_addr", "__tls_get_addr"))

SPECIAL = {
    3: SpecialRelocation("R_386_GOT32", _scan_got, _got32),
    43: SpecialRelocation("R_386_GOT32X", _scan_gotx, _got32x),
    38: SpecialRelocation("R_386_SIZE32", None, _size),
    15: SpecialRelocation("R_386_TLS_IE", _scan_ie, _ie),
    16: SpecialRelocation("R_386_TLS_GOTIE", _scan_ie, _ie),
    17: SpecialRelocation("R_386_TLS_LE", None, _le),
    18: SpecialRelocation("R_386_TLS_GD", None, _gd),
    19: SpecialRelocation("R_386_TLS_LDM", None, _ldm),
    32: SpecialRelocation("R_386_TLS_LDO_32", None, _ldo_32),
    33: SpecialRelocation("R_386_TLS_IE_32", _scan_ie_32, _ie_32),
    34: SpecialRelocation("R_386_TLS_LE_32", None, _le_32),
    39: SpecialRelocation("R_386_TLS_GOTDESC", None, _gotdesc),
    40: SpecialRelocation("R_386_TLS_DESC_CALL", None, _desc_call),
}


def iplt_entry(address: int, slot: int) -> bytes:
    """f3 0f 1e fb endbr32; ff 25 abs32 jmp *slot; 66 0f 1f 44 00 00 nopw 0(%eax,%eax,1)"""
    return b"\xf3\x0f\x1e\xfb\xff\x25" + (slot & 0xFFFFFFFF).to_bytes(4, "little") + b"\x66\x0f\x1f\x44\0\0"


RELOCATIONS = MachineRelocations(
    word=4,
    linear=LINEAR,
    special=SPECIAL,
    none=frozenset((0, 250, 251)),
    branch_like=frozenset((2,)),
    got_based=frozenset((9, 10)),
    tls_call=TLS_CALL,
    tls_sequences=frozenset((18, 19)),
    irelative=42,
    iplt_entry=iplt_entry,
)
