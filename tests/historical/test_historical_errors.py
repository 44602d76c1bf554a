"""The checks of the kernels of 1993 and 2001, and the system calls of that time, each provoked by a program that was assembled here.

What start-up code checks is in test_aout_link.py, COFF's checks are in test_coff.py; docs/schemes.md lists all of them.
"""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.aout import assemble, library, program
from support.command import uselib
from uselib.linker.historical.aout.format import HEADER_SIZE, Aout, AoutSymbol, ExecHeader, Magic, encode

BASE = 0x60000000
RETURNS_42 = "mov eax, 42; ret"

# -- uselib(2) of Linux 2.4 for an a.out library, called by an ELF program ---------------------------------------------------

# uselib(argv[1]); with a second argument, the function at that address of the library is called. Exit status: its result, or errno.
ELF_PROGRAM = r"""
static int call(int number, int a) { int r; __asm__ volatile("int $0x80" : "=a"(r) : "0"(number), "b"(a) : "memory"); return r; }
__attribute__((used)) void start(int argc, char **argv) {
	int error = -call(86, (int)argv[1]);
	unsigned at = 0;
	if (!error && argc > 2) {
		for (char *s = argv[2]; *s; s++)
			at = at * 10 + (*s - '0');
		error = ((int (*)(void))at)();
	}
	call(1, error);
}
__asm__(".globl _start\n_start: mov %esp, %eax; lea 4(%esp), %edx; push %edx; push (%eax); call start");
"""


@pytest.fixture(scope="module")
def elf_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("needs gcc")
    folder = tmp_path_factory.mktemp("elf")
    (folder / "u.c").write_text(ELF_PROGRAM)
    flags = ["-m32", "-O1", "-nostdlib", "-static", "-fno-pic", "-no-pie", "-ffreestanding", "-fno-stack-protector"]
    subprocess.run([gcc, *flags, "u.c", "-o", "u"], cwd=folder, check=True)
    return folder / "u"


def load(elf_program: Path, *arguments: str | Path) -> int:
    """errno of uselib(2), 0, or what the library's function returned."""
    folder = Path(arguments[0]).parent if arguments else elf_program.parent
    result = uselib("run", "--readable", elf_program, "--readable", folder, elf_program, *arguments)
    assert result.stderr == ""
    return result.returncode


def qmagic(path: Path, entry: int = BASE + HEADER_SIZE) -> Path:
    """A QMAGIC library: its header is the first bytes of its text, so its code begins at base + 32."""
    text = (bytes(HEADER_SIZE) + assemble(RETURNS_42)).ljust(4096, b"\0")
    path.write_bytes(encode(Aout(ExecHeader(Magic.QMAGIC, 0, 0, entry=entry), text, b"")))
    path.chmod(0o755)
    return path


def test_libraries_are_mapped_and_called(elf_program: Path, tmp_path: Path) -> None:
    path = library(tmp_path / "z", BASE, [assemble(RETURNS_42)])
    assert load(elf_program, path, str(BASE + 8)) == 42
    assert load(elf_program, qmagic(tmp_path / "q"), str(BASE + HEADER_SIZE)) == 42
    # the kernel takes the page of a QMAGIC entry, wherever in it the entry is
    assert load(elf_program, qmagic(tmp_path / "r", BASE + 0x123), str(BASE + HEADER_SIZE)) == 42


def changed(path: Path, offset: int, value: int) -> Path:
    raw = bytearray(path.read_bytes())
    raw[offset : offset + 4] = value.to_bytes(4, "little")
    path.write_bytes(raw)
    return path


def good(path: Path) -> Path:
    return library(path, BASE, [assemble(RETURNS_42)])


def with_mode(path: Path, mode: int) -> Path:
    good(path).chmod(mode)
    return path


def cut(path: Path, size: int) -> Path:
    path.write_bytes(good(path).read_bytes()[:size])
    return path


def directory(path: Path) -> Path:
    path.mkdir()
    return path


def text_file(path: Path) -> Path:
    path.write_bytes(b"#!/bin/sh\n" + bytes(100))
    path.chmod(0o755)
    return path


def without_symbols(path: Path) -> Path:
    """Its symbol table is announced and not there."""
    text = (bytes(8) + assemble(RETURNS_42)).ljust(4096, b"\0")
    raw = encode(Aout(ExecHeader(Magic.ZMAGIC, 0, 0, entry=BASE), text, b"", symbols=(AoutSymbol("_f", 5, BASE + 8),)))
    path.write_bytes(raw[: 1024 + len(text)])
    path.chmod(0o755)
    return path


A_INFO, A_TRSIZE, A_DRSIZE = 0, 24, 28
REFUSED_24: dict[str, tuple[Callable[[Path], Path], int]] = {
    "no such file": (lambda path: path, errno.ENOENT),
    "a directory": (directory, errno.EINVAL),
    "not executable": (lambda path: with_mode(path, 0o644), errno.EACCES),
    "not readable": (lambda path: with_mode(path, 0o111), errno.EACCES),
    "OMAGIC": (lambda path: library(path, BASE, [b"\xc3"], magic=Magic.OMAGIC), errno.ENOEXEC),
    "NMAGIC": (lambda path: library(path, BASE, [b"\xc3"], magic=Magic.NMAGIC), errno.ENOEXEC),
    "text relocations": (lambda path: changed(good(path), A_TRSIZE, 8), errno.ENOEXEC),
    "data relocations": (lambda path: changed(good(path), A_DRSIZE, 8), errno.ENOEXEC),
    "flags": (lambda path: changed(good(path), A_INFO, 0x0164010B), errno.ENOEXEC),
    "a ZMAGIC entry within a page": (lambda path: library(path, BASE + 4, [b"\xc3"]), errno.ENOEXEC),
    "short": (lambda path: cut(path, 2000), errno.ENOEXEC),
    "without its symbols": (without_symbols, errno.ENOEXEC),
    "no header": (lambda path: cut(path, 31), errno.ENOEXEC),
    "a script": (text_file, errno.ENOEXEC),
    "at the stack": (lambda path: library(path, 0xFFFFD000, [b"\xc3"]), errno.ENOEXEC),
}


@pytest.mark.parametrize("case", REFUSED_24)
def test_refused_by_the_kernel_of_2001(elf_program: Path, tmp_path: Path, case: str) -> None:
    make, expected = REFUSED_24[case]
    path = make(tmp_path / "lib")
    status = load(elf_program, path)
    if case == "at the stack":
        assert status in (errno.EEXIST, errno.ENOMEM, errno.ENOEXEC)
    else:
        assert status == expected


def test_null_and_empty_names(elf_program: Path) -> None:
    """getname() of 2.4: EFAULT for a null pointer, ENOENT for an empty name."""
    assert load(elf_program) == errno.EFAULT
    result = uselib("run", "--readable", elf_program, elf_program, "")
    assert result.returncode == errno.ENOENT


def test_an_overlap(elf_program: Path, tmp_path: Path) -> None:
    """The kernel mapped over the program; here that is EEXIST, before anything is mapped."""
    assert load(elf_program, library(tmp_path / "lib", 0x08048000, [b"\xc3"])) == errno.EEXIST


# -- uselib(2) of Linux 0.99pl9: what test_aout_programs.py leaves out ---------------------------------------------------------

EXIT = "mov eax, 1; int 0x80;"
PATH = 0x800


def guest(tmp_path: Path, source: str, data: bytes = b"", stdin: str | None = None, **fields: int):
    """Runs an a.out program: `source`, with `data` (names, structures) at PATH of its text, which can be written too."""
    text = assemble(source)
    assert len(text) <= PATH
    path = program(tmp_path / "p", text.ljust(PATH, b"\x90") + data, **fields)
    return uselib("run", "--writable", tmp_path, path, cwd=tmp_path)


def load_099(tmp_path: Path) -> int:
    source = f"mov eax, 86; mov ebx, {PATH}; int 0x80; neg eax; mov ebx, eax; {EXIT}"
    return guest(tmp_path, source, b"lib\0").returncode


REFUSED_099: dict[str, tuple[Callable[[Path], Path], int]] = {
    "not readable": (lambda path: with_mode(path, 0o111), errno.EACCES),
    "data relocations": (lambda path: changed(good(path), A_DRSIZE, 8), errno.ENOEXEC),
    "without its symbols": (without_symbols, errno.ENOEXEC),
    "no header": (lambda path: cut(path, 31), errno.ENOEXEC),
}


@pytest.mark.parametrize("case", REFUSED_099)
def test_refused_by_the_kernel_of_1993(tmp_path: Path, case: str) -> None:
    make, expected = REFUSED_099[case]
    make(tmp_path / "lib")
    assert load_099(tmp_path) == expected


def test_the_kernel_of_1993_asks_for_no_execute_permission(tmp_path: Path) -> None:
    with_mode(tmp_path / "lib", 0o644)
    assert load_099(tmp_path) == 0


# -- system calls of that time ---------------------------------------------------------------------------------------------------

BAD = f"bad: mov ebx, 99; {EXIT}"  # a jump here ends a program whose check failed


def test_old_mmap_takes_a_block(tmp_path: Path) -> None:
    """mmap(90): ebx points to six words (address, length, protection, flags, descriptor, offset). Anonymous and private is flags 0x22."""
    block = b"".join(n.to_bytes(4, "little") for n in (0, 8192, 3, 0x22, 0xFFFFFFFF, 0))
    source = (
        f"mov eax, 90; mov ebx, {PATH}; int 0x80; cmp eax, 0xfffff000; ja bad; mov dword ptr [eax + 8188], 7;"
        f"mov ebx, [eax + 8188]; add ebx, [eax]; push ebx;"
        # munmap, after which the second of two calls with the address fails no more than the first
        f"mov ebx, eax; mov ecx, 8192; mov eax, 91; int 0x80; test eax, eax; jne bad; pop ebx; {EXIT} {BAD}"
    )
    assert guest(tmp_path, source, block).returncode == 7
    wrong = b"".join(n.to_bytes(4, "little") for n in (0, 8192, 3, 0x22, 0xFFFFFFFF, 1))  # an offset within a page
    failing = f"mov eax, 90; mov ebx, {PATH}; int 0x80; neg eax; mov ebx, eax; {EXIT}"
    assert guest(tmp_path, failing, wrong).returncode == errno.EINVAL
    assert guest(tmp_path, failing.replace(str(PATH), "0x50000000")).returncode == errno.EFAULT


def test_old_select_takes_a_block(tmp_path: Path) -> None:
    """select(82): ebx points to five words (count, three sets, timeout). A pipe with a byte in it can be read, an empty one cannot."""
    # at PATH: the block; +32: read set; +40: struct timeval of 0; +48: the pipe's descriptors
    block = b"".join(n.to_bytes(4, "little") for n in (32, PATH + 32, 0, 0, PATH + 40)).ljust(64, b"\0")
    ask = (
        f"mov ecx, [{PATH + 48}]; mov eax, 1; shl eax, cl; mov [{PATH + 32}], eax;"
        f"mov eax, 82; mov ebx, {PATH}; int 0x80;"
    )
    source = (
        f"mov eax, 42; mov ebx, {PATH + 48}; int 0x80; test eax, eax; jne bad;"
        f"{ask} test eax, eax; jne bad; cmp dword ptr [{PATH + 32}], 0; jne bad;"
        f"mov eax, 4; mov ebx, [{PATH + 52}]; mov ecx, {PATH}; mov edx, 1; int 0x80; cmp eax, 1; jne bad;"
        f"{ask} mov ebx, eax; {EXIT} {BAD}"
    )
    assert guest(tmp_path, source, block).returncode == 1


def test_old_readdir_gives_one_entry_a_call(tmp_path: Path) -> None:
    """readdir(89): one entry (u32 inode, u32 offset, u16 length, name), 1; at the end 0. Here: the number of entries and of their letters."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a", "bc"):
        (folder / name).write_text("")
    source = (
        f"mov eax, 5; mov ebx, {PATH}; xor ecx, ecx; int 0x80; test eax, eax; js bad; mov esi, eax; xor edi, edi;"
        f"again: mov eax, 89; mov ebx, esi; mov ecx, {PATH + 64}; mov edx, 1; int 0x80; test eax, eax; je done; js bad;"
        f"movzx eax, word ptr [{PATH + 72}]; add edi, eax; add edi, 16; cmp dword ptr [{PATH + 64}], 0; je bad; jmp again;"
        f"done: mov ebx, edi; {EXIT} {BAD}"
    )
    result = guest(tmp_path, source, b"folder\0".ljust(400, b"\0"))
    assert result.returncode == 4 * 16 + len(". .. a bc".replace(" ", ""))
    on_a_file = f"mov eax, 5; mov ebx, {PATH}; xor ecx, ecx; int 0x80; mov ebx, eax; mov ecx, {PATH + 64}; mov eax, 89; mov edx, 1;"
    on_a_file += f"int 0x80; neg eax; mov ebx, eax; {EXIT}"
    assert guest(tmp_path, on_a_file, b"p\0".ljust(400, b"\0")).returncode == errno.ENOTDIR


@pytest.mark.parametrize(
    ("number", "by_descriptor"), [(18, False), (84, False), (28, True)], ids=["stat", "lstat", "fstat"]
)
def test_stat_of_that_time(tmp_path: Path, number: int, by_descriptor: bool) -> None:
    """oldstat: seven 16-bit fields (device, inode, mode, links, uid, gid, rdev), two bytes, then size and times of 32 bits."""
    (tmp_path / "file").write_text("x" * 1234)
    (tmp_path / "file").chmod(0o640)
    first = f"mov ebx, {PATH};"
    if by_descriptor:
        first = f"mov eax, 5; mov ebx, {PATH}; xor ecx, ecx; int 0x80; test eax, eax; js bad; mov ebx, eax;"
    source = (
        f"{first} mov eax, {number}; mov ecx, {PATH + 64}; int 0x80; test eax, eax; jne bad;"
        f"cmp word ptr [{PATH + 64 + 4}], {0o100640}; jne bad; cmp word ptr [{PATH + 64 + 6}], 1; jne bad;"
        f"cmp dword ptr [{PATH + 64 + 16}], 1234; jne bad; cmp dword ptr [{PATH + 64 + 20}], 0; je bad;"
        # nothing is written behind the 32 bytes
        f"cmp dword ptr [{PATH + 64 + 32}], 0x55555555; jne bad; xor ebx, ebx; {EXIT} {BAD}"
    )
    assert guest(tmp_path, source, b"file\0".ljust(64, b"\0") + b"\x55" * 64).returncode == 0


def test_signal_and_sigreturn(tmp_path: Path) -> None:
    """signal(48) is one-shot; the handler returns through code that the kernel puts on the stack, which calls sigreturn(119).

    The frame: return address, signal number, then struct sigcontext. Registers survive; the second signal kills."""
    source = (
        f"mov eax, 48; mov ebx, 10; mov ecx, OFFSET_HANDLER; int 0x80; test eax, eax; jne bad;"
        f"mov esi, 0x1234; mov edi, 0x5678; mov eax, 20; int 0x80; mov ebx, eax; push ebx; mov ecx, 10; mov eax, 37; int 0x80;"
        f"test eax, eax; jne bad; cmp esi, 0x1234; jne bad; cmp edi, 0x5678; jne bad;"
        f"cmp dword ptr [{PATH}], 11; jne bad; pop ebx; mov ecx, 10; mov eax, 37; int 0x80; {BAD}"
        f"handler: mov eax, [esp + 4]; inc eax; mov [{PATH}], eax; mov esi, 1; mov edi, 2; ret;"
    )
    at = len(assemble(source.replace("OFFSET_HANDLER", "0x700").partition("handler:")[0]))
    result = guest(tmp_path, source.replace("OFFSET_HANDLER", hex(at)), bytes(8))
    assert result.returncode == 128 + 10 and "SIGUSR1" in result.stderr


def test_sigaction_restarts_calls(tmp_path: Path) -> None:
    """sigaction(67) of that time, a mask of 32 bits, sgetmask(68) and ssetmask(69)."""
    action = b"".join(n.to_bytes(4, "little") for n in (1, 0, 0, 0))  # SIG_IGN
    source = (
        f"mov eax, 67; mov ebx, 10; mov ecx, {PATH}; mov edx, {PATH + 16}; int 0x80; test eax, eax; jne bad;"
        f"mov eax, 67; mov ebx, 10; xor ecx, ecx; mov edx, {PATH + 32}; int 0x80; cmp dword ptr [{PATH + 32}], 1; jne bad;"
        f"mov eax, 69; mov ebx, 0x200; int 0x80; test eax, eax; jne bad; mov eax, 68; int 0x80; cmp eax, 0x200; jne bad;"
        f"mov eax, 67; mov ebx, 9; mov ecx, {PATH}; xor edx, edx; int 0x80; neg eax; mov ebx, eax; {EXIT} {BAD}"
    )
    assert guest(tmp_path, source, action + bytes(64)).returncode == errno.EINVAL  # SIGKILL


def test_termios_of_a_file(tmp_path: Path) -> None:
    """ioctl(54) TCGETS 0x5401 and TIOCGWINSZ 0x5413 on a file: ENOTTY."""
    for request in (0x5401, 0x5413):
        source = (
            f"mov eax, 5; mov ebx, {PATH}; xor ecx, ecx; int 0x80; test eax, eax; js bad; mov ebx, eax;"
            f"mov eax, 54; mov ecx, {request}; mov edx, {PATH + 64}; int 0x80; neg eax; mov ebx, eax; {EXIT} {BAD}"
        )
        assert guest(tmp_path, source, b"p\0".ljust(200, b"\0")).returncode == errno.ENOTTY


PRIVILEGED = {
    "iopl": 110,
    "ioperm": 101,
    "mount": 21,
    "umount": 22,
    "swapon": 87,
    "reboot": 88,
    "vhangup": 111,
    "chroot": 61,
}


@pytest.mark.parametrize("name", PRIVILEGED)
def test_calls_for_the_superuser_only(tmp_path: Path, name: str) -> None:
    source = (
        f"mov eax, {PRIVILEGED[name]}; mov ebx, {PATH}; mov ecx, 1; mov edx, 1; int 0x80; neg eax; mov ebx, eax; {EXIT}"
    )
    assert guest(tmp_path, source, b".\0").returncode == errno.EPERM  # a directory: chroot looks for it first


def test_calls_that_had_numbers_only(tmp_path: Path) -> None:
    """stty, gtty, ftime, prof, lock: ENOSYS in 1993 as well."""
    for number in (31, 32, 35, 44, 53):
        source = f"mov eax, {number}; xor ebx, ebx; int 0x80; neg eax; mov ebx, eax; {EXIT}"
        assert guest(tmp_path, source).returncode == errno.ENOSYS
