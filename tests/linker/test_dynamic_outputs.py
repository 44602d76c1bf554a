"""Shared objects, position-independent programs and programs that use shared objects: linked by ours and by GNU ld, run natively and
emulated, and compared; what a dynamic linker reads of them is compared field by field."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection, GNUVerSymSection
from elftools.elf.sections import SymbolTableSection

from support.command import uselib
from support.dynamic_links import LINKERS, SOURCES, LinkFolder
from support.tools import needs

pytestmark = needs("gcc", "ld")


@pytest.fixture
def shop(tmp_path: Path, arch: str) -> LinkFolder:
    return LinkFolder(tmp_path, arch)


KINDS = {"no-pie": ("-no-pie", "-fno-pie"), "pie": ("-pie", "-fPIE"), "pic": ("-pie", "-fPIC")}
LIBRARY_FLAGS = {"": (), "gnu2": ("-mtls-dialect=gnu2",), "now": ("-Wl,-z,now",), "sysv": ("-Wl,--hash-style=sysv",)}


@pytest.mark.parametrize(
    "flags", [pytest.param(key, marks=() if key != "sysv" else pytest.mark.slow) for key in LIBRARY_FLAGS]
)
def test_library_and_programs(shop: LinkFolder, flags: str) -> None:
    """Every pair of linkers for the library and for the program; lazily bound and at once."""
    for by in LINKERS:
        library = SOURCES / "library.c"
        shop.cc(by, f"lib{by}.so", "-shared", "-fPIC", *LIBRARY_FLAGS[flags], library, f"-Wl,-soname,lib{by}.so")
    for kind, words in KINDS.items():
        dialect = LIBRARY_FLAGS[flags] if flags == "gnu2" else ()
        expected = None
        for by in LINKERS:
            for library in LINKERS if by == "gnu" else reversed(LINKERS):
                program = shop.program(
                    by, f"{kind}-{by}-{library}", *words, *dialect, SOURCES / "program.c", f"lib{library}.so"
                )
                for variables in ({}, {"LD_BIND_NOW": "1"}):
                    found = shop.run(program, **variables)
                    expected = expected or found
                    assert found == expected, (kind, by, library, variables)
        assert expected is not None and expected[1] == 0 and expected[0].startswith("constructor\n889 8 56\n1 1 1\n")


def test_they_run_emulated(shop: LinkFolder) -> None:
    if shop.arch == "i386":
        pytest.skip("the interpreter of i386 finds its C library by a cache that names x86-64's first")
    shop.cc("ours", "libours.so", "-shared", "-fPIC", SOURCES / "library.c", "-Wl,-soname,libours.so")
    for kind, words in KINDS.items():
        program = shop.program("ours", kind, *words, SOURCES / "program.c", "libours.so")
        ran = uselib("run", "--root", "/", "--readable", shop.folder, program)
        assert (ran.stdout, ran.returncode) == shop.run(program), ran.stderr


def test_static_pie(shop: LinkFolder) -> None:
    text = '#include <stdio.h>\nint data = 3, *p = &data; __thread int t = 4;\nint main(void) { printf("%d %d\\n", *p, t); return 5; }\n'
    source = shop.source("s.c", text)
    if not (Path("/usr/i686-linux-gnu/lib/rcrt1.o").exists() or shop.arch == "x86_64"):
        pytest.skip("needs rcrt1.o for i386")
    shop.cc("ours", "s", "-static-pie", "-fPIE", source)
    assert shop.run(shop.folder / "s") == ("3 4\n", 5)
    with (shop.folder / "s").open("rb") as file:
        assert ELFFile(file)["e_type"] == "ET_DYN"
        assert not any(segment["p_type"] == "PT_INTERP" for segment in ELFFile(file).iter_segments())


# -- what the dynamic linker reads ----------------------------------------------------------------------------------------

COMPARED = {
    "DT_NEEDED",
    "DT_SONAME",
    "DT_RUNPATH",
    "DT_RPATH",
    "DT_FLAGS",
    "DT_FLAGS_1",
    "DT_VERDEFNUM",
    "DT_VERNEEDNUM",
    "DT_SYMBOLIC",
}
COMPARED |= {"DT_PLTREL", "DT_TEXTREL", "DT_BIND_NOW"}


def tags(path: Path) -> list[tuple[str, object]]:
    with path.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".dynamic")
        assert isinstance(section, DynamicSection)
        found: list[tuple[str, object]] = []
        for tag in section.iter_tags():
            if tag.entry.d_tag in COMPARED and (tag.entry.d_tag, tag.entry.d_val) != ("DT_FLAGS", 0):
                text = next(
                    (getattr(tag, key) for key in ("needed", "soname", "runpath", "rpath") if hasattr(tag, key)), None
                )
                found.append((tag.entry.d_tag, text if text is not None else tag.entry.d_val))
        return sorted(found, key=str)


def dynamic_symbols(path: Path) -> set[tuple[str, str, str, str, bool, str]]:
    """Name, type, binding, visibility, whether it is defined, version. Not the versions' own absolute symbols, which GNU ld has."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        table = elf.get_section_by_name(".dynsym")
        assert isinstance(table, SymbolTableSection)
        numbers = elf.get_section_by_name(".gnu.version")
        names: dict[int, str] = {}
        for section in elf.iter_sections():
            if isinstance(section, GNUVerNeedSection):
                names |= {aux["vna_other"]: aux.name for _, auxes in section.iter_versions() for aux in auxes}
            elif section.name == ".gnu.version_d":
                names |= {d["vd_ndx"]: next(iter(a)).name for d, a in section.iter_versions()}  # type: ignore[attr-defined]
        found = set()
        for index, symbol in enumerate(table.iter_symbols()):
            if not index or (symbol["st_shndx"] == "SHN_ABS" and symbol["st_info"]["type"] == "STT_OBJECT"):
                continue
            version = ""
            if isinstance(numbers, GNUVerSymSection):
                raw = numbers.get_symbol(index)["ndx"]
                version = "" if isinstance(raw, str) else ("@" if raw & 0x8000 else "@@") + names[raw & 0x7FFF]
            info, defined = symbol["st_info"], symbol["st_shndx"] != "SHN_UNDEF"
            found.add((symbol.name, info["type"], info["bind"], symbol["st_other"]["visibility"], defined, version))
        return found


VERSIONS = """
V1 { global: f; g; k; local: *; };
V2 { global: h*; k; } V1;
"""
VERSIONED = """
__attribute__((visibility("hidden"))) int inner(void) { return 1; }
__attribute__((visibility("protected"))) int hp(void) { return 7; }
int f(void) { return 1 + inner() + hp(); }
int g(void) { return 2; }
__attribute__((weak)) int h1(void) { return 3; }
int old_k(void) { return 5; }
int new_k(void) { return 6; }
int unlisted = 9;
__asm__(".symver old_k,k@V1\\n.symver new_k,k@@V2");
"""
USER = """
int f(void), g(void), h1(void), k(void), old(void), printf(const char *, ...);
__asm__(".symver old,k@V1");
int main(void) { printf("%d %d %d %d %d\\n", f(), g(), h1(), k(), old()); return 0; }
"""


def test_versions(shop: LinkFolder) -> None:
    shop.source("v.map", VERSIONS)
    found = {}
    for by in LINKERS:
        words = (
            "-shared",
            "-fPIC",
            shop.source("v.c", VERSIONED),
            "-Wl,--version-script=v.map",
            "-Wl,-soname,libv.so.1",
        )
        shop.cc(by, "libv.so.1", *words)
        library = shop.folder / "libv.so.1"
        program = shop.program(by, "user", shop.source("user.c", USER), "libv.so.1")
        assert shop.run(program) == ("9 2 3 6 5\n", 0)
        found[by] = dynamic_symbols(library), tags(library), dynamic_symbols(program), tags(program)
    assert found["ours"] == found["gnu"]


CASES = {
    "soname and path": ("-Wl,-soname,liba.so.1", "-Wl,-rpath,/one:/two"),
    "old tags": ("-Wl,-rpath,/one", "-Wl,--disable-new-dtags"),
    "symbolic": ("-Wl,-Bsymbolic",),
    "functions": ("-Wl,-Bsymbolic-functions",),
    "flags": ("-Wl,-z,now,-z,nodelete,-z,origin,-z,initfirst,-z,nodlopen",),
    "as needed": ("-Wl,--as-needed", "-lm", "-Wl,--no-as-needed", "-ldl"),
    "static libgcc": ("-static-libgcc",),
}


@pytest.mark.parametrize("case", CASES)
def test_tags(shop: LinkFolder, case: str) -> None:
    found = []
    for by in LINKERS:
        shop.cc(by, "liba.so", "-shared", "-fPIC", SOURCES / "library.c", *CASES[case])
        found.append((tags(shop.folder / "liba.so"), dynamic_symbols(shop.folder / "liba.so")))
    assert found[0] == found[1]


EXPORTS = {
    "nothing": (),
    "-E": ("-Wl,-E",),
    "list": ("-Wl,--dynamic-list=list",),
    "exclude": ("-Wl,-E,--exclude-libs,ALL",),
}


@pytest.mark.parametrize("case", EXPORTS)
def test_what_a_program_exports(shop: LinkFolder, case: str) -> None:
    (shop.folder / "list").write_text("{ listed; };\n")
    source = shop.source(
        "m.c", "int listed = 1; int other(void) { return listed; }\nint main(void) { return other() - 1; }\n"
    )
    found = []
    for by in LINKERS:
        program = shop.program(by, "m", source, *EXPORTS[case])
        assert shop.run(program) == ("", 0)
        found.append({row for row in dynamic_symbols(program) if row[0] not in ("_edata", "_end", "__bss_start")})
        if case == "-E":  # start-up files' own, which GNU ld exports as well
            found[-1] = {row for row in found[-1] if row[0] in ("listed", "other", "main")}
    assert found[0] == found[1]


# -- errors ---------------------------------------------------------------------------------------------------------------


def test_errors(shop: LinkFolder) -> None:
    if shop.arch == "i386":
        pytest.skip("the messages are the same")
    pointer = shop.source("p.c", "int x; int get(void) { return x; }\n")
    said = shop.cc("ours", "p.so", "-shared", "-fno-pic", pointer, status=1).stderr
    assert re.search(
        r"uselib: .*get: x: R_X86_64_\w+: cannot be used in a shared object.*; compile with -fPIC", said
    ), said
    text = shop.source("t.s", ".globl f\nf: ret\n.section .rodata\n.quad f\n")
    said = shop.cc("ours", "t.so", "-shared", text, status=1).stderr
    assert "in read-only section `.rodata'" in said and "-z notext" in said
    shop.cc("ours", "t.so", "-shared", text, "-Wl,-z,notext")
    assert ("DT_TEXTREL", 0) in tags(shop.folder / "t.so")
    missing = shop.source("u.c", "int nowhere(void); int f(void) { return nowhere(); }\n")
    shop.cc("ours", "u.so", "-shared", "-fPIC", missing)
    said = shop.cc("ours", "u.so", "-shared", "-fPIC", missing, "-Wl,-z,defs", status=1).stderr
    assert "undefined symbol: nowhere" in said
    damaged = shop.folder / "damaged.so"
    damaged.write_bytes((shop.folder / "u.so").read_bytes()[:300])
    said = shop.cc("ours", "x", shop.source("x.c", "int main(void) { return 0; }\n"), "damaged.so", status=1).stderr
    assert re.search(r"uselib: damaged\.so: truncated", said) and "Traceback" not in said
    (shop.folder / "bad.map").write_text("V1 { global: f;\n")
    said = shop.cc("ours", "u.so", "-shared", "-fPIC", missing, "-Wl,--version-script=bad.map", status=1).stderr
    assert "bad.map: `}` is missing behind node V1" in said
