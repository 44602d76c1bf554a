"""COFF of System V Release 3: reader and writer against binutils, programs and libraries mapped by exec, the malloc hack, chkshlib."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.coff import LIB1, SPEC, compile_c, link_program, make_root, run_program
from support.command import uselib
from uselib.linker.errors import FormatError, ToolError
from uselib.linker.formats import ar
from uselib.linker.historical.coff import format as coff
from uselib.linker.historical.coff import to_elf as coff_object

AS, OBJDUMP = "i386-pc-msdosdjgpp-as", "i386-pc-msdosdjgpp-objdump"
ASSEMBLER = """
	.text
	.globl _main
_main:	call _ext
	call local
	movl $_var,%eax
	movl _var+4,%eax
	movl $_ext2+8,%ecx
	movl $local,%edx
	movl $_comm,%edx
local:	ret
	.data
	.globl _var
_var:	.long 1,2,_main,local,_ext2
	.comm _comm,16
	.lcomm _lc,8
"""


def assembled(folder: Path, text: str = ASSEMBLER, name: str = "t") -> Path:
    if shutil.which(AS) is None:
        pytest.skip("needs binutils-djgpp")
    (folder / f"{name}.s").write_text(text)
    subprocess.run([AS, f"{name}.s", "-o", f"{name}.o"], cwd=folder, check=True)
    return folder / f"{name}.o"


def dump(path: Path, *options: str) -> str:
    return subprocess.run([OBJDUMP, *options, str(path)], check=True, capture_output=True, text=True).stdout.partition(
        "format"
    )[2]


def test_written_files_read_back_the_same(tmp_path: Path) -> None:
    path = assembled(tmp_path)
    again = tmp_path / "again.o"
    file = coff.decode(path.read_bytes(), "t.o")
    again.write_bytes(coff.encode(file))
    for option in ("-t", "-r", "-d"):
        assert dump(again, option) == dump(path, option)
    assert [(s.name, s.size) for s in file.sections] == [
        (name, int(size, 16)) for name, size in re.findall(r"\d (\.\w+) +([0-9a-f]{8})", dump(path, "-h"))
    ]


def test_an_object_becomes_elf(tmp_path: Path) -> None:
    """The same source through ELF's assembler: the same relocations, as objdump shows them."""
    elf = tmp_path / "elf.o"
    elf.write_bytes(coff_object.to_elf(assembled(tmp_path).read_bytes(), "t.o"))
    (tmp_path / "e.s").write_text(ASSEMBLER)
    subprocess.run(["as", "--32", "e.s", "-o", "e.o"], cwd=tmp_path, check=True)

    def linked(path: Path) -> bytes:
        names = ["--defsym=_ext=0x1234", "--defsym=_ext2=0x5678", "-Ttext=0x10000", "-Tdata=0x20000", "-Tbss=0x30000"]
        subprocess.run(["ld", "-m", "elf_i386", "-e", "_main", "-d", *names, "-o", "x", path], cwd=tmp_path, check=True)
        parts = []
        for section in (".text", ".data"):
            subprocess.run(["objcopy", "-O", "binary", "-j", section, "x", "part"], cwd=tmp_path, check=True)
            parts.append((tmp_path / "part").read_bytes())
        return parts[0][:0x24] + parts[1][:20]  # less the padding

    # `call local` is resolved by both assemblers; commons and lcomm lie in bss in either order
    ours, theirs = linked(elf), linked(tmp_path / "e.o")
    comm = 0x1E + 1  # movl $_comm
    assert ours[:comm] + ours[comm + 4 :] == theirs[:comm] + theirs[comm + 4 :]


# -- programs and libraries ----------------------------------------------------------------------------------------------------


def test_the_kernel_maps_the_library(coff_kit: Path, tmp_path: Path) -> None:
    """31 from the library's function, one call of the program's allocator through the library's pointer, equal pointers, data."""
    result = run_program(make_root(tmp_path, coff_kit / "prog", (coff_kit / "libx_s").read_bytes()), "x")
    assert (result.returncode, result.stderr) == (31 + 100 + 1 + 4 + 2, "")


def test_files_by_an_independent_reader(coff_kit: Path) -> None:
    if shutil.which(OBJDUMP) is None:
        pytest.skip("needs binutils-djgpp")
    text = dump(coff_kit / "libx_s", "-h", "-t", "-f")
    assert "start address 0xa4000000" in text
    for name, address in (("addone", 0xA4000000), ("make", 0xA400000A), ("self", 0xA400000F), ("table", 0xA4400000)):
        assert re.search(rf"\(scl   2\) \(nx 0\) 0x{address:08x} {name}$", text, re.MULTILINE), name
    program = dump(coff_kit / "prog", "-h")
    assert re.search(r"\.lib +00000018  00000000  00000001", program)  # paddr: one library
    subprocess.run(["ar", "t", coff_kit / "libx.a"], check=True)


def test_the_table(coff_kit: Path) -> None:
    file = coff.decode((coff_kit / "libx_s").read_bytes(), "libx_s")
    assert file.optional is not None and file.optional.magic == coff.LIBMAGIC
    text = file.sections[0].content
    assert text[0] == text[5] == text[10] == text[15] == 0xE9 and text[20:25] == b"\x0f\x0b\xcc\xcc\xcc"
    targets = [5 * n + 5 + int.from_bytes(text[5 * n + 1 : 5 * n + 5], "little") for n in range(4)]
    assert targets[1] == targets[2] != targets[0]  # make has two slots


ELIB = {
    "no library": (None, "Can not access a needed shared library"),
    "not a library": (b"#!/bin/sh\n", "Accessing a corrupted shared library"),
    "truncated": (600, "Accessing a corrupted shared library"),
    "a program": ("prog", "Accessing a corrupted shared library"),
}


@pytest.mark.parametrize("case", ELIB)
def test_errors_of_the_kernel(coff_kit: Path, tmp_path: Path, case: str) -> None:
    content, message = ELIB[case]
    if isinstance(content, int):
        content = (coff_kit / "libx_s").read_bytes()[:content]
    elif isinstance(content, str):
        content = (coff_kit / content).read_bytes()
    result = run_program(make_root(tmp_path, coff_kit / "prog", content))
    assert result.returncode == 1 and result.stderr.splitlines()[-1] == f"uselib: /prog: {message}"


def with_lib(coff_kit: Path, tmp_path: Path, change) -> Path:
    """The program with other contents in its .lib."""
    file = coff.decode((coff_kit / "prog").read_bytes(), "prog")
    sections = tuple(
        coff.CoffSection(s.name, s.address, len(change(s.content)), s.flags, change(s.content), paddr=s.paddr)
        if s.name == ".lib"
        else s
        for s in file.sections
    )
    path = tmp_path / "changed"
    path.write_bytes(coff.encode(coff.Coff(sections, file.symbols, file.optional, file.flags), 4096))
    path.chmod(0o755)
    return path


def words(*numbers: int) -> bytes:
    return b"".join(n.to_bytes(4, "little") for n in numbers)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[:-2], ".lib section in a.out corrupted"),
        (
            lambda c: words(6, 6) + c[8:],
            ".lib has a record of 6 words with its path at word 6, 24 bytes before the end",
        ),
        (
            lambda c: words(6, 99) + c[8:],
            ".lib has a record of 6 words with its path at word 99, 24 bytes before the end",
        ),
        (
            lambda c: words(99, 2) + c[8:],
            ".lib has a record of 99 words with its path at word 2, 24 bytes before the end",
        ),
        (lambda c: words(2, 2, 0), ".lib has a record of 2 words with its path at word 2, 12 bytes before the end"),
        (lambda c: c * 17, "Attempting to link in too many shared libraries"),
    ],
)
def test_hostile_library_records(coff_kit: Path, tmp_path: Path, change, message: str) -> None:
    program = with_lib(coff_kit, tmp_path, change)
    result = run_program(make_root(tmp_path, program, (coff_kit / "libx_s").read_bytes()))
    assert result.returncode == 1 and result.stderr.splitlines()[-1] == f"uselib: /prog: {message}"


def test_overlapping_libraries_and_executing_one(coff_kit: Path, tmp_path: Path) -> None:
    twice = with_lib(coff_kit, tmp_path, lambda c: c * 2)
    library = (coff_kit / "libx_s").read_bytes()
    assert "File exists" in run_program(make_root(tmp_path, twice, library)).stderr
    shutil.copy(tmp_path / "shlib" / "libx_s", tmp_path / "prog")
    assert "is a library; run a program that was linked with it" in run_program(tmp_path).stderr


def test_a_coff_object_and_an_elf_one(coff_kit: Path, tmp_path: Path) -> None:
    """An object of binutils' assembler calls the library: COFF in, COFF out."""
    source = ".text\n.globl main\nmain: pushl $7\ncall addone\naddl $4,%esp\naddl counter,%eax\nret\n"
    path = assembled(tmp_path, source, "m")
    program = link_program(
        coff_kit, "prog2", str(path), str(compile_c(tmp_path, "alloc", "void *my_alloc(int n) { return 0; }"))
    )
    assert run_program(make_root(tmp_path, program, (coff_kit / "libx_s").read_bytes())).returncode == 7 + 1 + 5 + 5


# -- what mkshlib and ld refuse ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("self 4", "nobody 4", "spec:7: nobody: no object defines a function of this name"),
        ("#init lib1.o", "#init lib9.o", "spec:12: no object of the library is called lib9.o"),
        ("_libx_alloc my_alloc", "nowhere my_alloc", "spec:12: nowhere: no object defines this pointer"),
        ("#target /shlib/libx_s\n", "", "spec: has no #target; programs record the path that it gives"),
        ("self 4", "self 6", "#branch leaves out slot 4"),
        ("0xa4400000", "0xa4000000", "beyond the start of the data"),
    ],
)
def test_specifications_that_objects_contradict(
    coff_kit: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    shutil.copytree(coff_kit, tmp_path, dirs_exist_ok=True)
    (tmp_path / "libx_s").unlink()
    (tmp_path / "spec").write_text(SPEC.replace(old, new))
    result = uselib("mkshlib", "--format", "coff", "-s", "spec", "-o", ".", cwd=tmp_path)
    assert result.returncode in (1, 2) and message in result.stderr and not (tmp_path / "libx_s").exists()


def test_the_host_library_alone(coff_kit: Path, tmp_path: Path) -> None:
    shutil.copytree(coff_kit, tmp_path, dirs_exist_ok=True)
    options = ("-n", "--host", "host/lib.a", "-t", "target/lib")
    assert uselib("mkshlib", "--format", "coff", "-s", "spec", "-o", ".", *options, cwd=tmp_path).returncode == 0
    assert (tmp_path / "host" / "lib.a").read_bytes() == (coff_kit / "libx.a").read_bytes()
    assert not (tmp_path / "target" / "lib").exists()


# -- chkshlib ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other(coff_kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second version: self has moved to slot 5, data has moved, a function is new."""
    folder = tmp_path_factory.mktemp("other")
    shutil.copytree(coff_kit, folder, dirs_exist_ok=True)
    spec = SPEC.replace("  self 4\n  .empty_slot 5", "  .empty_slot 4\n  self 5\n  more 6")
    (folder / "spec").write_text(spec)
    compile_c(folder, "lib1", LIB1 + "int first = 1; int more(void) { return 1; }")
    assert uselib("mkshlib", "--format", "coff", "-s", "spec", "-o", ".", cwd=folder).returncode == 0
    return folder


def check(*words_: str | Path) -> tuple[int, list[str]]:
    result = uselib("chkshlib", *words_)
    assert result.stderr == ""
    return result.returncode, result.stdout.splitlines()


def test_verdicts_of_a_matching_pair(coff_kit: Path) -> None:
    prog, host, target = coff_kit / "prog", coff_kit / "libx.a", coff_kit / "libx_s"
    assert check(prog, target) == (0, [f"{prog}, {target}: can the program run with the library? yes"])
    assert check(prog, host) == (0, [f"{prog}, {host}: could the host library have produced the program? yes"])
    assert check(host, target) == (
        0,
        [f"{host}, {target}: would programs linked with the host library run with the target? yes"],
    )
    status, lines = check(target, target)
    assert status == 0 and len(lines) == 2


def test_verdicts_of_versions_that_do_not_agree(coff_kit: Path, other: Path) -> None:
    status, lines = check(coff_kit / "prog", other / "libx_s")
    assert status == 4 and lines[0].endswith("can the program run with the library? no")
    assert (
        lines[1] == f"  counter: at 0xa4400010 in {coff_kit / 'prog'}, at 0xa4400014 in {other / 'libx_s'}"
        and len(lines) == 2
    )
    status, lines = check("-v", coff_kit / "libx.a", other / "libx_s")
    assert status == 4 and [line.split(":")[0].strip() for line in lines[1:]] == ["counter", "self", "table"]
    status, lines = check("-v", other / "libx_s", coff_kit / "libx_s")
    assert (
        status == 4
        and any("more: is not in" in line for line in lines)
        and any("first: is not in" in line for line in lines)
    )


def test_target_paths(coff_kit: Path, tmp_path: Path) -> None:
    shutil.copytree(coff_kit, tmp_path, dirs_exist_ok=True)
    (tmp_path / "spec").write_text(SPEC.replace("/shlib/libx_s", "/usr/shlib/libx_s"))
    assert uselib("mkshlib", "--format", "coff", "-s", "spec", "-o", ".", cwd=tmp_path).returncode == 0
    status, lines = check(coff_kit / "prog", tmp_path / "libx.a")
    assert status == 4 and "names the target /shlib/libx_s" in lines[1]
    assert check("-i", coff_kit / "prog", tmp_path / "libx.a")[0] == 0


def test_bounds_references_and_order(coff_kit: Path) -> None:
    status, lines = check("-n", coff_kit / "libx_s", coff_kit / "libx_s")
    assert (status, lines[0].rpartition("? ")[2]) == (0, "no")
    assert check("-b", coff_kit / "libx.a", coff_kit / "libx_s")[0] == 0
    result = uselib("chkshlib", coff_kit / "libx_s", coff_kit / "prog")
    assert result.returncode == 1 and "are not compared in this order; swap the files" in result.stderr
    result = uselib("chkshlib", "-n", coff_kit / "libx_s", coff_kit / "libx.a")
    assert result.returncode == 2


# -- damage -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(coff_kit: Path) -> dict[str, bytes]:
    return {name: (coff_kit / name).read_bytes() for name in ("prog", "libx_s")} | {
        "member": next(_members(coff_kit / "libx.a", "lib1.o"))
    }


def _members(path: Path, name: str):
    archive = ar.Archive(path.read_bytes(), str(path))
    for member in archive.members():
        if member.name == name:
            yield archive.data[member.start : member.start + member.size]


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(("prog", "libx_s", "member")), st.data())
def test_damaged_files_give_one_kind_of_error(good: dict[str, bytes], name: str, draw: st.DataObject) -> None:
    raw = bytearray(good[name])
    for _ in range(draw.draw(st.integers(1, 4))):
        raw[draw.draw(st.integers(0, min(len(raw) - 1, 400)))] = draw.draw(st.integers(0, 255))
    raw = raw[: draw.draw(st.integers(0, len(raw)))]
    from uselib.linker.historical.coff import check as coff_check

    for read in (coff.decode, coff.decode_headers, coff_object.to_elf, coff_check.read):
        try:
            read(bytes(raw), "f")
        except ToolError as failure:
            assert str(failure).startswith("f")


def test_library_records() -> None:
    content = coff.encode_library("/shlib/libc_s") + coff.encode_library("x")
    assert [r.path for r in coff.decode_libraries(content, "f")] == ["/shlib/libc_s", "x"]
    for bad in (content[:-4], words(0, 0), words(3, 2, 0), words(3, 3, 1)):
        with pytest.raises(FormatError):
            coff.decode_libraries(bad, "f")
