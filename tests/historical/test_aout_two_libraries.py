"""a.out libraries that redefine names of each other, as libXaw does with libXt's: the first one's variable and function are used
everywhere.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.aout import compile_c
from support.command import uselib
from support.paths import ROOT
from uselib.linker.historical.aout import format as aout


def library(folder: Path, name: str, base: int) -> None:
    """libNAME: a function NAME that returns shared + both(), and what it exports besides: the variables shared and other, the function both."""
    control = folder / name
    control.mkdir()
    (control / "jump.params").write_text(
        f"Name=/lib{name}\nText={base:#x}\nData={base + 0x4000:#x}\nJump=0x1000\nGOT=0x1000\nVersion=1.0.0\n"
    )
    (control / "jump.funcs").write_text(f"0 T _{name} lib{name} {name}\n0 T _both lib{name} both\n")
    (control / "jump.vars").write_text(f"4 D _shared lib{name} shared\n4 D _other lib{name} other\n")
    value = ord(name)
    text = f"""
    int shared = {value}, other = {2 * value};
    __attribute__((noipa)) int both(void) {{ return {1000 * value}; }}
    int {name}(void) {{ return shared + other + both(); }}
    """
    made = uselib("mkshlib", "--format", "aout", "--control", control, "-o", folder, compile_c(folder, name, text))
    assert (made.returncode, made.stderr) == (0, "")
    (folder / "lib").mkdir(exist_ok=True)
    (folder / f"lib{name}.so.1.0.0").rename(folder / "lib" / f"lib{name}.so.1")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    library(folder, "a", 0x61000000)
    library(folder, "b", 0x62000000)
    compile_c(folder, "crt0", (ROOT / "runtime" / "crt" / "aout.c").read_text())
    return folder


def linked(made: Path, folder: Path, text: str) -> Path:
    words = ["-o", made / "p", made / "crt0.o", compile_c(folder, "p", text), f"-L{made}", "-la", "-lb"]
    result = uselib("ld", "-m", "i386linux", *words)
    assert (result.returncode, result.stderr) == (0, "")
    return made / "p"


def result(made: Path) -> int:
    done = uselib("run", "--root", made, "/p")
    assert done.stderr == ""
    return done.returncode


def test_the_first_librarys_definition_counts(made: Path, tmp_path: Path) -> None:
    linked(
        made,
        tmp_path,
        "int a(void), b(void); int main() { return a() == 3 * 97 + 97000 ? b() == 3 * 97 + 97000 ? 42 : 2 : 1; }",
    )
    assert result(made) == 42


def test_the_programs_definition_replaces_both(made: Path, tmp_path: Path) -> None:
    text = """
    int a(void), b(void), shared = 1;
    int both(void) { return 2; }
    int main() { return a() == 3 + 194 ? b() == 3 + 194 ? 42 : 2 : 1; }
    """
    linked(made, tmp_path, text)
    assert result(made) == 42


def test_the_list_as_the_linker_of_1993_writes_it(made: Path, tmp_path: Path) -> None:
    """Own definitions, a pair of zeroes, then pairs of cells, each twice: start-up of libc 4.3.3 takes every second one."""
    raw = linked(made, tmp_path, "int a(void), b(void); int main() { return a() + b(); }").read_bytes()
    file = aout.decode(raw, "p")
    start = {symbol.name: symbol for symbol in file.symbols}
    assert start["__SHARABLE_CONFLICTS__"].kind == aout.N_SETV

    def word(address: int) -> int:
        at = address - file.header.text
        return int.from_bytes(file.data[at : at + 4], "little")

    fixups = word(start["__SHARABLE_CONFLICTS__"].value + 8)
    count = word(fixups)
    pairs = [(word(fixups + 4 + 8 * n), word(fixups + 8 + 8 * n)) for n in range(count)]
    slot, other = 0x61000010, 0x62000010
    cell_a, cell_b = 0x61003008, 0x62003008
    assert pairs == [
        (slot - (other + 5) & 0xFFFFFFFF, other + 1),
        (0, 0),
        *2 * [(cell_a + 4, cell_b + 4)],
        *2 * [(cell_a, cell_b)],
    ]
    assert word(fixups + 4 + 8 * count) == 0
