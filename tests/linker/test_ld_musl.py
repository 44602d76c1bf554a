"""Real programs and the whole of musl's libc.a, linked by ours and by GNU ld: same output, same symbols, same sizes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from support.tools import needs
from uselib.cli import main

LIBRARIES = {m: Path(f"/usr/lib/{m}-linux-musl") for m in ("x86_64", "i386")}
FLAGS = {"x86_64": ["-m64"], "i386": ["-m32"]}
EMULATION = {"x86_64": "elf_x86_64", "i386": "elf_i386"}
LIBGCC = {"x86_64": Path("/usr/lib/gcc/x86_64-linux-gnu"), "i386": Path("/usr/lib/gcc-cross/i686-linux-gnu")}

pytestmark = [
    needs("gcc", "ld"),
    pytest.mark.skipif(
        not all((p / "libc.a").exists() for p in LIBRARIES.values()), reason="needs musl for both machines"
    ),
]

PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <errno.h>
#include <time.h>
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
static void bye(void) { puts("bye"); }
__attribute__((constructor)) static void hello(void) { puts("hello"); }
int main(int argc, char **argv) {
  int n[1000];
  char text[100];
  for (int i = 0; i < 1000; i++) n[i] = i * 7919 % 1009;
  qsort(n, 1000, sizeof *n, compare);
  snprintf(text, sizeof text, "%d %lld %.10g %s %5.2f", n[500], 1234567890123LL, M_PI, strerror(ENOENT), sqrt(2));
  puts(text);
  atexit(bye);
  time_t zero = 86400 * 365LL;
  printf("%s", asctime(gmtime(&zero)));
  printf("%ld %d\n", strtol("0x1f", 0, 0), (int)(intptr_t)strstr("needle in a haystack", "in")[0]);
  return getenv("NO_SUCH_NAME") ? 1 : 3;
}
"""


def libgcc(machine: str) -> str:
    found = sorted(LIBGCC[machine].glob("*/libgcc.a"))
    if not found:
        pytest.skip(f"no libgcc.a for {machine}")
    return str(found[-1])


def symbols(path: Path) -> dict[str, tuple[str, str, int]]:
    """Global symbols: type, binding, size. (Hidden ones are local with us, as the ABI wants; GNU ld leaves them global.)"""
    with path.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        return {
            s.name: (s["st_info"]["type"], s["st_info"]["bind"], s["st_size"])
            for s in table.iter_symbols()
            if s["st_info"]["bind"] != "STB_LOCAL"
            and s["st_shndx"] != "SHN_UNDEF"
            and s["st_other"]["visibility"] not in ("STV_HIDDEN", "STV_INTERNAL")
        }


def sections(path: Path) -> dict[str, int]:
    with path.open("rb") as stream:
        return {s.name: s["sh_size"] for s in ELFFile(stream).iter_sections() if s["sh_flags"] & 2}


# GNU ld's own, which it defines whether or not they are referred to
LAYOUT = {"_edata", "__bss_start", "_end", "_GLOBAL_OFFSET_TABLE_", "_init", "_fini"}


@pytest.mark.parametrize("flags", [["-O2"], ["-O0", "-g", "-fPIC"]], ids=["plain", "pic"])
@pytest.mark.parametrize("machine", ["x86_64", "i386"])
def test_program(machine: str, flags: list[str], tmp_path: Path) -> None:
    include = ["-nostdinc", "-isystem", f"/usr/include/{machine}-linux-musl"]
    source, item = tmp_path / "program.c", tmp_path / "program.o"
    source.write_text(PROGRAM.replace("#include <time.h>", "#include <time.h>\n#include <stdint.h>"))
    subprocess.run(["gcc", *FLAGS[machine], *flags, "-fno-pie", *include, "-c", source, "-o", item], check=True)
    at = LIBRARIES[machine]
    words = [
        "-m",
        EMULATION[machine],
        "-static",
        f"{at}/crt1.o",
        f"{at}/crti.o",
        str(item),
        f"{at}/libc.a",
        libgcc(machine),
        f"{at}/crtn.o",
    ]
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert main(["ld", *words, "-o", str(ours)]) == 0
    subprocess.run(["ld", *words, "-o", str(theirs)], check=True)
    got, wanted = (subprocess.run([path], capture_output=True, timeout=20) for path in (ours, theirs))
    assert got.returncode == 3
    assert (got.returncode, got.stdout) == (wanted.returncode, wanted.stdout)
    mine, other = symbols(ours), symbols(theirs)
    assert {n: s for n, s in mine.items() if n not in LAYOUT} == {n: s for n, s in other.items() if n not in LAYOUT}


@pytest.mark.parametrize("machine", ["x86_64", "i386"])
def test_whole_libc(machine: str, tmp_path: Path) -> None:
    at = LIBRARIES[machine]
    words = ["-m", EMULATION[machine], "-static", "--defsym=main=0x1000", f"{at}/crt1.o"]
    words += ["--whole-archive", f"{at}/libc.a", "--no-whole-archive", libgcc(machine)]
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert main(["ld", *words, "-o", str(ours)]) == 0
    subprocess.run(["ld", *words, "-o", str(theirs)], check=True)
    mine, other = symbols(ours), symbols(theirs)
    assert {n: s for n, s in mine.items() if n not in LAYOUT} == {n: s for n, s in other.items() if n not in LAYOUT}
    mine_sizes, other_sizes = sections(ours), sections(theirs)
    for name in (".text", ".rodata", ".data", ".bss"):
        assert abs(mine_sizes[name] - other_sizes[name]) <= 0.02 * other_sizes[name] + 64, name
