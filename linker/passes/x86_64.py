"""Relocations of x86-64 (psABI 1.0, tables 4.9 and 4.10; relaxations: section B.2; TLS: Drepper, "ELF Handling For
Thread-Local Storage", section 5). A static link knows every thread-local offset, so all models become local-exec."""

from __future__ import annotations

from uselib.linker.formats.elf import SHF_ALLOC, SHF_TLS, SHN_ABS, STT_TLS
from uselib.linker.passes.model import UNDEFINED
from uselib.linker.passes.relocations import (
    Applying,
    LinearRelocation,
    MachineRelocations,
    Needs,
    Site,
    SpecialRelocation,
)

U32 = (0, (1 << 32) - 1)
S32 = (-(1 << 31), (1 << 31) - 1)
B16, S16 = (-(1 << 15), (1 << 16) - 1), (-(1 << 15), (1 << 15) - 1)
B8, S8 = (-(1 << 7), (1 << 8) - 1), (-(1 << 7), (1 << 7) - 1)

#   type        name           size  s  p  g  range
LINEAR = {
    1: LinearRelocation("R_X86_64_64", 8, 1, 0, 0),
    2: LinearRelocation("R_X86_64_PC32", 4, 1, 1, 0, *S32),
    4: LinearRelocation("R_X86_64_PLT32", 4, 1, 1, 0, *S32, branch=True),
    10: LinearRelocation("R_X86_64_32", 4, 1, 0, 0, *U32),
    11: LinearRelocation("R_X86_64_32S", 4, 1, 0, 0, *S32),
    12: LinearRelocation("R_X86_64_16", 2, 1, 0, 0, *B16),
    13: LinearRelocation("R_X86_64_PC16", 2, 1, 1, 0, *S16),
    14: LinearRelocation("R_X86_64_8", 1, 1, 0, 0, *B8),
    15: LinearRelocation("R_X86_64_PC8", 1, 1, 1, 0, *S8),
    24: LinearRelocation("R_X86_64_PC64", 8, 1, 1, 0),
    25: LinearRelocation("R_X86_64_GOTOFF64", 8, 1, 0, -1),
    26: LinearRelocation("R_X86_64_GOTPC32", 4, 0, 1, 1, *S32),
    29: LinearRelocation("R_X86_64_GOTPC64", 8, 0, 1, 1),
    31: LinearRelocation("R_X86_64_PLTOFF64", 8, 1, 0, -1, branch=True),
}

_MOV, _CALL, _JMP = 0x8B, b"\xff\x15", b"\xff\x25"


def relaxes(site: Site) -> str:
    """What becomes of the instruction at a GOTPCRELX field: "lea", "call", "jmp", or "" (it needs a GOT entry).

    Relaxed forms reach 2 GiB from the instruction: an absolute or undefined symbol outside the low 2 GiB stays as it is.
    """
    symbol = site.file.global_symbol(site.index)
    if symbol is not None and symbol.section is None and not symbol.provided and not 0 <= symbol.value < 1 << 31:
        return ""
    if symbol is None and site.file.symbols[site.index].section == SHN_ABS:
        return ""
    if site.addend != -4:  # RELA with another addend reads beside the entry
        return ""
    code = site.before(2)
    if len(code) < 2:
        return ""
    if code == _CALL:
        return "call"
    if code == _JMP:
        return "jmp"
    return "lea" if code[0] == _MOV and code[1] & 0xC7 == 0x05 else ""


def is_constant(site: Site) -> bool:
    """Whether the symbol's value is a number and no place in the output: absolute, or undefined and weak (0)."""
    symbol = site.file.global_symbol(site.index)
    return symbol is not None and symbol.section is None and not symbol.provided


def _scan_got(needs: Needs, site: Site) -> None:
    needs.add_got(site)


def _scan_gotx(needs: Needs, site: Site) -> None:
    if not relaxes(site):
        needs.add_got(site)


def _got_pcrel(run: Applying, site: Site) -> None:
    """G + GOT + A - P."""
    entry = run.got_entries[site.key]
    run.put(site, entry + run.addend(site) - (run.place + site.offset), low=S32[0], high=S32[1])


def _got_pcrelx(run: Applying, site: Site) -> None:
    """mov foo@GOTPCREL(%rip), %reg -> lea foo(%rip), %reg or mov $foo, %reg; call *foo@.. -> addr32 call foo; jmp *foo@.. -> jmp foo; nop"""
    how = relaxes(site)
    if not how:
        _got_pcrel(run, site)
        return
    place = run.place + site.offset
    if how == "lea" and is_constant(site):
        register = site.before(1)[0] >> 3 & 7
        if site.type == 42:  # REX.W 8b /r mov -> REX.W c7 c0+r imm32 mov $S; the register's high bit moves from R to B
            rex = site.before(3)[0]
            run.patch(site, -3, bytes((rex & 0xFB | rex >> 2 & 1,)))
        run.patch(site, -2, bytes((0xC7, 0xC0 | register)))
        run.put(site, run.symbol(site), low=S32[0], high=S32[1])
    elif how == "lea":
        run.patch(site, -2, b"\x8d")  # 8b /r mov -> 8d /r lea
        run.put(site, run.symbol(site, addend=-4) - place, low=S32[0], high=S32[1])
    elif how == "call":
        run.patch(site, -2, b"\x67\xe8")  # ff 15 rel32 call *(%rip) -> 67 e8 rel32 addr32 call
        run.put(site, run.symbol(site, branch=True, addend=-4) - place, low=S32[0], high=S32[1])
    else:
        value = run.symbol(site, branch=True, addend=-4) - (place - 1)
        run.put(site, value, low=S32[0], high=S32[1], offset=-1)
        run.patch(site, -2, b"\xe9")  # ff 25 rel32 jmp *(%rip) -> e9 rel32 jmp; 90 nop
        run.patch(site, 3, b"\x90")


def _got64(run: Applying, site: Site) -> None:
    """G + A, 64 bits, G relative to GOT."""
    run.put(site, run.got_entries[site.key] - run.got + run.addend(site, 8), 8)


def _got32(run: Applying, site: Site) -> None:
    run.put(site, run.got_entries[site.key] - run.got + run.addend(site), low=S32[0], high=S32[1])


def _got_pcrel64(run: Applying, site: Site) -> None:
    run.put(site, run.got_entries[site.key] + run.addend(site, 8) - (run.place + site.offset), 8)


def _size(width: int) -> SpecialRelocation:
    def apply(run: Applying, site: Site) -> None:
        """Z + A."""
        symbol = site.file.global_symbol(site.index)
        z = symbol.size if symbol is not None else site.file.symbols[site.index].size
        run.put(site, z + run.addend(site, width), width, **({"low": 0, "high": U32[1]} if width == 4 else {}))

    return SpecialRelocation(f"R_X86_64_SIZE{8 * width}", None, apply)


def tp_offset(run: Applying, site: Site, addend: int) -> int:
    """S + A - TP; the thread pointer lies behind the TLS block (variant II), so this is negative."""
    if not tls_ok(site):
        run.problem(site, "its symbol is not thread-local", "declare it alike (__thread) in all files")
    symbol = site.file.global_symbol(site.index)
    if symbol is not None and symbol.rank == UNDEFINED:
        return 0  # weak and undefined
    return run.symbol(site, addend=addend) - run.thread_pointer


def tls_ok(site: Site) -> bool:
    symbol = site.file.global_symbol(site.index)
    if symbol is not None:
        return symbol.type == STT_TLS or symbol.rank == UNDEFINED
    section = site.file.section_of(site.index)
    return section is None or bool(section.flags & SHF_TLS)


def _tpoff32(run: Applying, site: Site) -> None:
    run.put(site, tp_offset(run, site, run.addend(site)), low=S32[0], high=S32[1])


def _tpoff64(run: Applying, site: Site) -> None:
    run.put(site, tp_offset(run, site, run.addend(site, 8)), 8)


def _dtpoff(width: int) -> SpecialRelocation:
    def apply(run: Applying, site: Site) -> None:
        """In code, behind a local-dynamic sequence that became local-exec: S + A - TP. In debug data: S + A - start."""
        value = tp_offset(run, site, run.addend(site, width))
        if not site.section.flags & SHF_ALLOC:
            value += run.thread_pointer - run.tls_start
        run.put(site, value, width)

    return SpecialRelocation(f"R_X86_64_DTPOFF{8 * width}", None, apply)


_LEA_RDI = b"\x48\x8d\x3d"  # lea x(%rip),%rdi
_MOVABS_RAX = (
    b"\x48\xb8"  # movabs $__tls_get_addr@pltoff,%rax; add %rbx,%rax; call *%rax (-mcmodel=large: 22 bytes in all)
)
MOV_FS_RAX = b"\x64\x48\x8b\x04\x25\0\0\0\0"  # mov %fs:0,%rax


NOP_6 = b"\x66\x0f\x1f\x44\0\0"  # nopw 0(%rax,%rax)


def is_large_sequence(site: Site) -> bool:
    """Whether a general-dynamic sequence is that of -mcmodel=large: 22 bytes, without a prefix."""
    return site.before(3) == _LEA_RDI and site.after(2) == _MOVABS_RAX


def _tlsgd(run: Applying, site: Site) -> None:
    """66 48 8d 3d lea x@tlsgd(%rip),%rdi; 66 66 48 e8 | 66 48 ff 15 call __tls_get_addr
    -> 64 48 8b 04 25 0 mov %fs:0,%rax; 48 8d 80 lea x@tpoff(%rax),%rax"""
    large = is_large_sequence(site)
    if not (large or site.before(4) == b"\x66" + _LEA_RDI) or not site.calls_tls(TLS_CALL):
        run.problem(site, "not the general-dynamic sequence of the ABI")
        return
    value = tp_offset(run, site, run.addend(site) + 4)
    code = MOV_FS_RAX + b"\x48\x8d\x80" + (value & 0xFFFFFFFF).to_bytes(4, "little")
    run.patch(site, -3 if large else -4, code + (NOP_6 if large else b""))


def _tlsld(run: Applying, site: Site) -> None:
    """48 8d 3d lea x@tlsld(%rip),%rdi; e8 | ff 15 call __tls_get_addr -> 66.. 64 48 8b 04 25 0 mov %fs:0,%rax"""
    if site.before(3) != _LEA_RDI or not site.calls_tls(TLS_CALL):
        run.problem(site, "not the local-dynamic sequence of the ABI")
        return
    if site.after(2) == _MOVABS_RAX:
        run.patch(site, -3, b"\x66\x66\x66\x66\x2e\x0f\x1f\x84\0\0\0\0\0" + MOV_FS_RAX)  # nopw %cs:0(%rax,%rax)
        return
    pad = b"\x66" * (4 if site.after(1) == b"\xff" or site.after(1) == b"\x67" else 3)
    run.patch(site, -3, pad + MOV_FS_RAX)


def ie_relaxes(site: Site) -> bool:
    """REX.W 8b mov x@gottpoff(%rip),%reg or REX.W 03 add."""
    code = site.before(3)
    return len(code) == 3 and code[0] in (0x48, 0x4C) and code[1] in (0x8B, 0x03) and code[2] & 0xC7 == 5


def _scan_ie(needs: Needs, site: Site) -> None:
    if not ie_relaxes(site):
        needs.add_got_tp(site)


def _gottpoff(run: Applying, site: Site) -> None:
    """mov x@gottpoff(%rip),%reg -> REX c7 c0+reg mov $x@tpoff,%reg; add -> REX 81 c0+reg add $x@tpoff,%reg"""
    if not ie_relaxes(site):
        entry = run.got_tp_entries[site.key]
        run.put(site, entry + run.addend(site) - (run.place + site.offset), low=S32[0], high=S32[1])
        return
    rex, opcode, modrm = site.before(3)
    register = modrm >> 3 & 7
    run.patch(site, -3, bytes((0x49 if rex == 0x4C else 0x48, 0xC7 if opcode == 0x8B else 0x81, 0xC0 | register)))
    run.put(site, tp_offset(run, site, run.addend(site) + 4), low=S32[0], high=S32[1])


def _tlsdesc(run: Applying, site: Site) -> None:
    """REX.W 8d /r lea x@tlsdesc(%rip),%reg -> REX c7 c0+reg mov $x@tpoff,%reg"""
    code = site.before(3)
    if len(code) != 3 or code[0] & 0xFB != 0x48 or code[1] != 0x8D or code[2] & 0xC7 != 5:
        run.problem(site, "not the TLS descriptor sequence of the ABI")
        return
    run.patch(site, -3, bytes((0x48 | code[0] >> 2 & 1, 0xC7, 0xC0 | code[2] >> 3 & 7)))
    run.put(site, tp_offset(run, site, run.addend(site) + 4), low=S32[0], high=S32[1])


def _tlsdesc_call(run: Applying, site: Site) -> None:
    """ff 10 call *(%rax) -> 66 90 xchg %ax,%ax"""
    start = run.at + site.offset
    if bytes(run.out[start : start + 2]) == b"\xff\x10":
        run.out[start : start + 2] = b"\x66\x90"
    elif bytes(run.out[start : start + 3]) == b"\x67\xff\x10":
        run.out[start : start + 3] = b"\x0f\x1f\x00"


TLS_CALL = frozenset(("__tls_get_addr",))

SPECIAL = {
    3: SpecialRelocation("R_X86_64_GOT32", _scan_got, _got32),
    9: SpecialRelocation("R_X86_64_GOTPCREL", _scan_got, _got_pcrel),
    41: SpecialRelocation("R_X86_64_GOTPCRELX", _scan_gotx, _got_pcrelx),
    42: SpecialRelocation("R_X86_64_REX_GOTPCRELX", _scan_gotx, _got_pcrelx),
    27: SpecialRelocation("R_X86_64_GOT64", _scan_got, _got64),
    28: SpecialRelocation("R_X86_64_GOTPCREL64", _scan_got, _got_pcrel64),
    30: SpecialRelocation("R_X86_64_GOTPLT64", _scan_got, _got64),
    32: _size(4),
    33: _size(8),
    17: _dtpoff(8),
    21: _dtpoff(4),
    18: SpecialRelocation("R_X86_64_TPOFF64", None, _tpoff64),
    23: SpecialRelocation("R_X86_64_TPOFF32", None, _tpoff32),
    19: SpecialRelocation("R_X86_64_TLSGD", None, _tlsgd),
    20: SpecialRelocation("R_X86_64_TLSLD", None, _tlsld),
    22: SpecialRelocation("R_X86_64_GOTTPOFF", _scan_ie, _gottpoff),
    34: SpecialRelocation("R_X86_64_GOTPC32_TLSDESC", None, _tlsdesc),
    35: SpecialRelocation("R_X86_64_TLSDESC_CALL", None, _tlsdesc_call),
}


def iplt_entry(address: int, slot: int) -> bytes:
    """f3 0f 1e fa endbr64; ff 25 rel32 jmp *slot(%rip); 66 0f 1f 44 00 00 nopw 0(%rax,%rax,1)"""
    return (
        b"\xf3\x0f\x1e\xfa\xff\x25"
        + ((slot - address - 10) & 0xFFFFFFFF).to_bytes(4, "little")
        + b"\x66\x0f\x1f\x44\0\0"
    )


RELOCATIONS = MachineRelocations(
    word=8,
    linear=LINEAR,
    special=SPECIAL,
    none=frozenset((0, 250, 251)),
    branch_like=frozenset((2,)),
    got_based=frozenset((25, 26, 29, 31)),
    tls_call=TLS_CALL,
    tls_sequences=frozenset((19, 20)),
    irelative=37,
    iplt_entry=iplt_entry,
)
