"""The bootstrap: its bytes against the assembler's, and natively, driven as start-up drives it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.tools import MACHINES, needs
from uselib.linker.formats import notes
from uselib.linker.image import EXEC, PAGE, READ, WRITE, Identity, LibraryHeader, Machine, Segment, Version
from uselib.linker.library import bootstrap

FLAG = {Machine.I386: "-m32", Machine.X86_64: "-m64"}
BASE = 0x60000000

needs_gcc = needs("gcc")

# What start-up does, without a C library: open, map the first page, call the bootstrap, look at memory, exit.
FREESTANDING = "-O1 -w -nostdlib -static -fno-pie -no-pie -ffreestanding -fno-stack-protector".split()
DRIVER = r"""
#ifdef __x86_64__
enum { OPEN = 2, MMAP = 9, EXIT = 60, WRITE = 1 };
static long call(long n, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d; register long r8 __asm__("r8") = e; register long r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "0"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
#else
enum { OPEN = 5, MMAP = 192, EXIT = 1, WRITE = 4 };
#endif
#ifndef __x86_64__
/* ebp takes mmap2's sixth argument, and gcc does not let an asm statement have it */
__asm__(".globl call6\ncall6: push %ebp; push %ebx; push %esi; push %edi\n"
        "mov 20(%esp),%eax; mov 24(%esp),%ebx; mov 28(%esp),%ecx; mov 32(%esp),%edx; mov 36(%esp),%esi;"
        "mov 40(%esp),%edi; mov 44(%esp),%ebp; int $0x80; pop %edi; pop %esi; pop %ebx; pop %ebp; ret");
long call6(long, long, long, long, long, long, long);
#define call call6
#endif
typedef unsigned char byte;
typedef long (*boot)(int, const void *);
static int fails(long code) { call(EXIT, code, 0, 0, 0, 0, 0); return 0; }
void begin(void) {
  byte *base = (byte *)0x60000000;
  long fd = call(OPEN, (long)LIBRARY, 0, 0, 0, 0, 0);
  if (fd < 0) fails(90);
#ifdef OCCUPY
  if (call(MMAP, OCCUPY, 4096, 3, 0x100022, -1, 0) != OCCUPY) fails(91);
  *(byte *)OCCUPY = 77;
#endif
  if (call(MMAP, (long)base, 4096, 5, 0x100002, fd, 0) != (long)base) fails(92);
  boot entry = (boot)(base + ENTRY);
  long error = entry((int)fd, base + DESCRIPTOR);
#ifdef OCCUPY
  if (*(byte *)OCCUPY != 77) fails(93);
#endif
  if (error) fails(-error);
  if (base[4096] != 'T' || base[2 * 4096] != 't') fails(1);        /* text behind the first page */
  byte *data = base + 5 * 4096;
  if (data[0] != 'D' || data[99] != 'D') fails(2);
  for (int i = 100; i < 3 * 4096; i++) if (data[i]) fails(3);        /* tail of the file page, then bss */
  data[0] = 1; data[3 * 4096 - 1] = 2;                               /* writable */
  if (((int (*)(void))(base + 2 * 4096 + 16))() != 42) fails(4);     /* executable */
  long maps = call(OPEN, (long)"/proc/self/maps", 0, 0, 0, 0, 0);
  static byte text[8192];
  long n, used = 0;
  while ((n = call(
#ifdef __x86_64__
      0
#else
      3
#endif
      , maps, (long)(text + used), sizeof text - used, 0, 0, 0)) > 0) used += n;
  call(WRITE, 1, (long)text, used, 0, 0, 0);
  fails(0);
}
__asm__(".globl _start\n_start:\n"
#ifdef __x86_64__
        "and $-16,%rsp; xor %ebp,%ebp; call begin");
#else
        "and $-16,%esp; xor %ebp,%ebp; call begin");
#endif
"""


def library(machine: Machine) -> tuple[bytes, int, int]:
    """A small library image, not quite an ELF file: (bytes, offset of the descriptor, offset of the bootstrap)."""
    segments = (
        Segment(BASE, 3 * PAGE, 0, 3 * PAGE, READ | EXEC),
        Segment(BASE + 5 * PAGE, 3 * PAGE, 5 * PAGE, 100, READ | WRITE),
    )
    header = LibraryHeader(
        machine,
        Identity("libt_s", Version(1, 0, 0), BASE, 8 * PAGE, bytes(32), 0),
        0,
        0,
        8,
        (0, 0),
        (0, 0),
        segments,
        (),
    )
    note = notes.encode_library(header)
    descriptor = 64 + next(notes.notes(note, "test")).offset
    entry = (64 + len(note) + 15) & ~15
    page = bytearray(PAGE)
    page[64 : 64 + len(note)] = note
    page[entry : entry + len(bootstrap.code(machine))] = bootstrap.code(machine)
    text = bytearray(b"T" * PAGE + b"t" * PAGE)
    text[PAGE + 16 : PAGE + 22] = b"\xb8\x2a\x00\x00\x00\xc3"  # mov eax, 42; ret
    data = b"D" * 100 + b"X" * (PAGE - 100)  # what follows the segment in the file must not be seen
    return bytes(page + text + bytes(2 * PAGE) + data), descriptor, entry


def drive(machine: Machine, tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    image, descriptor, entry = library(machine)
    (tmp_path / "library").write_bytes(image)
    (tmp_path / "driver.c").write_text(DRIVER)
    defined = [f'-DLIBRARY="{tmp_path}/library"', f"-DENTRY={entry}", f"-DDESCRIPTOR={descriptor}"]
    subprocess.run(
        ["gcc", FLAG[machine], *FREESTANDING, *defined, *options, "-o", tmp_path / "driver", tmp_path / "driver.c"],
        check=True,
    )
    return subprocess.run([str(tmp_path / "driver")], capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("continued", [False, True])
@needs("as", "objcopy")
def test_bytes_are_what_the_assembler_makes(machine: Machine, continued: bool, tmp_path: Path) -> None:
    source = tmp_path / "boot.s"
    source.write_text(".intel_syntax noprefix\n" + bootstrap.source(machine, continued=continued))
    flag = "--32" if machine is Machine.I386 else "--64"
    subprocess.run(["as", flag, str(source), "-o", str(tmp_path / "boot.o")], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", "boot.o", "boot.bin"], cwd=tmp_path, check=True)
    expected = bootstrap.code(machine) + (bootstrap.continued(machine) if continued else b"")
    assert expected == (tmp_path / "boot.bin").read_bytes()


@pytest.mark.parametrize("distance", [0x1234, -0x1000])
def test_the_second_entry_goes_on_at_the_function(machine: Machine, distance: int) -> None:
    first, second = len(bootstrap.code(machine)), bootstrap.continued(machine, distance)
    assert second[-6] == 0xE9 and second[-1] == 0xC3  # jmp rel32; ret
    assert int.from_bytes(second[-5:-1], "little", signed=True) == distance - (first + len(second) - 1)
    assert len(second) == len(bootstrap.continued(machine))


@needs_gcc
def test_maps_text_data_and_bss(machine: Machine, tmp_path: Path) -> None:
    result = drive(machine, tmp_path)
    if result.returncode in (126, -8):
        pytest.skip("this kernel runs no programs for this machine")
    assert result.returncode == 0, result
    rows = [line.split()[:2] for line in result.stdout.splitlines() if line.startswith("6000")]
    text = [["60000000-60003000", "r-xp"]]  # kernels merge the two mappings or not
    assert rows[:1] == text or rows[:2] == [["60000000-60001000", "r-xp"], ["60001000-60003000", "r-xp"]]
    assert ["60005000-60006000", "rw-p"] in rows
    assert ["60006000-60008000", "rw-p"] in rows


@needs_gcc
@pytest.mark.parametrize("occupied", [0x60002000, 0x60005000, 0x60007000], ids=["text", "data", "bss"])
def test_never_maps_over_anything(machine: Machine, occupied: int, tmp_path: Path) -> None:
    result = drive(machine, tmp_path, f"-DOCCUPY={occupied:#x}")
    assert result.returncode == 17, result  # EEXIST, and the page that was there has kept its contents


def test_fits_the_header_page() -> None:
    for machine in MACHINES:
        assert 100 < len(bootstrap.code(machine) + bootstrap.continued(machine)) < 512
