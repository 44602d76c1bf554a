"""A library, a program and their start-up code in the textbook's format."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.command import uselib
from support.paths import ROOT
from support.tools import PLAIN_C, require

FLAGS = ["-m32", *PLAIN_C]


def compile_c(folder: Path, name: str, text: str, *options: str) -> str:
    """Compiles C to NAME.o below `folder`; gives that name."""
    require("gcc")
    (folder / f"{name}.c").write_text(text)
    subprocess.run(["gcc", *FLAGS, *options, "-c", f"{name}.c"], cwd=folder, check=True)
    return f"{name}.o"


def compile_startup(folder: Path) -> str:
    return compile_c(folder, "crt", (ROOT / "runtime" / "crt" / "textbook.c").read_text())


def make_kit(folder: Path) -> Path:
    """Fills a folder with libf_s, crt.o and the program p, which returns what the library's function gives: 7."""
    compile_c(folder, "f", "int f(void) { return 7; }")
    compile_c(folder, "p", "int f(void); int main(void) { return f(); }")
    compile_startup(folder)
    words = ["--name", "f", "--version", "1.0.0", "--text", "0x60400000", "-o", ".", "f.o"]
    assert uselib("mkshlib", "--format", "textbook", *words, cwd=folder).returncode == 0
    assert uselib("ld", "-m", "textbook", "-o", "p", "crt.o", "p.o", "-Llib", "-lf", cwd=folder).returncode == 0
    return folder
