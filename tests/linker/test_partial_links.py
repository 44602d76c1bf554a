"""ld -r and --emit-relocs: sections, symbols and relocations compared with GNU ld's, and programs made of the objects run."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from support.command import uselib
from support.tools import needs

pytestmark = needs("gcc", "g++", "ld")
MACHINES = {"x86_64": ("-m64", "elf_x86_64"), "i386": ("-m32", "elf_i386")}

FIRST = """
extern "C" int printf(const char *, ...);
template <typename T> struct Once { static T twice(T x) { return x + x; } int size = sizeof(T); };
template struct Once<int>;
int common_like;
static int local_value = 5;
thread_local int per_thread = 9;
int *pointer = &local_value;
extern int other(int);
int main() {
    try { throw other(Once<int>::twice(per_thread)); }
    catch (int found) { printf("%d %d\\n", found, *pointer); }
    return 3;
}
"""
SECOND = """
template <typename T> struct Once { static T twice(T x) { return x + x; } int size = sizeof(T); };
template struct Once<int>;
extern "C" void nowhere() __attribute__((weak));
extern thread_local int per_thread;
__attribute__((visibility("hidden"))) int hidden = 4;
int other(int x) { if (nowhere) nowhere(); return Once<int>::twice(x) + hidden + per_thread; }
"""
THIRD = """
int tentative; int tentative_too[4];
__attribute__((section("kept_names"))) int in_section = 1;
int *to_section = &in_section;
__asm__(".symver old_one,one@V1\\n.symver new_one,one@@V2");
int old_one(void) { return 1; }
int new_one(void) { return 2; }
"""


@pytest.fixture
def objects(tmp_path: Path, arch: str) -> list[str]:
    flag = MACHINES[arch][0]
    for name, text in (("first.cc", FIRST), ("second.cc", SECOND), ("third.c", THIRD)):
        (tmp_path / name).write_text(text)
        words = ["-fcommon"] if name.endswith(".c") else []
        compiler = "gcc" if name.endswith(".c") else "g++"
        command = [compiler, flag, "-g", "-ffunction-sections", "-fno-pie", *words, "-c", name]
        if subprocess.run(command, cwd=tmp_path, capture_output=True).returncode:
            pytest.skip(f"the compiler has no {arch}")
    return ["first.o", "second.o", "third.o"]


def link(folder: Path, arch: str, by: str, output: str, *words: str) -> subprocess.CompletedProcess[str]:
    emulation = MACHINES[arch][1]
    if by == "ours":
        return uselib("ld", "-m", emulation, "-o", output, *words, cwd=folder)
    return subprocess.run(["ld", "-m", emulation, "-o", output, *words], cwd=folder, capture_output=True, text=True)


def sections(elf: ELFFile) -> Counter[tuple[object, ...]]:
    """Name, type, flags, size. Not those whose sizes are the linkers' own affair, and no empty code."""
    own = (".symtab", ".strtab", ".shstrtab", ".eh_frame", ".rela.eh_frame", ".rel.eh_frame", ".bss")
    listed = [s for s in elf.iter_sections() if s.name not in ("", *own) and (s["sh_size"] or s.name != ".text")]
    return Counter((s.name, s["sh_type"], s["sh_flags"], s["sh_size"]) for s in listed)


def symbols(elf: ELFFile) -> Counter[tuple[object, ...]]:
    table = elf.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    found: Counter[tuple[object, ...]] = Counter()
    for symbol in table.iter_symbols():
        index, kind = symbol["st_shndx"], symbol["st_info"]["type"]
        if kind == "STT_SECTION" or not symbol.name:
            continue
        where = elf.get_section(index).name if isinstance(index, int) else index
        if where == ".bss":  # commons have no order
            where, symbol.entry["st_value"] = ".bss", 0
        found[
            symbol.name, kind, symbol["st_info"]["bind"], symbol["st_other"]["visibility"], where, symbol["st_value"]
        ] += 1
    return found


def relocations(elf: ELFFile) -> Counter[tuple[object, ...]]:
    found: Counter[tuple[object, ...]] = Counter()
    table = elf.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    for section in elf.iter_sections():
        if not isinstance(section, RelocationSection) or "eh_frame" in section.name or section["sh_flags"] & 2:
            continue
        for row in section.iter_relocations():
            if not row["r_info_type"]:  # of a discarded section
                continue
            symbol = table.get_symbol(row["r_info_sym"])
            name = symbol.name
            if symbol["st_info"]["type"] == "STT_SECTION":
                name = elf.get_section(symbol["st_shndx"]).name
            found[section.name, row["r_offset"], row["r_info_type"], name, row.entry.get("r_addend")] += 1
    return found


def groups(elf: ELFFile) -> set[tuple[str, tuple[str, ...]]]:
    """Signature and members."""
    table, found = elf.get_section_by_name(".symtab"), set()
    assert isinstance(table, SymbolTableSection)
    for section in elf.iter_sections():
        if section["sh_type"] == "SHT_GROUP":
            words = section.data()
            indices = [int.from_bytes(words[at : at + 4], "little") for at in range(4, len(words), 4)]
            names = tuple(sorted(elf.get_section(index).name for index in indices))
            found.add((table.get_symbol(section["sh_info"]).name, names))
    return found


@pytest.mark.parametrize("words", [(), ("-d",), ("-S",), ("-x",)])
def test_facts_of_partial_links(tmp_path: Path, arch: str, objects: list[str], words: tuple[str, ...]) -> None:
    for by in ("ours", "gnu"):
        done = link(tmp_path, arch, by, f"{by}.o", "-r", *words, *objects)
        assert done.returncode == 0, done.stderr
    with (tmp_path / "ours.o").open("rb") as one, (tmp_path / "gnu.o").open("rb") as two:
        ours, gnu = ELFFile(one), ELFFile(two)
        assert ours["e_type"] == "ET_REL"
        assert sections(ours) == sections(gnu)
        assert symbols(ours) == symbols(gnu)
        # GNU ld has debug information of a group that was left out describe the copy that stays
        assert not relocations(ours) - relocations(gnu)
        assert all(
            str(row[0]).startswith((".rel.debug", ".rela.debug")) for row in relocations(gnu) - relocations(ours)
        )
        assert groups(ours) == groups(gnu) and groups(ours)


def test_programs_of_partial_links(tmp_path: Path, arch: str, objects: list[str]) -> None:
    """One object of both files, and one of each, which then share a COMDAT group."""
    for by in ("ours", "gnu"):
        for output, words in (("both.o", objects[:2]), ("one.o", objects[:1]), ("two.o", objects[1:2])):
            assert link(tmp_path, arch, by, f"{by}-{output}", "-r", *words).returncode == 0
        for program, words in (("p", [f"{by}-both.o"]), ("q", [f"{by}-one.o", f"{by}-two.o"])):
            command = ["g++", MACHINES[arch][0], "-no-pie", "-static", "-o", program, *words]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
            if "cannot find" in done.stderr:
                pytest.skip(f"no C++ library for {arch}")
            assert done.returncode == 0, done.stderr
            ran = subprocess.run([tmp_path / program], capture_output=True, text=True)
            assert (ran.stdout, ran.returncode) == ("49 5\n", 3)


def test_archives_and_collected_sections(tmp_path: Path, arch: str, objects: list[str]) -> None:
    subprocess.run(["ar", "rcs", "library.a", "second.o", "third.o"], cwd=tmp_path, check=True)
    for by in ("ours", "gnu"):
        assert link(tmp_path, arch, by, f"{by}.o", "-r", "first.o", "library.a").returncode == 0
        assert (
            link(tmp_path, arch, by, f"{by}-gc.o", "-r", "-S", "--gc-sections", "-u", "old_one", *objects).returncode
            == 0
        )
    names = []
    for output in ("ours.o", "gnu.o", "ours-gc.o", "gnu-gc.o"):
        with (tmp_path / output).open("rb") as file:
            names.append({str(row[0]) for row in symbols(ELFFile(file)) if row[1] != "STT_FILE"})
    assert names[0] == names[1] and "old_one" not in names[0]
    assert "main" not in names[2] and "main" not in names[3]


def test_stripped(tmp_path: Path, arch: str, objects: list[str]) -> None:
    """Of local symbols only those stay that relocations are for; debug information goes."""
    tables = []
    for by in ("ours", "gnu"):
        assert link(tmp_path, arch, by, f"{by}.o", "-r", "-s", *objects).returncode == 0
        with (tmp_path / f"{by}.o").open("rb") as file:
            elf = ELFFile(file)
            assert elf.get_section_by_name(".debug_info") is None
            tables.append({row[0] for row in symbols(elf) if row[2] != "STB_LOCAL"})
    assert tables[0] == tables[1] and "per_thread" in tables[0]


def test_many_sections(tmp_path: Path) -> None:
    """More sections than st_shndx and e_shnum have numbers for."""
    rows = [f'.section .data.{n},"aw"\n.globl v{n}\nv{n}: .long {n}\n' for n in range(66000)]
    (tmp_path / "a.s").write_text("".join(rows))
    (tmp_path / "b.s").write_text(".globl _start\n_start: mov v65900,%edi\n mov $60,%eax\n syscall\n")
    for name in ("a", "b"):
        subprocess.run(["as", f"{name}.s", "-o", f"{name}.o"], cwd=tmp_path, check=True)
    assert link(tmp_path, "x86_64", "ours", "c.o", "-r", "a.o", "b.o").returncode == 0
    for by in ("ours", "gnu"):
        assert link(tmp_path, "x86_64", by, f"p-{by}", "c.o").returncode == 0
        assert subprocess.run([tmp_path / f"p-{by}"]).returncode == 65900 & 255


def test_messages(tmp_path: Path) -> None:
    (tmp_path / "a.s").write_text(".globl f\nf: ret\n")
    subprocess.run(["as", "a.s", "-o", "a.o"], cwd=tmp_path, check=True)
    subprocess.run(["gcc", "-shared", "-nostdlib", "a.o", "-o", "a.so"], cwd=tmp_path, check=True)
    done = uselib("ld", "-r", "a.so", "-o", "b.o", cwd=tmp_path)
    assert done.returncode == 1 and "a.so: a dynamic shared library, not a relocatable object" in done.stderr
    done = uselib("ld", "-r", "--gc-sections", "a.o", "-o", "b.o", cwd=tmp_path)
    assert done.returncode == 1 and "--gc-sections with -r needs a symbol to begin with" in done.stderr
    done = uselib("ld", "-r", "-m", "i386coff", "a.o", "-o", "b.o", cwd=tmp_path)
    assert done.returncode == 2 and "-r: not supported for this format" in done.stderr
    assert not (tmp_path / "b.o").exists()


# -- --emit-relocs -------------------------------------------------------------------------------------------------------

RELAXED = """
    .text
    .globl _start
_start:
    lea foo(%rip), %rax
    call *bar@GOTPCREL(%rip)
    jmp *bar@GOTPCREL(%rip)
    lea text(%rip), %rsi
bar: ret
    .section .rodata.str1.1,"aMS",@progbits,1
text: .string "some text"
    .data
foo: .quad bar + 1
"""


def test_emitted_relocations(tmp_path: Path) -> None:
    (tmp_path / "a.s").write_text(RELAXED)
    subprocess.run(["as", "a.s", "-o", "a.o"], cwd=tmp_path, check=True)
    found = []
    for by in ("ours", "gnu"):
        assert link(tmp_path, "x86_64", by, by, "--emit-relocs", "a.o").returncode == 0
        with (tmp_path / by).open("rb") as file:
            elf = ELFFile(file)
            text = elf.get_section_by_name(".text")["sh_addr"]
            rows = sorted((row[1], row) for row in relocations(elf) if row[0] == ".rela.text")
            found.append([(int(str(at)) - text, row[2], row[3], row[4]) for at, row in rows])
    assert found[0] == found[1] and len(found[0]) == 4


@pytest.mark.parametrize("shape", ["-pie", "-no-pie"])
def test_programs_with_relocations(tmp_path: Path, arch: str, objects: list[str], shape: str) -> None:
    if arch == "i386":
        pytest.skip("its dynamic linker is not at its place everywhere")
    from uselib.commands.ld_dir import directory

    for name in ("first.cc", "second.cc"):
        subprocess.run(["g++", "-fPIE", "-c", name], cwd=tmp_path, check=True)
    command = ["g++", f"-B{directory()}", shape, "-Wl,-q", "-o", "p", "first.o", "second.o"]
    subprocess.run(command, cwd=tmp_path, check=True)
    ran = subprocess.run([tmp_path / "p"], capture_output=True, text=True)
    assert (ran.stdout, ran.returncode) == ("49 5\n", 3)
    with (tmp_path / "p").open("rb") as file:
        assert ELFFile(file).get_section_by_name(".rela.text") is not None
