"""exec and uselib(2) of a.out: the stack, the memory and every check of the kernels of 1993 and 2001."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from support.aout import assemble, library, program
from support.command import uselib
from uselib.linker.historical.aout.format import Magic

BASE = 0x60000000

EXIT = "mov eax, 1; int 0x80;"


def run(path: Path, *arguments: str, options: tuple[str, ...] = ()):
    return uselib("run", "--writable", path.parent, *options, path, *arguments, cwd=path.parent)


@pytest.mark.parametrize("magic", list(Magic))
def test_text_data_and_bss(tmp_path: Path, magic: Magic) -> None:
    """The program adds a byte of data, a byte of bss (0) and one of its own text (page 0 can be read)."""
    text_size = {Magic.OMAGIC: 64}.get(magic, 4096)
    start = 0x1000 if magic is Magic.QMAGIC else 0
    entry = start + (32 if magic is Magic.QMAGIC else 0)
    data_at = start + text_size
    bss_at = data_at + (4 if magic is Magic.OMAGIC else 4096)
    code = assemble(
        f"xor ebx, ebx; mov bl, [{data_at}]; add bl, [{bss_at + 8}]; mov byte ptr [{bss_at + 8}], 1;"
        f"add bl, [{bss_at + 8}]; add bl, [{entry}]; {EXIT}",
        entry,
    )
    text = bytes(32) + code if magic is Magic.QMAGIC else code
    path = program(tmp_path / "p", text.ljust(text_size, b"\x90"), b"\x05\0\0\0", magic, bss=100, entry=entry)
    expected = (5 + 1 + code[0]) & 0xFF
    result = run(path)
    assert (result.returncode, result.stderr) == (expected, "")


def test_stack_has_pointers_to_the_vectors(tmp_path: Path) -> None:
    """[esp] argc, [esp+4] argv, [esp+8] envp: exit status is argc * 16 + first character of argv[1]."""
    code = assemble(
        "mov ebx, [esp]; shl ebx, 4; mov eax, [esp+4]; mov eax, [eax+4]; movzx eax, byte ptr [eax]; sub eax, 0x30;"
        f"add ebx, eax; mov eax, [esp+8]; mov eax, [eax]; cmp byte ptr [eax], 0x50; je ok; mov ebx, 99; ok: {EXIT}"
    )
    result = run(program(tmp_path / "p", code), "7", "x")
    assert (result.returncode, result.stderr) == (3 * 16 + 7, "")  # the first variable is PATH


def loads(*paths: str, then: str = "") -> bytes:
    """Calls uselib(2) for each path; ends with minus the first error, or goes on with `then`."""
    code = ""
    places = 0x800
    for name in paths:
        code += f"mov eax, 86; mov ebx, {places}; int 0x80; test eax, eax; jne bad;"
        places += len(name) + 1
    code += f"{then or 'xor ebx, ebx;'} {EXIT} bad: neg eax; mov ebx, eax; {EXIT}"
    return assemble(code).ljust(0x800, b"\x90") + b"".join(name.encode() + b"\0" for name in paths)


def test_a_library_is_called_through_its_slots(tmp_path: Path) -> None:
    library(tmp_path / "lib", BASE, [assemble("mov eax, 40; ret"), assemble("add eax, 2; ret")])
    then = f"mov ecx, {BASE + 8}; call ecx; mov ecx, {BASE + 16}; call ecx; mov ebx, eax;"
    path = program(tmp_path / "p", loads("lib", then=then))
    result = run(path)
    assert (result.returncode, result.stderr) == (42, "")
    traced = uselib("trace", "--writable", tmp_path, path, cwd=tmp_path)
    assert traced.returncode == 42
    assert "library lib 4.3.3 at 0x60000000" in traced.stdout + traced.stderr
    assert "slot1 #1" in traced.stdout + traced.stderr and "slot2 #2" in traced.stdout + traced.stderr


def elf_like(path: Path) -> Path:
    path.write_bytes(b"\x7fELF" + bytes(60))
    path.chmod(0o755)
    return path


def short(path: Path) -> Path:
    library(path, BASE, [b"\xc3"])
    path.write_bytes(path.read_bytes()[:2000])
    return path


REFUSED_099 = {
    "missing": (lambda path: path, errno.ENOENT),
    "not ZMAGIC": (lambda path: library(path, BASE, [b"\xc3"], magic=Magic.QMAGIC), errno.ENOEXEC),
    "entry not on a page": (lambda path: library(path, BASE + 4, [b"\xc3"]), errno.ENOEXEC),
    "an ELF file": (elf_like, errno.ENOEXEC),
    "short": (short, errno.ENOEXEC),
    "a directory": (lambda path: path.mkdir(), errno.EACCES),
}


@pytest.mark.parametrize("case", REFUSED_099)
def test_refused_by_the_kernel_of_1993(tmp_path: Path, case: str) -> None:
    make, expected = REFUSED_099[case]
    make(tmp_path / "lib")
    result = run(program(tmp_path / "p", loads("lib")))
    assert (result.returncode, result.stderr) == (expected, "")


def test_relocations_are_refused(tmp_path: Path) -> None:
    path = library(tmp_path / "lib", BASE, [b"\xc3"])
    raw = bytearray(path.read_bytes())
    raw[24:28] = (8).to_bytes(4, "little")  # a_trsize
    path.write_bytes(raw + bytes(8))
    assert run(program(tmp_path / "p", loads("lib"))).returncode == errno.ENOEXEC


def test_sixteen_libraries_and_no_more(tmp_path: Path) -> None:
    names = [f"l{number}" for number in range(17)]
    for number, name in enumerate(names):
        library(tmp_path / name, BASE + number * 0x10000, [b"\xc3"])
    assert run(program(tmp_path / "p", loads(*names[:16]))).returncode == 0
    assert run(program(tmp_path / "q", loads(*names))).returncode == errno.EINVAL


def test_an_overlap_is_refused(tmp_path: Path) -> None:
    """The kernels mapped over what was there; here that is EEXIST."""
    library(tmp_path / "a", BASE, [b"\xc3"])
    library(tmp_path / "b", BASE, [b"\xc3"])
    assert run(program(tmp_path / "p", loads("a", "b"))).returncode == errno.EEXIST


def test_null_name(tmp_path: Path) -> None:
    code = assemble(f"mov eax, 86; xor ebx, ebx; int 0x80; neg eax; mov ebx, eax; {EXIT}")
    assert run(program(tmp_path / "p", code)).returncode == errno.EINVAL


def test_a_program_with_relocations_or_cut_off_is_not_started(tmp_path: Path) -> None:
    path = program(tmp_path / "p", assemble(EXIT))
    raw = bytearray(path.read_bytes())
    raw[28:32] = (8).to_bytes(4, "little")
    path.write_bytes(raw)
    result = run(path)
    assert result.returncode == 1 and result.stderr.startswith("uselib: ") and result.stderr.count("\n") == 1
    path.write_bytes(program(tmp_path / "q", assemble(EXIT)).read_bytes()[:3000])
    result = run(path)
    assert result.returncode == 1 and result.stderr.count("\n") == 1


def test_old_calls(tmp_path: Path) -> None:
    """olduname's release, and iopl for one who is not the superuser."""
    code = assemble(
        f"mov eax, 109; mov ebx, 0x1000; int 0x80; test eax, eax; jne bad; mov eax, 110; mov ebx, 3; int 0x80;"
        f"cmp eax, -1; jne bad; mov eax, 4; mov ebx, 1; mov ecx, {0x1000 + 130}; mov edx, 6; int 0x80;"
        f"xor ebx, ebx; {EXIT} bad: mov ebx, 1; {EXIT}"
    )
    result = run(program(tmp_path / "p", code, bss=4096))
    assert (result.returncode, result.stdout) == (0, "0.99.9")
