"""Options that change the file as a whole: compared with what GNU ld makes, or read back by other tools."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from support.command import uselib
from support.tools import needs
from uselib.commands.ld_dir import directory

pytestmark = needs("gcc", "ld", "readelf")
SOURCE = """
#include <stdio.h>
__attribute__((noinline)) int twice(int x) { return 2 * x; }
int other = 3;
int main(void) { printf("%d\\n", twice(other)); return 4; }
"""


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    (tmp_path / "m.c").write_text(SOURCE)
    subprocess.run(["gcc", "-g", "-c", "m.c"], cwd=tmp_path, check=True)
    return tmp_path


def cc(folder: Path, by: str, *words: str) -> Path:
    ours = [f"-B{directory()}"] if by == "ours" else []
    subprocess.run(["gcc", *ours, "m.o", "-o", by, *words], cwd=folder, check=True)
    return folder / by


def ran(program: Path) -> tuple[str, int]:
    done = subprocess.run([program], capture_output=True, text=True)
    return done.stdout, done.returncode


@pytest.mark.parametrize("method", ["zlib", "zstd"])
def test_compressed_debug_information(objects: Path, method: str) -> None:
    """The same debug information as uncompressed, in a smaller file; objects with it are inputs as well."""
    plain = cc(objects, "ours")
    with plain.open("rb") as file:
        contents = {s.name: s.data() for s in ELFFile(file).iter_sections() if s.name.startswith(".debug_")}
    packed = cc(objects, "ours", f"-Wl,--compress-debug-sections={method}")
    assert ran(packed) == ("6\n", 4)
    with packed.open("rb") as file:
        flags = [s["sh_flags"] & 0x800 for s in ELFFile(file).iter_sections() if s.name.startswith(".debug_")]
    assert any(flags)
    subprocess.run(["objcopy", "--decompress-debug-sections", packed, objects / "u"], check=True)
    with (objects / "u").open("rb") as file:
        assert {s.name: s.data() for s in ELFFile(file).iter_sections() if s.name.startswith(".debug_")} == contents
    done = subprocess.run(["objcopy", f"--compress-debug-sections={method}", "m.o"], cwd=objects, capture_output=True)
    if done.returncode == 0:
        with cc(objects, "ours").open("rb") as file:
            assert {s.name: s.data() for s in ELFFile(file).iter_sections() if s.name.startswith(".debug_")} == contents


def test_unknown_methods_and_formats(objects: Path) -> None:
    for word, text in (
        ("--compress-debug-sections=lzma", "`lzma` is not a method; write none, zlib or zstd"),
        ("--oformat=srec", "`srec` is not a format"),
        ("--gdb-index", "not supported; gdb makes the index"),
    ):
        done = uselib("ld", "m.o", word, cwd=objects)
        assert done.returncode == 2 and text in done.stderr


def test_flat_image(tmp_path: Path) -> None:
    (tmp_path / "a.s").write_text(".globl _start\n_start: mov d,%eax\n.data\n.quad 1\nd: .long 7\n.bss\n.space 4096\n")
    subprocess.run(["as", "a.s", "-o", "a.o"], cwd=tmp_path, check=True)
    words = ["-Ttext=0x1000", "-Tdata=0x1100", "--oformat", "binary", "a.o", "-o"]
    assert uselib("ld", *words, "ours", cwd=tmp_path).returncode == 0
    subprocess.run(["ld", *words, "gnu"], cwd=tmp_path, check=True)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "gnu").read_bytes()


def test_without_section_headers(objects: Path) -> None:
    """GNU ld 2.40 does not have this yet."""
    program = cc(objects, "ours", "-Wl,-z,nosectionheader")
    assert ran(program) == ("6\n", 4)
    with program.open("rb") as file:
        assert ELFFile(file).num_sections() == 0


def test_retained_symbols(objects: Path) -> None:
    (objects / "kept").write_text("main\nother\n")
    tables = []
    for by in ("ours", "gnu"):
        cc(objects, by, "-Wl,--retain-symbols-file=kept")
        text = subprocess.run(["nm", objects / by], capture_output=True, text=True, check=True).stdout
        tables.append({line.split()[-1] for line in text.splitlines() if line[:1] == "0"})
    assert tables[0] == {"main", "other"} and tables[0] <= tables[1]
    assert "twice" not in tables[1]


def test_package_metadata_and_dependencies(objects: Path) -> None:
    texts = []
    for by in ("ours", "gnu"):
        program = cc(objects, by, '-Wl,--package-metadata={"name":"p"}', "-Wl,--dependency-file=d")
        texts.append(subprocess.run(["readelf", "-n", program], capture_output=True, text=True, check=True).stdout)
        rule, _, rest = (objects / "d").read_text().partition("\n\n")
        assert rule.startswith(f"{by}: \\\n") and "  m.o \\\n" in rule and "\nm.o:\n" in rest
    assert all('Packaging Metadata: {"name":"p"}' in text for text in texts)


def test_read_only_after_relocation_in_static_programs(objects: Path) -> None:
    (objects / "m.c").write_text(
        """
#include <signal.h>
#include <unistd.h>
extern int there;
int *const place = &there;
int there;
static void caught(int signal) { _exit(7); }
int main(void) { signal(SIGSEGV, caught); *(int *volatile *)&place = 0; return 8; }
"""
    )
    subprocess.run(["gcc", "-fPIC", "-c", "m.c"], cwd=objects, check=True)
    for by in ("ours", "gnu"):
        program = cc(objects, by, "-static", "-no-pie", "-Wl,-z,relro,-z,now")
        assert ran(program) == ("", 7)
        assert "GNU_RELRO" in subprocess.run(["readelf", "-lW", program], capture_output=True, text=True).stdout
