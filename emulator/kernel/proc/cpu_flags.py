"""The names of CPUID's bits as /proc/cpuinfo has them. Source: arch/x86/include/asm/cpufeatures.h of Linux."""

from __future__ import annotations

from collections.abc import Callable

Leaf = tuple[int, int, int, int]  # EAX, EBX, ECX, EDX

_EAX, _EBX, _ECX, _EDX = range(4)

# (leaf, register, names from bit 0 on; `-`: no name, or one that is not shown)
_NAMES: tuple[tuple[int, int, str], ...] = (
    (
        1,
        _EDX,
        "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse sse2"
        " ss ht tm ia64 pbe",
    ),
    (
        0x80000001,
        _EDX,
        "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow",
    ),
    (
        1,
        _ECX,
        "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 sse4_2"
        " x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor",
    ),
    (
        0x80000001,
        _ECX,
        "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp fma4"
        " tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc perfctr_llc mwaitx -",
    ),
    (
        7,
        _EBX,
        "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed adx"
        " smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl",
    ),
    (
        7,
        _ECX,
        "- avx512vbmi umip pku ospke waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme"
        " avx512_vpopcntdq - la57 - - - - - rdpid - bus_lock_detect cldemote - movdiri movdir64b enqcmd sgx_lc -",
    ),
)
_FIRST_EXTENDED = 0x80000000


def flags(cpuid: Callable[[int, int], Leaf]) -> str:
    """In Linux's order. cpuid: leaf and subleaf -> registers."""
    most, extended = cpuid(0, 0)[0], cpuid(_FIRST_EXTENDED, 0)[0]
    found = []
    for leaf, register, names in _NAMES:
        if leaf > (extended if leaf >= _FIRST_EXTENDED else most):
            continue
        bits = cpuid(leaf, 0)[register]
        found += [name for bit, name in enumerate(names.split()) if bits >> bit & 1 and name != "-"]
    return " ".join(found)


def _text(cpuid: Callable[[int, int], Leaf], leaf: int, registers: tuple[int, ...]) -> str:
    values = cpuid(leaf, 0)
    return b"".join(values[register].to_bytes(4, "little") for register in registers).split(b"\0")[0].decode("latin-1")


def cpu_lines(cpuid: Callable[[int, int], Leaf]) -> list[tuple[str, str]]:
    """The rows of /proc/cpuinfo for the one processor there is. Source: arch/x86/kernel/cpu/proc.c."""
    signature = cpuid(1, 0)[_EAX]
    family, model = signature >> 8 & 0xF, signature >> 4 & 0xF
    if family in (6, 15):
        model |= signature >> 12 & 0xF0
    if family == 15:
        family += signature >> 20 & 0xFF
    extended = cpuid(_FIRST_EXTENDED, 0)[_EAX]
    name = "".join(_text(cpuid, 0x80000002 + part, (0, 1, 2, 3)) for part in range(3)) if extended >= 0x80000004 else ""
    sizes = cpuid(0x80000008, 0)[_EAX] if extended >= 0x80000008 else 0x3028
    return [
        ("processor", "0"),
        ("vendor_id", _text(cpuid, 0, (_EBX, _EDX, _ECX))),
        ("cpu family", str(family)),
        ("model", str(model)),
        ("model name", name.strip()),
        ("stepping", str(signature & 0xF)),
        ("cpu MHz", "2000.000"),
        ("cache size", "512 KB"),
        ("physical id", "0"),
        ("siblings", "1"),
        ("core id", "0"),
        ("cpu cores", "1"),
        ("apicid", "0"),
        ("initial apicid", "0"),
        ("fpu", "yes"),
        ("fpu_exception", "yes"),
        ("cpuid level", str(cpuid(0, 0)[_EAX])),
        ("wp", "yes"),
        ("flags", flags(cpuid)),
        ("bugs", ""),
        ("bogomips", "4000.00"),
        ("clflush size", str((cpuid(1, 0)[_EBX] >> 8 & 0xFF) * 8 or 64)),
        ("cache_alignment", "64"),
        ("address sizes", f"{sizes & 0xFF} bits physical, {sizes >> 8 & 0xFF} bits virtual"),
        ("power management", ""),
    ]
