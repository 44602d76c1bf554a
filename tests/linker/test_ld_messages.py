"""What ld says of mistakes: names as the source has them, source lines, and not too much of one kind."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support.tools import needs
from uselib.cli import main

pytestmark = needs("gcc")

MISSING = "int missing(int);\n\nint main(void)\n{\n    return missing(1);\n}\n"


def compiled(directory: Path, name: str, text: str, *flags: str) -> str:
    source = directory / name
    source.write_text(text)
    path = directory / f"{source.stem}.o"
    subprocess.run(["gcc", "-fno-pie", *flags, "-c", source.name, "-o", path], check=True, cwd=directory)
    return str(path)


def errors(capsys: pytest.CaptureFixture[str], *words: str, status: int = 1) -> str:
    assert main(["ld", "-e", "main", *words]) == status
    return capsys.readouterr().err


@pytest.mark.parametrize("flags", ["-g", "-g -ffunction-sections", "-gdwarf-4", "-gdwarf-2", "-g -gz=zlib", "-g -O2"])
@pytest.mark.parametrize(("machine", "emulation"), [("-m64", "elf_x86_64"), ("-m32", "elf_i386")])
def test_source_lines(
    flags: str, machine: str, emulation: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the section in which the reference lies: all sections of an object begin at 0."""
    text = "void first(void) {}\n" + MISSING
    path = compiled(tmp_path, "a.c", text, machine, *flags.split())
    said = errors(capsys, "-m", emulation, path, "-o", str(tmp_path / "out"))
    assert f"uselib: {path}: undefined symbol: missing\n" in said
    assert re.search(
        rf">>> referenced by {re.escape(path)}:\(\.text\S*\+0x[0-9a-f]+\) in function main, a\.c:6\n", said
    )


def test_without_debug_information_there_are_no_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = compiled(tmp_path, "a.c", MISSING)
    assert errors(capsys, path, "-o", str(tmp_path / "out")).endswith("in function main\n")


def test_damaged_debug_information_is_no_matter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(compiled(tmp_path, "a.c", MISSING, "-g"))
    data = path.read_bytes()
    for place in range(0x40, min(len(data), 0x600), 7):
        path.write_bytes(data[:place] + b"\xff" + data[place + 1 :])
        assert main(["ld", "-e", "main", str(path), "-o", str(tmp_path / "out")]) in (0, 1)
        assert "internal error" not in capsys.readouterr().err


@needs("g++")
def test_names_of_cxx_and_rust(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "namespace ns { struct W { void run(int, const char *); }; }\n"
        'extern "C" void _RNvC3foo3bar(); extern "C" void _Zbroken();\n'
        'int main() { ns::W w; w.run(1, "x"); _RNvC3foo3bar(); _Zbroken(); }\n'
    )
    path = compiled(tmp_path, "x.cc", text)
    words = [path, "-o", str(tmp_path / "out")]
    said = errors(capsys, *words)
    assert "undefined symbol: ns::W::run(int, char const*); it is C++" in said
    assert "undefined symbol: _Zbroken" in said
    assert re.search(r"undefined symbol: (foo(\[0\])?::bar|_RNvC3foo3bar)\n", said)
    assert "undefined symbol: _ZN2ns1W3runEiPKc" in errors(capsys, "--no-demangle", *words)
    monkeypatch.setenv("PATH", str(tmp_path))  # without c++filt
    said = errors(capsys, *words)
    assert "undefined symbol: ns::W::run(int, char const*)" in said or "undefined symbol: _ZN2ns1W3runEiPKc" in said


def test_at_most_twenty_of_a_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"missing{i}" for i in range(50)]
    text = f"int {', '.join(f'{name}(void)' for name in names)}; int main(void) {{ return {' + '.join(f'{n}()' for n in names)}; }}"
    words = [compiled(tmp_path, "a.c", text), "-o", str(tmp_path / "out")]
    said = errors(capsys, *words)
    assert said.count("undefined symbol: ") == 20
    assert "uselib: ld: 30 more of the kind `undefined symbol`; --error-limit=0 shows all\n" in said
    assert errors(capsys, "--error-limit=0", *words).count("undefined symbol: ") == 50
    said = errors(capsys, "-error-limit=3", *words)
    assert said.count("undefined symbol: ") == 3 and "47 more" in said
